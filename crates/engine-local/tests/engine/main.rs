//! The engine with real processes.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod adoption;
mod conformance;
mod crashes;
mod isolation;
mod jobs;
mod kills;
mod lifecycle;
mod logs;
mod world;
