//! Instances of an earlier life: found in their folders and taken over as they are.

use super::Stack;
use super::instances::{Instance, Phase, discard};
use crate::disk;
use crate::instance::{Beginning, was_ready};
use crate::process::{self, Family};
use crate::run::Run;
use landfall_protocol::shim::{self, Main, Purpose, Spec};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

impl Stack {
    /// Takes over the instances of an earlier life.
    pub(super) fn adopt_instances(&mut self) {
        let Ok(entries) = std::fs::read_dir(self.folder.instances()) else { return };
        for entry in entries.flatten() {
            let folder = entry.path();
            if Run::is_buried(&folder) {
                continue;
            }
            match disk::read_record::<Spec>(&folder.join(shim::SPEC)) {
                Ok(Some(spec)) => self.adopt(Arc::new(spec)),
                Ok(None) => discard(&folder),
                Err(error) => {
                    tracing::warn!(%error, "an instance whose record is broken is removed");
                    let id = entry.file_name().to_string_lossy().into_owned();
                    let family = Family { id, ..Family::default() };
                    process::sweep(&family, &BTreeSet::new(), Duration::from_secs(2));
                    discard(&folder);
                }
            }
        }
    }

    fn adopt(&mut self, spec: Arc<Spec>) {
        let Purpose::Instance { place, restarts, drain, .. } = spec.purpose else { return };
        if let Some(address) = spec.address {
            self.host.ports.keep(address.port());
        }
        let slot = self.slots.entry((spec.group.clone(), place)).or_default();
        slot.place.restarts = slot.place.restarts.max(restarts);
        let id = spec.id.clone();
        let created = spec.created;
        // The load balancer may be told before the keeper has looked: what served goes on serving.
        let main = self.last_seen_ready(&spec);
        let ready = main.is_some();
        let stop = self.spawn_keeper(id.clone(), Beginning::Found(Arc::clone(&spec)));
        let instance = Instance {
            group: spec.group.clone(),
            place,
            drain,
            phase: if ready { Phase::Running } else { Phase::Starting },
            since: created,
            created,
            pid: main.map(|main| main.process.pid),
            ready,
            was_ready: ready,
            unhealthy: false,
            why: None,
            exposed: true,
            spec: Some(spec),
            stop,
        };
        self.instances.insert(id, instance);
    }

    /// The main process of an instance that was healthy when it was last checked and that has not
    /// ended since, as far as its folder says.
    fn last_seen_ready(&self, spec: &Spec) -> Option<Main> {
        let folder = self.folder.instance(&spec.id);
        let lives = spec.boot == self.host.boot && !folder.join(shim::EXIT).exists();
        let main = disk::read_record::<Main>(&folder.join(shim::MAIN)).ok()??;
        (lives && was_ready(&folder)).then_some(main)
    }
}
