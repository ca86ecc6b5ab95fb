//! What outlives a configuration: counters, targets and what runs there.

use crate::count::{ListenerCount, StackCount};
use crate::target::Target;
use landfall_protocol::edge::Stats;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A listener's stack and name.
pub(crate) type ListenerKey = (String, String);
/// A target's group, id and address.
type TargetKey = (String, String, SocketAddr);

/// The register of all that is counted.
#[derive(Debug, Default)]
pub(crate) struct Live {
    register: Mutex<Register>,
}

#[derive(Debug, Default)]
struct Register {
    stacks: BTreeMap<String, Arc<StackCount>>,
    listeners: BTreeMap<ListenerKey, Arc<ListenerCount>>,
    targets: BTreeMap<TargetKey, Arc<Target>>,
}

impl Live {
    /// The counters of a stack, new ones at first.
    pub(crate) fn stack(&self, stack: &str) -> Arc<StackCount> {
        Arc::clone(self.register().stacks.entry(stack.to_owned()).or_default())
    }

    /// The counters of a listener, new ones at first.
    pub(crate) fn listener(&self, key: &ListenerKey) -> Arc<ListenerCount> {
        Arc::clone(self.register().listeners.entry(key.clone()).or_default())
    }

    /// The target of this group with this id and address, a new one at first.
    pub(crate) fn target(&self, group: &str, id: &str, address: SocketAddr) -> Arc<Target> {
        let key = (group.to_owned(), id.to_owned(), address);
        let mut register = self.register();
        let target = register
            .targets
            .entry(key)
            .or_insert_with(|| Arc::new(Target::new(id.to_owned(), address)));
        Arc::clone(target)
    }

    /// All targets that are configured or where something still runs, with their groups.
    pub(crate) fn targets(&self) -> Vec<(String, Arc<Target>)> {
        let register = self.register();
        register.targets.iter().map(|(key, target)| (key.0.clone(), Arc::clone(target))).collect()
    }

    /// All listeners that were ever configured, with their counters.
    pub(crate) fn listeners(&self) -> Vec<(ListenerKey, Arc<ListenerCount>)> {
        let register = self.register();
        register.listeners.iter().map(|(key, count)| (key.clone(), Arc::clone(count))).collect()
    }

    /// Forgets targets that are gone and where nothing runs any more.
    pub(crate) fn forget(&self) {
        self.register().targets.retain(|_, target| !target.is_over());
    }

    /// All counts, as the agent gets them.
    pub(crate) fn stats(&self, revision: u64) -> Stats {
        let register = self.register();
        let mut stats = Stats { revision, ..Stats::default() };
        for (stack, count) in &register.stacks {
            stats.measured.insert(stack.clone(), count.read());
        }
        for ((group, id, _), target) in &register.targets {
            let running = target.running();
            *stats.connections.entry(group.clone()).or_default() += running;
            *stats.targets.entry(id.clone()).or_default() += running;
        }
        stats
    }

    fn register(&self) -> MutexGuard<'_, Register> {
        self.register.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
