//! Where the kill matrix lets something die: a folder named by `LANDFALL_TEST_POINTS`.
//!
//! At each moment of each journal entry whose name is in the folder's `stop` file, the agent writes
//! `reached` and waits until that file is gone. Nothing happens unless the variable is set.

use landfall_rollout::{Moment, Points, Record};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

pub(crate) struct FolderPoints(PathBuf);

impl FolderPoints {
    pub(crate) fn from_environment() -> Option<Self> {
        std::env::var_os("LANDFALL_TEST_POINTS").map(|folder| Self(folder.into()))
    }
}

/// The name of a moment: `3-before-write` is before the third entry of a run is written.
fn name(moment: Moment, record: &Record) -> String {
    let moment = match moment {
        Moment::BeforeWrite => "before-write",
        Moment::AfterWrite => "after-write",
        Moment::AfterEffect => "after-effect",
    };
    format!("{}-{moment}", record.sequence)
}

impl Points for FolderPoints {
    fn at<'a>(
        &'a self,
        moment: Moment,
        record: &'a Record,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            let name = name(moment, record);
            let wanted = tokio::fs::read_to_string(self.0.join("stop")).await.unwrap_or_default();
            let line = format!("{name} {}\n", record.state.word());
            let mut seen = tokio::fs::read_to_string(self.0.join("seen")).await.unwrap_or_default();
            seen.push_str(&line);
            let _ = tokio::fs::write(self.0.join("seen"), seen).await;
            if wanted.trim() != name {
                return;
            }
            let reached = self.0.join("reached");
            let _ = tokio::fs::write(&reached, &name).await;
            while reached.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
    }
}
