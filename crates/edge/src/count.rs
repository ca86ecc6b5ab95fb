//! Counters. They outlive configurations and only rise.

use landfall_model::Measured;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What is counted for one stack, as [`Measured`] defines it.
///
/// How the edge decides: an exchange that breaks after something was sent to the target is *lost* when
/// the target was leaving (draining, or no longer configured), because then a change could be the
/// cause, and one of the *errors* otherwise, as are answers of 500 to 599. Something that ends because
/// its drain or the edge's retirement is over is *cut*. What could not be sent to anybody is *unavailable*. A client
/// that goes away is none of these.
#[derive(Debug, Default)]
pub(crate) struct StackCount {
    pub(crate) requests: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) cut: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) unavailable: AtomicU64,
}

/// Adds one.
pub(crate) fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

impl StackCount {
    /// The counts now.
    pub(crate) fn read(&self) -> Measured {
        Measured {
            requests: self.requests.load(Relaxed),
            connections: self.connections.load(Relaxed),
            lost: self.lost.load(Relaxed),
            cut: self.cut.load(Relaxed),
            errors: self.errors.load(Relaxed),
            unavailable: self.unavailable.load(Relaxed),
        }
    }
}

/// The upper bounds of the latency histogram, in milliseconds.
pub(crate) const BOUNDS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000];

/// What is counted for one listener, for the metrics.
#[derive(Debug, Default)]
pub(crate) struct ListenerCount {
    /// Answers by the first digit of their status, 1 to 5.
    pub(crate) answers: [AtomicU64; 5],
    /// Answers whose head took at most this long and longer than the bound before; the last one
    /// counts what took longer than all bounds.
    pub(crate) latency: [AtomicU64; BOUNDS.len() + 1],
    /// The sum of all these times, in microseconds.
    pub(crate) latency_micros: AtomicU64,
    /// Connections taken.
    pub(crate) connections: AtomicU64,
    /// TLS handshakes that failed after the listener was known.
    pub(crate) handshake_failures: AtomicU64,
}

impl ListenerCount {
    /// Counts an answer of this status whose head was ready after this long.
    pub(crate) fn answered(&self, status: http::StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        add(&self.answers[class]);
        let millis = took.as_millis();
        let bucket = BOUNDS.iter().position(|bound| millis < u128::from(*bound));
        add(&self.latency[bucket.unwrap_or(BOUNDS.len())]);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.latency_micros.fetch_add(micros, Relaxed);
    }
}
