//! What an engine is told: a whole desired state with a revision, never a command.

use crate::{
    AppName, Certificate, Epoch, Listener, ListenerName, Millis, ReleaseNumber, Revision, Service,
    ServiceName, StackName, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// One application on one stack, written `app/stack`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StackId {
    /// The application.
    pub app: AppName,
    /// The stack.
    pub stack: StackName,
}

impl fmt::Display for StackId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.app, self.stack)
    }
}

/// The right to be obeyed. Receivers keep the highest and refuse older ones.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Fence {
    /// The writer's reign.
    pub epoch: Epoch,
    /// The journal entry that justifies the state.
    pub revision: Revision,
}

impl fmt::Display for Fence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.epoch, self.revision)
    }
}

impl FromStr for Fence {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is not `epoch.revision`");
        let (epoch, revision) = text.split_once('.').ok_or_else(bad)?;
        Ok(Self {
            epoch: Epoch(epoch.parse().map_err(|_| bad())?),
            revision: Revision(revision.parse().map_err(|_| bad())?),
        })
    }
}

/// A service of a release, written `service@number`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupId {
    /// The service.
    pub service: ServiceName,
    /// The release.
    pub release: ReleaseNumber,
}

impl fmt::Display for GroupId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.service, self.release)
    }
}

impl FromStr for GroupId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (service, release) =
            text.split_once('@').ok_or_else(|| format!("`{text}` is not `service@number`"))?;
        Ok(Self {
            service: service.parse().map_err(|error| format!("{error}"))?,
            release: release.parse().map_err(|error| format!("{error}"))?,
        })
    }
}

impl TryFrom<String> for GroupId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<GroupId> for String {
    fn from(id: GroupId) -> String {
        id.to_string()
    }
}

/// Instances that should run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// How many.
    pub replicas: u16,
    /// What each one is.
    pub service: Service,
    /// How long an instance that is taken out of this group may finish its connections.
    pub drain: Millis,
}

/// A listener that should be open, and the shares of its traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerState {
    /// The listener.
    pub listener: Listener,
    /// The version of its certificate, when TLS ends there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
    /// Shares by group; empty for a redirect.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<GroupId, u16>,
}

/// A group that gets no new connections and keeps those it has until a point in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draining {
    /// When the connections that remain are cut.
    pub until: Timestamp,
}

/// The name of something that is started at most once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub String);

impl fmt::Display for JobId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A command that runs once: an engine starts it at most once for its [`JobId`], for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The service and release whose artifact and environment it uses.
    pub group: GroupId,
    /// What the service is; `command` takes the place of the service's.
    pub service: Service,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// How long it may take before it is killed.
    pub timeout: Millis,
}

/// A whole desired state of one stack. Applying it twice is applying it once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// The stack.
    pub stack: StackId,
    /// The right to be obeyed.
    pub fence: Fence,
    /// Instances that should run; any other instance of the stack should not.
    pub groups: BTreeMap<GroupId, Group>,
    /// Listeners that should be open; any other listener of the stack should not.
    pub listeners: BTreeMap<ListenerName, ListenerState>,
    /// Groups, also in `groups`, that get no new connections.
    pub draining: BTreeMap<GroupId, Draining>,
    /// Jobs that should have been started. A job that runs and is not named here is stopped.
    pub jobs: BTreeMap<JobId, Job>,
}

impl Desired {
    /// A state in which nothing runs.
    #[must_use]
    pub const fn nothing(stack: StackId, fence: Fence) -> Self {
        Self {
            stack,
            fence,
            groups: BTreeMap::new(),
            listeners: BTreeMap::new(),
            draining: BTreeMap::new(),
            jobs: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_epochs_win_over_higher_revisions() {
        let old = Fence { epoch: Epoch(1), revision: Revision(900) };
        let new = Fence { epoch: Epoch(2), revision: Revision(1) };
        assert!(new > old);
    }

    #[test]
    fn a_fence_survives_its_text() {
        let fence = Fence { epoch: Epoch(3), revision: Revision(120) };
        assert_eq!(fence.to_string().parse(), Ok(fence));
        assert!("3".parse::<Fence>().is_err());
        assert!("3.x".parse::<Fence>().is_err());
    }

    #[test]
    fn group_ids_survive_their_text() {
        let id: GroupId = "web@12".parse().expect("a good id");
        assert_eq!(id.to_string().parse::<GroupId>(), Ok(id));
        assert!("web".parse::<GroupId>().is_err());
    }
}
