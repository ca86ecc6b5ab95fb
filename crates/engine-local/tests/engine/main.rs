//! The engine with real processes.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod adoption;
mod crashes;
mod isolation;
mod jobs;
mod lifecycle;
mod logs;
mod world;
