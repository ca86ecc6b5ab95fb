//! What would change, how to get there, and why: computed, never looked up.
//!
//! In go the content that serves and the content that is wanted; out come the [`Change`]s between
//! them, the [`Step`]s of the rollout with no choice left in them, and the [`Finding`]s that a
//! person should know before saying yes. No clock, file, environment or network is used in here:
//! the same input gives the same plan on every machine.
//!
//! [`Finding`]: landfall_model::Finding

mod changes;
mod codes;
mod findings;
mod nlb;
mod objects;
mod restore;
mod shape;
mod steps;

pub use changes::{Change, Disruption, changes};
pub use codes::CODES;
pub use findings::{findings, served_policies};
pub use nlb::nlb_findings;
pub use objects::{Becomes, FieldChange, ObjectChange, Objects, object_changes};
pub use restore::{Newest, restore};
pub use shape::Shape;
pub use steps::{Step, Transition};

use landfall_model::{Content, Difference, Digest, Finding, ReleaseNumber, StackId, Verb};
use serde::{Deserialize, Serialize};

/// A plan: what was reviewed is what is applied, or it is refused as stale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The format of a saved plan.
    pub format: u16,
    /// The stack.
    pub stack: StackId,
    /// What it is for.
    pub verb: Verb,
    /// The newest release and its digest when the plan was made. If it moved, the plan is stale.
    pub head: Option<(ReleaseNumber, Digest)>,
    /// The release that served when the plan was made. If it moved, the plan is stale.
    pub serving: Option<ReleaseNumber>,
    /// What should run.
    pub content: Content,
    /// What changes, and why.
    pub changes: Vec<Change>,
    /// What becomes of objects, on a cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<ObjectChange>,
    /// Where the cluster differs from what was written last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<Difference>,
    /// The way there.
    pub steps: Vec<Step>,
    /// What a person should know.
    pub findings: Vec<Finding>,
}

/// The format of saved plans that this program writes.
pub const PLAN_FORMAT: u16 = 1;
