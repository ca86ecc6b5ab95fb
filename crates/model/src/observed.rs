//! What an engine reports.

use crate::{Fence, GroupId, JobId, ListenerName, Measured, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The state of one stack as an engine sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Observed {
    /// When it was seen.
    pub at: Timestamp,
    /// The newest desired state that was accepted.
    pub accepted: Fence,
    /// Groups with at least one instance, and groups that should have one.
    pub groups: BTreeMap<GroupId, GroupStatus>,
    /// The shares that each open listener has really taken over.
    pub traffic: BTreeMap<ListenerName, BTreeMap<GroupId, u16>>,
    /// Where clients reach each listener, when that is not where the file says: an address with
    /// its port, or words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reached: BTreeMap<ListenerName, String>,
    /// Open connections (or running requests, where those are understood) by group.
    pub connections: BTreeMap<GroupId, u64>,
    /// What the load balancer counted for this stack since it started.
    pub measured: Measured,
    /// Every job that the engine knows, also ended ones that are still named by the desired state.
    pub jobs: BTreeMap<JobId, JobState>,
    /// What stands in the way, in words: a port that somebody else has, a disk that is full.
    pub problems: Vec<String>,
}

/// A group of instances.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GroupStatus {
    /// How many should run.
    pub wanted: u16,
    /// How many run, healthy or not.
    pub running: u16,
    /// How many are healthy.
    pub ready: u16,
    /// Why the others are not, in words, with the last lines of the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<String>,
    /// Whether an instance ended again and again, so that waiting is of no use.
    #[serde(default)]
    pub crash_loop: bool,
    /// The instances, also those that are being stopped.
    #[serde(default)]
    pub instances: Vec<InstanceStatus>,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceStatus {
    /// Its name: unique on the host for ever.
    pub id: String,
    /// What it is doing.
    pub state: InstanceState,
    /// The process, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Where it listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// How often its place in the group had to be filled again.
    #[serde(default)]
    pub restarts: u32,
}

/// What an instance is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// Started, not healthy yet.
    Starting,
    /// Healthy.
    Ready,
    /// Runs and fails its checks.
    Unhealthy,
    /// Gets no new connections.
    Draining,
    /// Was asked to end.
    Stopping,
    /// Ended, and waits before it is started again.
    Waiting,
}

/// What became of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum JobState {
    /// It runs.
    Running,
    /// It ended by itself.
    Exited {
        /// The exit code; 128 + signal when a signal ended it.
        code: i32,
        /// The last lines of its output.
        output: String,
    },
    /// It took longer than it may and was killed.
    TimedOut {
        /// The last lines of its output.
        output: String,
    },
    /// It was started and nobody knows what became of it.
    Unknown,
}
