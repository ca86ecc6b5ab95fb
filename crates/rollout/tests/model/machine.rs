//! An engine as its contract says: it keeps the highest fence and refuses older ones, starts a job
//! once for its name, and may take its time with everything else.

use crate::faults::Fault;
use crate::scenario::{ATTEMPTS, Wanted, group, job};
use landfall_model::{
    Fence, GroupStatus, InstanceState, InstanceStatus, JobState, Observed, Timestamp,
};
use std::collections::BTreeMap;

/// The instances of one release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Group {
    pub starting: u8,
    pub ready: u8,
    /// Whether instances are on their way out.
    pub stopping: bool,
    /// Whether its instances end again and again.
    pub hopeless: bool,
    /// Whether an instance was healthy since the group was started.
    pub proven: bool,
}

/// What became of an attempt at the hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Job {
    pub starts: u8,
    pub is: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Fate {
    #[default]
    Nothing,
    Running,
    Done,
    Failed,
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Machine {
    /// The highest fence accepted, as epoch and revision.
    pub accepted: (u8, u8),
    /// The fence of what was taken over last: the same, unless something is wrong.
    pub applied: (u8, u8),
    pub told: Wanted,
    pub groups: [Group; 2],
    /// Where the load balancer really sends traffic.
    pub traffic: Option<[u8; 2]>,
    pub jobs: [Job; ATTEMPTS],
}

/// What an engine does in its own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    Ready(usize),
    Stopped(usize),
    Moved,
    Ended(usize, Fate),
}

impl Machine {
    /// The old release serves, or nothing does.
    pub fn settled(told: Wanted) -> Self {
        let mut machine = Self { told, traffic: told.weights, ..Self::default() };
        for (group, replicas) in machine.groups.iter_mut().zip(told.replicas) {
            *group = Group { ready: replicas, proven: replicas > 0, ..Group::default() };
        }
        machine
    }

    pub fn refuses(&self, fence: (u8, u8), fault: Option<Fault>) -> bool {
        fence < self.accepted && fault != Some(Fault::EngineForgetsFence)
    }

    /// Takes over what it is told.
    pub fn accept(&mut self, fence: (u8, u8), told: Wanted, fault: Option<Fault>) {
        self.accepted = self.accepted.max(fence);
        self.applied = fence;
        self.told = told;
        for (group, wanted) in self.groups.iter_mut().zip(told.replicas) {
            resize(group, wanted);
        }
        for (attempt, job) in (1..).zip(&mut self.jobs) {
            if Some(attempt) != told.attempt && job.is == Fate::Running {
                job.is = Fate::Failed;
            }
        }
        let Some(attempt) = told.attempt else { return };
        let known = &mut self.jobs[usize::from(attempt) - 1];
        if known.is == Fate::Nothing || fault == Some(Fault::JobStartedAgain) {
            known.starts = (known.starts + 1).min(2);
            known.is = Fate::Running;
        }
    }

    pub fn events(&self, events: &mut Vec<Event>) {
        for (index, group) in self.groups.iter().enumerate() {
            if group.starting > 0 && !group.hopeless {
                events.push(Event::Ready(index));
            }
            if group.stopping {
                events.push(Event::Stopped(index));
            }
        }
        if self.traffic != self.told.weights {
            events.push(Event::Moved);
        }
        for (index, job) in self.jobs.iter().enumerate() {
            if job.is == Fate::Running {
                let fates = [Fate::Done, Fate::Failed, Fate::Lost];
                events.extend(fates.map(|fate| Event::Ended(index, fate)));
            }
        }
    }

    pub fn happen(&mut self, event: Event) {
        match event {
            Event::Ready(index) => {
                let group = &mut self.groups[index];
                group.starting -= 1;
                group.ready += 1;
                group.proven = true;
            }
            Event::Stopped(index) => self.groups[index].stopping = false,
            Event::Moved => self.traffic = self.told.weights,
            Event::Ended(index, fate) => self.jobs[index].is = fate,
        }
    }

    /// A healthy instance falls ill, or the group turns out hopeless.
    pub fn crash(&mut self, index: usize) -> bool {
        let group = &mut self.groups[index];
        if group.ready > 0 {
            group.ready -= 1;
            group.starting += 1;
        } else if group.starting > 0 && !group.hopeless {
            group.hopeless = true;
        } else {
            return false;
        }
        true
    }

    pub fn observe(&self) -> Observed {
        let mut observed = Observed { accepted: fence(self.accepted), ..Observed::default() };
        for (index, group_now) in self.groups.iter().enumerate() {
            let status = group_now.status(self.told.replicas[index]);
            if status.wanted > 0 || !status.instances.is_empty() {
                observed.groups.insert(group(index), status);
            }
        }
        if let Some(shares) = self.traffic {
            let shares = shares.iter().enumerate().filter(|(_, share)| **share > 0);
            let shares = shares.map(|(index, share)| (group(index), u16::from(*share)));
            observed.traffic.insert("public".parse().expect("a name"), shares.collect());
        }
        let jobs = (1..)
            .zip(&self.jobs)
            .filter_map(|(attempt, now)| Some((job(attempt), now.is.reported()?)));
        observed.jobs = jobs.collect::<BTreeMap<_, _>>();
        observed
    }
}

pub fn fence((epoch, revision): (u8, u8)) -> Fence {
    Fence {
        epoch: landfall_model::Epoch(epoch.into()),
        revision: landfall_model::Revision(revision.into()),
    }
}

fn resize(group: &mut Group, wanted: u8) {
    while group.starting + group.ready > wanted {
        if group.starting > 0 {
            group.starting -= 1;
        } else {
            group.ready -= 1;
        }
        group.stopping = true;
    }
    group.starting += wanted - group.starting - group.ready;
    if wanted == 0 {
        group.proven = false;
        group.hopeless = false;
    }
}

impl Group {
    fn status(&self, wanted: u8) -> GroupStatus {
        let running = u16::from(self.starting + self.ready);
        let count = running + u16::from(self.stopping);
        let instance = |number: u16| InstanceStatus {
            id: number.to_string(),
            state: InstanceState::Starting,
            pid: None,
            address: None,
            since: Timestamp(0),
            restarts: 0,
        };
        GroupStatus {
            wanted: wanted.into(),
            running,
            ready: self.ready.into(),
            failing: None,
            crash_loop: self.hopeless,
            instances: (0..count).map(instance).collect(),
        }
    }
}

impl Fate {
    fn reported(self) -> Option<JobState> {
        let exited = |code| JobState::Exited { code, output: String::new() };
        match self {
            Self::Nothing => None,
            Self::Running => Some(JobState::Running),
            Self::Done => Some(exited(0)),
            Self::Failed => Some(exited(1)),
            Self::Lost => Some(JobState::Unknown),
        }
    }
}
