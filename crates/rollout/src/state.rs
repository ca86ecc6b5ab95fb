//! The state of a rollout: small, serialisable, complete.
//!
//! ```text
//!            gate open                 last gate open
//! Doing(0) ───────────▶ Doing(n) ─────────────────────▶ Ended(succeeded)
//!    │  ▲                 │  failed, deadline, cancelled before the old release drains
//!    │  │ answered        ▼
//!    ▼  │             Undoing(0) ───▶ Undoing(n) ───▶ Ended(failed | cancelled)
//! Operator                                └─ the old release is not well ─▶ Ended(degraded)
//! ```

use landfall_model::{JobId, Outcome, Timestamp};
use landfall_plan::{Shape, Step};
use serde::{Deserialize, Serialize};

/// The state of a rollout. With the releases it names it decides the whole desired state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct State {
    /// What it is doing.
    pub phase: Phase,
    /// What runs and where traffic goes while it does.
    pub shape: Shape,
    /// When the phase or its step began.
    pub entered: Timestamp,
}

/// What a rollout is doing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "kebab-case")]
pub enum Phase {
    /// Step by step towards the new release.
    Doing {
        /// The steps.
        steps: Vec<Step>,
        /// The one that runs.
        step: usize,
        /// How often a hook was started, from 1.
        attempt: u32,
    },
    /// A hook was started and nobody knows what became of it: a person has to say.
    Operator {
        /// The steps.
        steps: Vec<Step>,
        /// The hook's step.
        step: usize,
        /// The attempt whose outcome is unknown.
        attempt: u32,
        /// Its job.
        job: JobId,
    },
    /// Step by step back.
    Undoing(Undo),
    /// Over. What should serve is settled.
    Ended {
        /// How.
        outcome: Outcome,
        /// Why, when it did not succeed.
        why: Option<String>,
    },
}

/// The way back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Undo {
    /// Why.
    pub why: String,
    /// Whether somebody asked for it.
    pub cancelled: bool,
    /// Whether the old release did not get well again in time.
    pub troubled: bool,
    /// The steps.
    pub steps: Vec<Step>,
    /// The one that runs.
    pub step: usize,
}

impl State {
    /// Whether it is over.
    #[must_use]
    pub const fn ended(&self) -> Option<Outcome> {
        match &self.phase {
            Phase::Ended { outcome, .. } => Some(*outcome),
            _ => None,
        }
    }

    /// The step that runs.
    #[must_use]
    pub fn step(&self) -> Option<&Step> {
        match &self.phase {
            Phase::Doing { steps, step, .. } | Phase::Operator { steps, step, .. } => {
                steps.get(*step)
            }
            Phase::Undoing(undo) => undo.steps.get(undo.step),
            Phase::Ended { .. } => None,
        }
    }

    /// One word for what it is doing.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match &self.phase {
            Phase::Doing { .. } => self.step().map_or("done", Step::word),
            Phase::Operator { .. } => "waiting-for-an-answer",
            Phase::Undoing(_) => "undoing",
            Phase::Ended { .. } => "ended",
        }
    }
}
