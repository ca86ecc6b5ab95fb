//! A clock that tests set.

use async_trait::async_trait;
use landfall_model::Timestamp;
use landfall_store::lease::Clock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A clock that goes on only when somebody waits or tells it to.
#[derive(Default)]
pub struct TestClock(AtomicU64);

impl TestClock {
    pub fn go_on(&self, time: Duration) {
        self.0.fetch_add(time.as_millis() as u64, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for TestClock {
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
    fn wall(&self) -> Timestamp {
        Timestamp(1_700_000_000_000 + self.0.load(Ordering::SeqCst))
    }
    async fn sleep(&self, time: Duration) {
        self.go_on(time);
        tokio::task::yield_now().await;
    }
}
