//! Time, as a lease needs it: one clock to measure with, one for people.

use async_trait::async_trait;
use landfall_model::Timestamp;
use std::time::{Duration, SystemTime};

/// Time, as a lease needs it.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Time that only goes on, from any origin. It must go on while the machine sleeps, or a
    /// sleeper that wakes may think that its lease is still good.
    fn monotonic(&self) -> Duration;
    /// The wall clock, for people.
    fn wall(&self) -> Timestamp;
    /// Waits.
    async fn sleep(&self, time: Duration);
}

/// The machine's clocks. The monotonic one goes on during a suspend where the system has such a
/// clock (`CLOCK_BOOTTIME`).
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[cfg(target_os = "linux")]
    fn monotonic(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0))
    }

    #[cfg(not(target_os = "linux"))]
    fn monotonic(&self) -> Duration {
        static ORIGIN: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        ORIGIN.get_or_init(std::time::Instant::now).elapsed()
    }

    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Timestamp(since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}
