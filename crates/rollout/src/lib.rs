//! How one release takes the place of another, and how that survives anything.
//!
//! [`next()`] is pure: the state of a rollout and what was just seen give the next state, or nothing.
//! [`desired()`] is pure: a state and the releases it names give the whole desired state. [`drive()`]
//! is the one loop: *journal the state, then apply its desired state, then look*. So whatever dies
//! at whatever instant, recovery is to read the last [`Record`], apply its desired state again and
//! look: no effect depends on having seen the one before.

mod desired;
mod drive;
mod heard;
mod next;
mod record;
mod state;

pub use desired::{desired, job_id};
pub use drive::{Command, Drive, DriveError, Moment, NoPoints, Points, Told, begin, drive};
pub use next::{Input, next};
pub use record::{RECORD_FORMAT, Record};
pub use state::{Phase, State, Undo};

use landfall_model::{Release, StackId, Verb};
use landfall_plan::Transition;
use std::sync::Arc;

/// The releases that a rollout is between. They never change while it runs.
#[derive(Debug, Clone)]
pub struct Context {
    /// The stack.
    pub stack: StackId,
    /// What it is for.
    pub verb: Verb,
    /// What served when it began.
    pub from: Option<Arc<Release>>,
    /// What should serve; nothing for `down`.
    pub to: Option<Arc<Release>>,
}

impl Context {
    /// The pure part of it.
    #[must_use]
    pub fn transition(&self) -> Transition<'_> {
        Transition { verb: self.verb, from: self.from.as_deref(), to: self.to.as_deref() }
    }
}
