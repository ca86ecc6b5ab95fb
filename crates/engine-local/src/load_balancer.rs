//! The seam to the load balancer: what one stack wants served, and what was counted for it.

use async_trait::async_trait;
use landfall_engine::EngineError;
use landfall_model::{GroupId, ListenerName, Measured, StackId};
use landfall_protocol::edge;
use std::collections::BTreeMap;

/// Listeners and target groups of one stack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StackPart {
    /// Its listeners.
    pub listeners: Vec<edge::Listener>,
    /// Its target groups by [`group_key`].
    pub groups: BTreeMap<String, edge::TargetGroup>,
}

/// What was counted for one stack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StackStats {
    /// Counters since the load balancer started.
    pub measured: Measured,
    /// Open connections, or running requests where those are understood, by group.
    pub connections: BTreeMap<GroupId, u64>,
    /// The same by instance.
    pub instances: BTreeMap<String, u64>,
}

/// The key of a group among all stacks of the host: `app/stack service@release`.
#[must_use]
pub fn group_key(stack: &StackId, group: &GroupId) -> String {
    format!("{stack} {group}")
}

impl StackStats {
    /// The part of the edge's counters that belongs to a stack.
    #[must_use]
    pub fn of(stack: &StackId, stats: &edge::Stats) -> Self {
        let prefix = format!("{stack} ");
        let connections = stats
            .connections
            .iter()
            .filter_map(|(key, count)| Some((key.strip_prefix(&prefix)?.parse().ok()?, *count)))
            .collect();
        Self {
            measured: stats.measured.get(&stack.to_string()).copied().unwrap_or_default(),
            connections,
            instances: stats.targets.clone(),
        }
    }
}

/// Something that sends traffic to instances.
#[async_trait]
pub trait LoadBalancer: Send + Sync {
    /// Takes over one stack's whole part and returns once it is in force: no new request or
    /// connection follows an older one. Listeners that could not be served are named with the
    /// reason; the rest is in force.
    ///
    /// # Errors
    /// When the load balancer cannot be reached or refuses.
    async fn configure(
        &self,
        stack: &StackId,
        part: StackPart,
    ) -> Result<BTreeMap<ListenerName, String>, EngineError>;

    /// What was counted.
    ///
    /// # Errors
    /// When the load balancer cannot be reached.
    async fn stats(&self, stack: &StackId) -> Result<StackStats, EngineError>;
}
