//! What a stack reports.

use super::Stack;
use super::instances::{Instance, Phase};
use crate::{disk, log};
use landfall_model::{GroupId, GroupStatus, InstanceState, InstanceStatus, Observed};
use landfall_protocol::shim;
use std::collections::{BTreeMap, BTreeSet};

/// How many lines of a log explain a failure.
const LAST_LINES: usize = 10;
/// The same in bytes.
const LAST_BYTES: usize = 2 << 10;

impl Stack {
    /// Tells everybody who watches.
    pub(super) fn publish(&self) {
        let now = self.observe();
        self.observed.send_replace(now);
    }

    fn observe(&self) -> Observed {
        let ids: BTreeSet<&GroupId> =
            self.desired.groups.keys().chain(self.instances.values().map(|i| &i.group)).collect();
        let jobs = self
            .jobs
            .iter()
            .filter(|(id, job)| job.runs() || self.desired.jobs.contains_key(*id))
            .map(|(id, job)| (id.clone(), job.state.clone()));
        Observed {
            at: disk::now(),
            accepted: self.desired.fence,
            groups: ids.into_iter().map(|id| (id.clone(), self.group(id))).collect(),
            reached: BTreeMap::new(),
            traffic: self.heard.traffic.clone(),
            connections: self.heard.stats.connections.clone(),
            measured: self.heard.stats.measured,
            jobs: jobs.collect(),
            problems: self.problems(),
        }
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = self.heard.problems.clone();
        if let Some((why, _)) = &self.heard.failing {
            problems.push(format!("the load balancer cannot be configured: {why}"));
        }
        problems.extend(self.jobs.values().filter_map(|job| job.trouble.clone()));
        let missing: BTreeSet<&String> = self
            .slots
            .values()
            .filter_map(|slot| slot.last.as_ref())
            .filter(|last| last.id.is_none())
            .map(|last| &last.why)
            .collect();
        problems.extend(missing.into_iter().cloned());
        problems
    }

    fn group(&self, id: &GroupId) -> GroupStatus {
        let wanted = self.desired.groups.get(id).map_or(0, |group| group.replicas);
        let drains = self.desired.draining.contains_key(id);
        let mut status = GroupStatus { wanted, ..GroupStatus::default() };
        for (name, instance) in self.instances.iter().filter(|(_, i)| i.group == *id) {
            if instance.pid.is_some() {
                status.running += 1;
            }
            if instance.ready && instance.phase == Phase::Running {
                status.ready += 1;
            } else if matches!(instance.phase, Phase::Starting | Phase::Running)
                && status.failing.is_none()
            {
                status.failing = self.failing(name, instance);
            }
            status.instances.push(self.instance(name, instance, drains));
        }
        self.add_empty_places(id, wanted, &mut status);
        status
    }

    fn add_empty_places(&self, id: &GroupId, wanted: u16, status: &mut GroupStatus) {
        for ((_, place), slot) in self.slots.iter().filter(|((group, _), _)| group == id) {
            if *place >= wanted {
                continue;
            }
            status.crash_loop |= slot.place.crash_loop();
            let Some(last) = &slot.last else { continue };
            if let Some(name) = &last.id {
                // How the last one ended says more than what the next one has not done yet.
                status.failing = Some(self.with_last_words(&last.why, name));
            } else {
                status.failing = Some(last.why.clone());
            }
            let filled = self
                .instances
                .values()
                .any(|i| i.group == *id && i.place == *place && i.phase != Phase::Stopping);
            if !filled && let Some(name) = &last.id {
                status.instances.push(InstanceStatus {
                    id: name.clone(),
                    state: InstanceState::Waiting,
                    pid: None,
                    address: None,
                    since: last.since,
                    restarts: slot.place.restarts,
                });
            }
        }
    }

    fn failing(&self, name: &str, instance: &Instance) -> Option<String> {
        let why = match (&instance.why, &instance.spec) {
            (Some(why), _) => why.as_str(),
            (None, Some(_)) => "it has just been started",
            (None, None) => "it is being prepared",
        };
        Some(self.with_last_words(why, name))
    }

    fn with_last_words(&self, why: &str, name: &str) -> String {
        let folder = self.folder.instance(name).join(shim::LOG);
        let words = log::last_words(&folder, LAST_LINES, LAST_BYTES);
        if words.is_empty() {
            format!("{why}; it wrote nothing")
        } else {
            format!("{why}; its last lines:\n{words}")
        }
    }

    fn instance(&self, name: &str, instance: &Instance, group_drains: bool) -> InstanceStatus {
        let state = match instance.phase {
            Phase::Starting => InstanceState::Starting,
            Phase::Running if group_drains => InstanceState::Draining,
            Phase::Running if instance.ready => InstanceState::Ready,
            Phase::Running if instance.unhealthy => InstanceState::Unhealthy,
            Phase::Running => InstanceState::Starting,
            Phase::Draining { .. } => InstanceState::Draining,
            Phase::Stopping => InstanceState::Stopping,
            Phase::Ending => InstanceState::Waiting,
        };
        let place = (instance.group.clone(), instance.place);
        InstanceStatus {
            id: name.to_owned(),
            state,
            pid: instance.pid,
            address: instance.spec.as_ref().and_then(|spec| spec.address),
            since: instance.since,
            restarts: self.slots.get(&place).map_or(0, |slot| slot.place.restarts),
        }
    }
}
