//! The wall clock, read in one place.

use landfall_model::Timestamp;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// How long until then; nothing when it is past.
pub(crate) fn remaining(until: Timestamp) -> Duration {
    Duration::from_millis(until.since(now()).0)
}
