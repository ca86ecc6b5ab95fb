//! Instances: which are missing, which are too many, and what becomes of each.

use super::Stack;
use crate::disk;
use crate::health::Verdict;
use crate::instance::{Beginning, Keeper, News, Order};
use crate::place::Place;
use crate::run::Run;
use landfall_model::{GroupId, Millis, ServiceName, Timestamp};
use landfall_protocol::shim::{self, Exit, Spec};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;

/// How long after the end of a drain an instance is stopped even though the load balancer could
/// not be told.
const UNTOLD: Millis = Millis(30_000);

/// What an instance is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It is being made, or its process is being started.
    Starting,
    /// It runs.
    Running,
    /// It gets nothing new and finishes what it has.
    Draining {
        /// Until then at most.
        until: Timestamp,
        /// The load balancer's revision from which on it gets nothing new.
        from: Option<u64>,
    },
    /// It was asked to end.
    Stopping,
    /// Its main process has ended by itself.
    Ending,
}

/// An instance in memory.
pub(crate) struct Instance {
    pub group: GroupId,
    pub place: u16,
    pub drain: Millis,
    pub spec: Option<Arc<Spec>>,
    pub phase: Phase,
    pub since: Timestamp,
    pub created: Timestamp,
    pub pid: Option<u32>,
    pub ready: bool,
    pub was_ready: bool,
    pub unhealthy: bool,
    pub why: Option<String>,
    /// Whether a client may have been sent to it.
    pub exposed: bool,
    pub(super) stop: watch::Sender<bool>,
}

impl Instance {
    pub fn set(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = disk::now();
    }

    pub const fn draining_until(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Draining { until, .. } => Some(until),
            _ => None,
        }
    }

    /// Whether it fills its place.
    const fn fills(&self) -> bool {
        matches!(self.phase, Phase::Starting | Phase::Running | Phase::Ending)
    }
}

/// A place in a group and what is remembered of it.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    pub place: Place,
    /// The instance that filled it last, and why it does not any more.
    pub last: Option<Last>,
}

/// The last instance of a place.
#[derive(Debug)]
pub(crate) struct Last {
    pub id: Option<String>,
    pub since: Timestamp,
    pub why: String,
}

impl Stack {
    pub(super) fn spawn_keeper(&mut self, id: String, beginning: Beginning) -> watch::Sender<bool> {
        let (stop, stopped) = watch::channel(false);
        let keeper = Keeper {
            host: Arc::clone(&self.host),
            stack: self.folder.clone(),
            id,
            stop: stopped,
            news: self.news.clone(),
        };
        self.tasks.spawn(keeper.keep(beginning));
        stop
    }

    /// Takes what is not desired out of traffic.
    pub(super) fn drain_surplus(&mut self) {
        let now = disk::now();
        for instance in self.instances.values_mut() {
            let wanted = self
                .desired
                .groups
                .get(&instance.group)
                .is_some_and(|group| instance.place < group.replicas);
            if wanted || matches!(instance.phase, Phase::Draining { .. } | Phase::Stopping) {
                continue;
            }
            let until = self.drained.get(&instance.group).copied();
            let until = until.unwrap_or_else(|| now.after(instance.drain));
            instance.set(Phase::Draining { until, from: None });
        }
    }

    /// Stops what has finished draining: nothing that may still be given a request.
    pub(super) fn stop_drained(&mut self) {
        let now = disk::now();
        let view = &self.heard;
        for (id, instance) in &mut self.instances {
            let Phase::Draining { until, from } = instance.phase else { continue };
            let told = from.is_some_and(|revision| view.in_force >= revision);
            let counted = from.is_some_and(|revision| view.counted_at >= revision);
            let open = view.stats.instances.get(id).copied().unwrap_or(0);
            let empty = told && counted && open == 0;
            let over = told && now >= until;
            let hopeless = view.failing.is_some() && now >= until.after(UNTOLD);
            if !instance.exposed || empty || over || hopeless {
                instance.set(Phase::Stopping);
                instance.stop.send_replace(true);
            }
        }
    }

    /// Starts what is missing.
    pub(super) fn fill_places(&mut self) {
        let now = Instant::now();
        let mut missing = Vec::new();
        for (id, group) in &self.desired.groups {
            let blocked = !group.service.overlap && self.other_release_runs(id);
            for place in (0..group.replicas).filter(|_| !blocked) {
                let filled = self
                    .instances
                    .values()
                    .any(|i| i.group == *id && i.place == place && i.fills());
                let slot = self.slots.get(&(id.clone(), place));
                let waits = slot.and_then(|s| s.place.not_before).is_some_and(|at| at > now);
                if !filled && !waits {
                    missing.push((id.clone(), place));
                }
            }
        }
        for (group, place) in missing {
            self.start(group, place);
        }
    }

    fn other_release_runs(&self, group: &GroupId) -> bool {
        self.instances
            .values()
            .any(|i| i.group.service == group.service && i.group.release != group.release)
    }

    fn start(&mut self, group: GroupId, place: u16) {
        let Some(what) = self.desired.groups.get(&group).cloned() else { return };
        let id = match disk::random_name() {
            Ok(random) => format!("{}-{}-{random}", group.service, group.release),
            Err(error) => return self.not_made(&group, place, error.to_string()),
        };
        let slot = self.slots.entry((group.clone(), place)).or_default();
        let restarts = slot.place.restarts;
        let drain = what.drain;
        let order = Order {
            stack: self.id.clone(),
            group: group.clone(),
            what,
            place,
            restarts,
            materials: self.materials.clone(),
        };
        let stop = self.spawn_keeper(id.clone(), Beginning::New(Box::new(order)));
        let now = disk::now();
        let instance = Instance {
            group,
            place,
            drain,
            spec: None,
            phase: Phase::Starting,
            since: now,
            created: now,
            pid: None,
            ready: false,
            was_ready: false,
            unhealthy: false,
            why: None,
            exposed: false,
            stop,
        };
        self.instances.insert(id, instance);
    }

    fn not_made(&mut self, group: &GroupId, place: u16, why: String) {
        let slot = self.slots.entry((group.clone(), place)).or_default();
        slot.place.not_prepared(Instant::now());
        slot.last =
            Some(Last { id: None, since: disk::now(), why: format!("cannot start: {why}") });
    }

    /// Takes note of what happened to an instance.
    pub(super) fn hear_of_instance(&mut self, id: &str, news: News) {
        match news {
            News::Ended(exit) => return self.instance_ended(id, exit.as_ref()),
            News::NotMade(why) => {
                let Some(instance) = self.instances.remove(id) else { return };
                if instance.fills() {
                    self.not_made(&instance.group, instance.place, why);
                }
                return;
            }
            _ => {}
        }
        let Some(instance) = self.instances.get_mut(id) else { return };
        match news {
            News::Placed(spec) => instance.spec = Some(spec),
            News::Running { pid, was_ready } => {
                instance.pid = pid;
                instance.ready = was_ready;
                instance.was_ready = was_ready;
                if instance.phase == Phase::Starting {
                    instance.set(Phase::Running);
                }
            }
            News::Health(verdict) => {
                let place = (instance.group.clone(), instance.place);
                if take_verdict(instance, verdict) {
                    let slot = self.slots.entry(place).or_default();
                    slot.place.ready(Instant::now());
                    slot.last = None;
                }
            }
            News::MainEnded => {
                instance.ready = false;
                instance.pid = None;
                if instance.phase == Phase::Running || instance.phase == Phase::Starting {
                    instance.set(Phase::Ending);
                }
            }
            News::Ended(_) | News::NotMade(_) => {}
        }
    }

    fn instance_ended(&mut self, id: &str, exit: Option<&Exit>) {
        let Some(instance) = self.instances.remove(id) else { return };
        let now = Instant::now();
        if instance.fills() {
            let slot = self.slots.entry((instance.group.clone(), instance.place)).or_default();
            let rebooted = instance.spec.as_ref().is_some_and(|s| s.boot != self.host.boot);
            if !rebooted {
                let ran = exit.map_or_else(
                    || disk::now().since(instance.created).duration(),
                    |exit| exit.ran.duration(),
                );
                slot.place.ended(now, ran, instance.was_ready);
            }
            let why = if rebooted { "the host was restarted".to_owned() } else { describe(exit) };
            slot.last = Some(Last { id: Some(id.to_owned()), since: disk::now(), why });
        }
        self.forget_ended(&instance.group.service);
        self.retire_artifacts();
    }

    /// Keeps the folders of the newest ended instances of a service, for their logs.
    fn forget_ended(&self, service: &ServiceName) {
        let Ok(entries) = std::fs::read_dir(self.folder.instances()) else { return };
        let mut ended: Vec<(Timestamp, PathBuf)> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|folder| Run::is_buried(folder))
            .filter_map(|folder| {
                let spec = disk::read_record::<Spec>(&folder.join(shim::SPEC)).ok()??;
                (spec.group.service == *service).then_some((spec.created, folder))
            })
            .collect();
        ended.sort();
        let surplus = ended.len().saturating_sub(self.host.keep_ended);
        for (_, folder) in ended.drain(..surplus) {
            discard(&folder);
        }
    }

    /// The newest instance of a service that is ready.
    pub(super) fn newest_ready(&self, service: &ServiceName) -> Option<Arc<Spec>> {
        self.instances
            .values()
            .filter(|i| i.group.service == *service && i.ready && i.phase == Phase::Running)
            .max_by_key(|i| (i.group.release, i.created))
            .and_then(|i| i.spec.clone())
    }
}

/// Whether it just became ready.
fn take_verdict(instance: &mut Instance, verdict: Verdict) -> bool {
    let before = (instance.ready, instance.unhealthy);
    let (ready, unhealthy, why) = match verdict {
        Verdict::Ready => (true, false, None),
        Verdict::NotYet(why) => (false, false, Some(why)),
        Verdict::Unhealthy(why) => (false, true, Some(why)),
    };
    instance.ready = ready;
    instance.unhealthy = unhealthy;
    instance.why = why;
    instance.was_ready |= ready;
    if before != (ready, unhealthy) && instance.phase == Phase::Running {
        instance.since = disk::now();
    }
    ready && !before.0
}

/// How it ended, in words.
fn describe(exit: Option<&Exit>) -> String {
    let Some(exit) = exit else {
        return "its shim was killed, and it with it".to_owned();
    };
    if let Some(why) = &exit.failure {
        return why.clone();
    }
    #[expect(clippy::cast_precision_loss, reason = "seconds for people, with one digit")]
    let seconds = exit.ran.0 as f64 / 1000.0;
    let how = match (exit.code, exit.signal) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    };
    let memory = if exit.out_of_memory == Some(true) { ", out of memory" } else { "" };
    format!("{how} after {seconds:.1} s{memory}")
}

pub(super) fn discard(folder: &std::path::Path) {
    if let Err(error) = disk::remove_folder(folder) {
        tracing::warn!(%error, "the folder of an ended instance stays");
    }
}
