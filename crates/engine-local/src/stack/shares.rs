//! What the load balancer should do, as it follows from the instances.

use super::Stack;
use super::instances::{Instance, Phase};
use crate::load_balancer::group_key;
use crate::traffic::{Wanted, WantedContent, WantedListener};
use landfall_model::{GroupId, Timestamp};
use landfall_protocol::edge::{Target, TargetGroup};
use landfall_protocol::shim;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Stack {
    /// Tells the load balancer when something changed for it.
    pub(super) fn tell_load_balancer(&mut self) {
        // Without materials, listeners would be told without their certificates: it goes on with
        // what it has until somebody brings them.
        let Some(materials) = self.materials.newest() else { return };
        let content = self.wanted_content();
        let before = self.wanted.borrow().clone();
        let revision = match &before {
            Some(before) if before.content == content => before.revision,
            Some(before) => before.revision + 1,
            None => 1,
        };
        self.note_exposure(&content, revision);
        if before.is_none_or(|before| before.revision != revision) {
            self.wanted.send_replace(Some(Arc::new(Wanted { revision, content, materials })));
        }
    }

    fn wanted_content(&self) -> WantedContent {
        let mut groups: BTreeMap<String, TargetGroup> = BTreeMap::new();
        let ids: BTreeSet<&GroupId> =
            self.desired.groups.keys().chain(self.instances.values().map(|i| &i.group)).collect();
        for id in ids {
            let group = TargetGroup {
                stack: self.id.to_string(),
                targets: Vec::new(),
                drain_until: self.desired.draining.get(id).map(|draining| draining.until),
            };
            groups.insert(group_key(&self.id, id), group);
        }
        for (id, instance) in &self.instances {
            if let Some(target) = target(id, instance)
                && let Some(group) = groups.get_mut(&group_key(&self.id, &instance.group))
            {
                group.targets.push(target);
            }
        }
        let listeners = self.desired.listeners.iter().map(|(name, state)| WantedListener {
            name: name.clone(),
            listener: state.listener.clone(),
            certificate: state.certificate.clone(),
            weights: state
                .weights
                .iter()
                .map(|(group, weight)| (group_key(&self.id, group), *weight))
                .collect(),
        });
        let traffic = self
            .desired
            .listeners
            .iter()
            .map(|(name, state)| (name.clone(), state.weights.clone()));
        WantedContent { listeners: listeners.collect(), groups, traffic: traffic.collect() }
    }

    /// Remembers who may get something from this revision on, and who gets nothing new.
    fn note_exposure(&mut self, content: &WantedContent, revision: u64) {
        let served: BTreeSet<&GroupId> = content
            .traffic
            .values()
            .flat_map(|shares| shares.iter().filter(|(_, weight)| **weight > 0))
            .map(|(group, _)| group)
            .collect();
        for instance in self.instances.values_mut() {
            if let Phase::Draining { from: from @ None, .. } = &mut instance.phase {
                *from = Some(revision);
            }
            let healthy = instance.ready && instance.phase == Phase::Running;
            instance.exposed |= healthy && served.contains(&instance.group);
        }
    }

    /// Removes artifacts that no instance has and nobody wants, on this stack or another.
    pub(super) fn retire_artifacts(&mut self) {
        let host = Arc::clone(&self.host);
        self.tasks.spawn(async move {
            let wanted = wanted_artifacts(&host);
            host.artifacts.retain(&wanted).await;
        });
    }
}

fn target(id: &str, instance: &Instance) -> Option<Target> {
    let address = instance.spec.as_ref()?.address?;
    let drain_until: Option<Timestamp> = match instance.phase {
        Phase::Starting | Phase::Running => None,
        Phase::Draining { until, .. } => Some(until),
        Phase::Stopping => Some(instance.since),
        Phase::Ending => return None,
    };
    let healthy = instance.ready && instance.phase == Phase::Running;
    Some(Target { id: id.to_owned(), address, healthy, drain_until })
}

/// The digests, in hexadecimal, that any stack of the host wants or has in use.
fn wanted_artifacts(host: &crate::host::Host) -> BTreeSet<String> {
    let mut wanted = BTreeSet::new();
    let folders = |path: &std::path::Path| {
        std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path())
    };
    for stack in folders(&host.stacks()) {
        let folder = crate::host::StackFolder(stack);
        if let Ok(Some(desired)) =
            crate::disk::read_record::<landfall_model::Desired>(&folder.desired())
        {
            let services = desired.groups.values().map(|group| &group.service);
            let services = services.chain(desired.jobs.values().map(|job| &job.service));
            wanted.extend(services.filter_map(|it| Some(it.artifact.as_ref()?.digest.hex())));
        }
        for run in folders(&folder.instances()).chain(folders(&folder.jobs())) {
            if crate::run::Run::is_buried(&run) {
                continue;
            }
            let spec = crate::disk::read_record::<shim::Spec>(&run.join(shim::SPEC)).ok().flatten();
            let name = spec.and_then(|spec| Some(spec.artifact.file_name()?.to_str()?.to_owned()));
            wanted.extend(name);
        }
    }
    wanted
}
