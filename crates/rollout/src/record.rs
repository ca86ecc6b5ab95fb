//! An entry of a stack's journal. The last one is all that recovery needs.

use crate::State;
use landfall_model::{Epoch, Measured, ReleaseNumber, RunId, Sequence, Timestamp, Verb};
use serde::{Deserialize, Serialize};

/// The format of journal records that this program writes.
pub const RECORD_FORMAT: u16 = 1;

/// An entry of a stack's journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// See [`RECORD_FORMAT`].
    pub format: u16,
    /// Its place in the journal; also the revision of the desired state it justifies.
    pub sequence: Sequence,
    /// The reign in which it was written.
    pub epoch: Epoch,
    /// When.
    pub at: Timestamp,
    /// The run.
    pub run: RunId,
    /// What the run is for.
    pub verb: Verb,
    /// The release that served when it began.
    pub from: Option<ReleaseNumber>,
    /// The release that should serve; nothing for `down`.
    pub to: Option<ReleaseNumber>,
    /// Who asked for it, as `user@host`.
    pub by: String,
    /// What makes a repeated request join this run instead of starting another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// When the run began.
    pub began: Timestamp,
    /// What the load balancer had counted then.
    #[serde(default)]
    pub counted: Measured,
    /// The state that is entered.
    pub state: State,
    /// Why it is entered, in words.
    pub because: String,
}

impl Record {
    /// The release that serves when everything named by this record has happened.
    #[must_use]
    pub fn serving(&self) -> Option<ReleaseNumber> {
        match self.state.ended() {
            Some(landfall_model::Outcome::Succeeded) => self.to,
            _ => self.from,
        }
    }
}
