//! The part of a desired state that a rollout changes step by step.

use landfall_model::{GroupId, ListenerName, ReleaseNumber, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which groups run, whose listeners are open and where their traffic goes.
///
/// A shape plus the releases it names is a desired state; the rollout's journal holds shapes
/// because they are small.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// Replicas by group.
    pub groups: BTreeMap<GroupId, u16>,
    /// The release whose listeners are open.
    pub listeners: Option<ReleaseNumber>,
    /// Shares of traffic. A listener without shares is open and says that nobody is there.
    pub weights: BTreeMap<ListenerName, BTreeMap<GroupId, u16>>,
    /// Groups that get nothing new, and when the rest is cut.
    pub draining: BTreeMap<GroupId, Timestamp>,
}

impl Shape {
    /// The groups that get traffic.
    pub fn served(&self) -> impl Iterator<Item = &GroupId> {
        self.weights
            .values()
            .flat_map(|shares| shares.iter().filter(|(_, weight)| **weight > 0).map(|(id, _)| id))
    }

    /// What is wrong with the shape, when something is: traffic at a group that does not run or
    /// that drains. No rollout may ever ask for such a shape.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        for group in self.served() {
            if self.groups.get(group).copied().unwrap_or(0) == 0 {
                return Some(format!("traffic goes to {group}, which does not run"));
            }
            if self.draining.contains_key(group) {
                return Some(format!("traffic goes to {group}, which drains"));
            }
        }
        self.draining
            .keys()
            .find(|group| !self.groups.contains_key(*group))
            .map(|group| format!("{group} drains and does not run"))
    }
}
