//! Edges, targets and clients for the tests.

pub mod client;
pub mod edge;
pub mod load;
pub mod target;

pub use client::{Client, Keys};
pub use edge::{TestEdge, forward, group, https, listener};
pub use load::Load;
pub use target::{Behaviour, TestTarget};

use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Waits until the condition holds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let until = Instant::now() + Duration::from_secs(20);
    while !condition().await {
        assert!(Instant::now() < until, "it never came to this: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// The wall clock, this much later.
pub fn later(span: Duration) -> landfall_model::Timestamp {
    let now = std::time::SystemTime::now() + span;
    let since = now.duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    landfall_model::Timestamp(u64::try_from(since.as_millis()).expect("fits"))
}

/// How often something is repeated under load: so many times, or as `LANDFALL_TEST_ROUNDS` says.
pub fn rounds(usually: u32) -> u32 {
    let asked = std::env::var("LANDFALL_TEST_ROUNDS").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(usually)
}
