//! The history of one place in a group: when it may be filled again, and whether waiting helps.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The wait before the first restart.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// An instance that ran this long starts a new history.
const STEADY: Duration = Duration::from_secs(60);
/// The time in which ends are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// Ends in the window, without being ready in between, that make a crash loop.
const LOOP_UNREADY: u32 = 3;
/// Ends in the window that make a crash loop in any case.
const LOOP_ANYWAY: usize = 5;

/// The history of one place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    /// How often it had to be filled again.
    pub restarts: u32,
    /// When it may be filled again.
    pub not_before: Option<Instant>,
    failures: u32,
    unready_ends: u32,
    ends: VecDeque<Instant>,
    looping: bool,
}

impl Place {
    /// An instance ended by itself.
    pub fn ended(&mut self, now: Instant, ran: Duration, was_ready: bool) {
        if ran >= STEADY {
            *self = Self { restarts: self.restarts, ..Self::default() };
        }
        if was_ready {
            self.unready_ends = 0;
        }
        self.unready_ends += 1;
        self.restarts += 1;
        self.ends.push_back(now);
        self.forget_old(now);
        self.looping |= self.unready_ends >= LOOP_UNREADY || self.ends.len() >= LOOP_ANYWAY;
        self.wait(now);
    }

    /// It could not even be prepared.
    pub fn not_prepared(&mut self, now: Instant) {
        self.wait(now);
    }

    fn wait(&mut self, now: Instant) {
        let wait = FIRST_WAIT.saturating_mul(1_u32 << self.failures.min(16)).min(LONGEST_WAIT);
        self.failures += 1;
        self.not_before = Some(now + wait);
    }

    /// An instance became ready.
    pub fn ready(&mut self, now: Instant) {
        self.unready_ends = 0;
        self.forget_old(now);
        self.looping = self.ends.len() >= LOOP_ANYWAY;
    }

    fn forget_old(&mut self, now: Instant) {
        self.ends.retain(|end| now.duration_since(*end) < WINDOW);
    }

    /// Whether instances end again and again.
    pub const fn crash_loop(&self) -> bool {
        self.looping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_start_again_after_a_steady_run() {
        let now = Instant::now();
        let mut place = Place::default();
        let mut waits = Vec::new();
        for _ in 0..10 {
            place.ended(now, Duration::from_secs(1), true);
            waits.push(place.not_before.expect("a wait").duration_since(now).as_millis());
        }
        assert_eq!(&waits[..4], [200, 400, 800, 1600]);
        assert_eq!(waits.last(), Some(&30_000));
        place.ended(now, STEADY, true);
        assert_eq!(place.not_before, Some(now + FIRST_WAIT));
        assert_eq!(place.restarts, 11);
        assert!(!place.crash_loop());
    }

    #[test]
    fn three_ends_without_being_ready_are_a_loop() {
        let now = Instant::now();
        let mut place = Place::default();
        place.ended(now, Duration::ZERO, false);
        place.ended(now, Duration::ZERO, false);
        assert!(!place.crash_loop());
        place.ended(now, Duration::ZERO, false);
        assert!(place.crash_loop());
        place.ready(now);
        assert!(!place.crash_loop());
    }

    #[test]
    fn five_ends_in_a_minute_are_a_loop_even_when_ready_in_between() {
        let now = Instant::now();
        let mut place = Place::default();
        for _ in 0..5 {
            assert!(!place.crash_loop());
            place.ready(now);
            place.ended(now, Duration::from_secs(1), true);
        }
        assert!(place.crash_loop());
    }
}
