//! How often, and after which pauses, a request is tried again.

use super::Failure;
use crate::client::Options;
use std::time::{Duration, SystemTime};

/// A registry that wants a longer pause than this is as good as away.
const LONGEST: Duration = Duration::from_secs(30);

/// The tries that are left.
pub(crate) struct Tries {
    left: u32,
    pause: Duration,
}

impl Tries {
    pub(crate) fn new(options: &Options) -> Self {
        Self { left: options.tries.saturating_sub(1), pause: options.pause }
    }

    /// Waits before the next try; the failure itself when none is left or none would help.
    pub(crate) async fn again(&mut self, failure: Failure) -> Result<(), Failure> {
        if self.left == 0 || !failure.may_pass() {
            return Err(failure);
        }
        let asked = match &failure {
            Failure::Status { after: Some(after), .. } => Some(*after),
            _ => None,
        };
        if asked.is_some_and(|asked| asked > LONGEST) {
            return Err(failure);
        }
        self.left -= 1;
        let pause = asked.unwrap_or_default().max(spread(self.pause, SystemTime::now()));
        self.pause = (self.pause * 2).min(LONGEST);
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// From half of a pause to the whole, so that many clients do not come back at once.
fn spread(pause: Duration, now: SystemTime) -> Duration {
    let nanos = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    pause / 2 + (pause / 2).mul_f64(f64::from(nanos % 1_000_000) / 1e6)
}
