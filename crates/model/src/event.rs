//! What is told to people and machines while something happens.

use crate::{ExitCode, Millis, ReleaseNumber, StackId, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The version of the event stream, `major.minor`: readers ignore unknown fields within a major
/// version and refuse an unknown major.
pub const EVENT_SCHEMA: &str = "1.0";

/// The name of one run of a verb that changes something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub String);

impl fmt::Display for RunId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// How loud an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Details.
    Debug,
    /// Progress.
    Info,
    /// Somebody should look.
    Warning,
    /// It failed.
    Error,
}

/// What kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// Work on the client's side: packing, sending, sealing.
    Progress,
    /// The rollout entered a step.
    Step,
    /// The state of instances changed.
    Instances,
    /// Output of a hook.
    Output,
    /// Something to know.
    Notice,
}

/// One line of the event stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub time: Timestamp,
    /// Its place in the run, from 1.
    pub sequence: u64,
    /// The run.
    pub run: RunId,
    /// The stack.
    pub stack: StackId,
    /// The release that the run is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseNumber>,
    /// The step, in one word: `starting`, `shifting`, `baking`.
    pub step: String,
    /// How loud.
    pub level: Level,
    /// What kind.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// In words.
    pub message: String,
}

/// What a load balancer counted.
///
/// *Lost* means refused, reset, timed out or truncated because of a change. *Cut* means ended at
/// the end of a drain. Errors of the application itself are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Measured {
    /// Requests taken from clients, where requests are understood.
    pub requests: u64,
    /// Connections taken from clients.
    pub connections: u64,
    /// Requests or connections lost.
    pub lost: u64,
    /// Connections cut at the end of a drain.
    pub cut: u64,
    /// Answers of 500 to 599 that the application gave.
    pub errors: u64,
    /// Requests answered with 503 because no instance was healthy.
    pub unavailable: u64,
}

impl Measured {
    /// What was counted after `earlier`; a counter that started again counts from nothing.
    #[must_use]
    pub const fn since(&self, earlier: &Self) -> Self {
        const fn difference(now: u64, then: u64) -> u64 {
            if now >= then { now - then } else { now }
        }
        Self {
            requests: difference(self.requests, earlier.requests),
            connections: difference(self.connections, earlier.connections),
            lost: difference(self.lost, earlier.lost),
            cut: difference(self.cut, earlier.cut),
            errors: difference(self.errors, earlier.errors),
            unavailable: difference(self.unavailable, earlier.unavailable),
        }
    }

    /// The sum of two counts.
    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            connections: self.connections + other.connections,
            lost: self.lost + other.lost,
            cut: self.cut + other.cut,
            errors: self.errors + other.errors,
            unavailable: self.unavailable + other.unavailable,
        }
    }
}

/// The last line of the event stream, exactly once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The exit code of the process, as a number.
    pub exit_code: u8,
    /// The same in one word.
    pub outcome: String,
    /// The release that serves now.
    pub serving_release: Option<ReleaseNumber>,
    /// The release that the run made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseNumber>,
    /// Why it ended as it did, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How long it took.
    #[serde(default)]
    pub took: Millis,
    /// What the load balancer counted meanwhile; nothing where none of ours does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
}

impl Summary {
    /// A summary that says how it ended and nothing else.
    #[must_use]
    pub fn new(code: ExitCode, serving: Option<ReleaseNumber>) -> Self {
        Self {
            exit_code: code.code(),
            outcome: code.word().to_owned(),
            serving_release: serving,
            release: None,
            message: None,
            took: Millis(0),
            measured: None,
        }
    }
}
