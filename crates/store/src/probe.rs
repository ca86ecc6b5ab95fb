//! Whether a place really lets only one of several writers win.
//!
//! Some servers that speak S3 ignore `If-None-Match`, and some honour it only when nobody else
//! writes at the same time. A store on such a server would lose releases without a word, so it is
//! tried with races before anything is kept there. Passing shows no fault; it proves none.

use crate::backend::{Backend, Put};
use crate::error::{Result, StoreError};
use crate::key::Key;
use crate::layout;
use crate::record::{self, Kind};
use crate::seal::digest_of;
use bytes::Bytes;

const ROUNDS: usize = 5;
const WRITERS: usize = 4;

/// Tries the place unless this very place passed before.
pub(crate) async fn ensure_safe(backend: &dyn Backend) -> Result<()> {
    let name = backend.name();
    let marker = layout::probe_passed(&digest_of(name.as_bytes()));
    if backend.get(&marker).await?.is_some() {
        return Ok(());
    }
    match races(backend, &name).await {
        Ok(()) => {
            backend
                .put_if_absent(&marker, record::encode(Kind::Probe, name.as_bytes(), None))
                .await?;
            Ok(())
        }
        // Nothing can be written here, so nothing can be lost; reading goes on.
        Err(error) if error.is_write_refused() && has_format(backend).await? => Ok(()),
        Err(error) => Err(error),
    }
}

async fn has_format(backend: &dyn Backend) -> Result<bool> {
    Ok(backend.get(&layout::format()).await?.is_some())
}

async fn races(backend: &dyn Backend, name: &str) -> Result<()> {
    let unique = unique()?;
    for round in 0..ROUNDS {
        let key = layout::probe_round(&unique, round);
        let verdict = race(backend, &key).await;
        let cleaned = backend.delete(&key).await;
        if let Some(why) = verdict? {
            return Err(StoreError::Unsafe { store: name.to_owned(), why });
        }
        cleaned?;
    }
    Ok(())
}

/// One race; what was wrong, if anything.
async fn race(backend: &dyn Backend, key: &Key) -> Result<Option<String>> {
    let bytes = |writer: usize| Bytes::from(format!("writer {writer}\n"));
    let puts = (0..WRITERS).map(|writer| backend.put_if_absent(key, bytes(writer)));
    let mut winners = Vec::new();
    for (writer, result) in futures::future::join_all(puts).await.into_iter().enumerate() {
        if result? == Put::Created {
            winners.push(writer);
        }
    }
    let &[winner] = winners.as_slice() else {
        return Ok(Some(format!(
            "of {WRITERS} writers that made one new object at once, {} were told that they did, instead of one",
            winners.len()
        )));
    };
    if backend.put_if_absent(key, bytes(WRITERS)).await? == Put::Created {
        return Ok(Some("it replaced an object that was to be made only if absent".to_owned()));
    }
    if backend.get(key).await? != Some(bytes(winner)) {
        return Ok(Some("an object does not hold what its only writer wrote".to_owned()));
    }
    Ok(None)
}

/// A text that nobody else uses.
pub(crate) fn unique() -> Result<String> {
    let mut bytes = [0_u8; 8];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| StoreError::Failed {
        operation: "get",
        object: "random bytes".to_owned(),
        why: "the system's random source failed".to_owned(),
    })?;
    Ok(format!("{:016x}", u64::from_be_bytes(bytes)))
}
