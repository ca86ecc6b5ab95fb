//! The simulated world: what would happen, without anything happening.

use landfall_model::{
    Desired, Fence, GroupId, GroupStatus, InstanceState, InstanceStatus, JobId, JobState,
    ListenerName, Measured, Millis, Observed, Service, Timestamp,
};
use std::collections::BTreeMap;

/// How the instances of a service behave, read from the environment of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Behaviour {
    /// Healthy after this long (`SIM_READY`, in milliseconds); never when it is `never`.
    pub ready: Option<Millis>,
    /// Ends by itself after this long (`SIM_CRASH`, in milliseconds).
    pub crash: Option<Millis>,
    /// What its jobs do (`SIM_JOB`: an exit code, `hang` or `unknown`).
    pub job: Job,
}

/// What a job of a service does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Job {
    /// Ends with this code.
    Exit(i32),
    /// Never ends.
    Hang,
    /// Nobody knows what becomes of it.
    Lost,
}

impl Behaviour {
    /// Reads it from a service.
    #[must_use]
    pub fn of(service: &Service) -> Self {
        let read = |name: &str| service.env.get(name).map(String::as_str);
        let millis = |text: &str| text.parse().map(Millis).ok();
        Self {
            ready: match read("SIM_READY") {
                Some("never") => None,
                Some(text) => millis(text),
                None => Some(Millis(10)),
            },
            crash: read("SIM_CRASH").and_then(millis),
            job: match read("SIM_JOB") {
                Some("hang") => Job::Hang,
                Some("unknown") => Job::Lost,
                Some(text) => Job::Exit(text.parse().unwrap_or(0)),
                None => Job::Exit(0),
            },
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Instance {
    group: GroupId,
    number: u64,
    started: Timestamp,
    behaviour: Behaviour,
    crashes: u32,
}

impl Instance {
    fn ready(&self, now: Timestamp) -> bool {
        self.behaviour.ready.is_some_and(|after| now >= self.started.after(after))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct RunningJob {
    started: Timestamp,
    state: Option<i32>,
    lost: bool,
    timed_out: bool,
    kind: Job,
    timeout: Millis,
}

/// A deterministic world with one stack in it.
#[derive(Debug, Clone, Default)]
pub struct World {
    now: Timestamp,
    accepted: Fence,
    desired: Option<Desired>,
    instances: Vec<Instance>,
    numbers: u64,
    jobs: BTreeMap<JobId, RunningJob>,
    traffic: BTreeMap<ListenerName, BTreeMap<GroupId, u16>>,
    starts: BTreeMap<JobId, u32>,
    faults: Vec<String>,
}

impl World {
    /// Takes over a desired state; an older fence is refused with the one that is in force.
    ///
    /// # Errors
    /// The accepted fence, when the offered one is older.
    pub fn apply(&mut self, desired: Desired) -> Result<(), Fence> {
        if desired.fence < self.accepted {
            return Err(self.accepted);
        }
        self.accepted = desired.fence;
        for (id, job) in &desired.jobs {
            if self.jobs.contains_key(id) {
                continue;
            }
            *self.starts.entry(id.clone()).or_default() += 1;
            let kind = Behaviour::of(&job.service).job;
            let running = RunningJob {
                started: self.now,
                state: None,
                lost: false,
                timed_out: false,
                kind,
                timeout: job.timeout,
            };
            self.jobs.insert(id.clone(), running);
        }
        self.desired = Some(desired);
        Ok(())
    }

    /// Lets time go by and brings the world one step closer to what is desired.
    pub fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        self.end_jobs();
        self.crash_instances();
        let Some(desired) = self.desired.clone() else { return };
        self.start_and_stop(&desired);
        self.move_traffic(&desired);
    }

    fn end_jobs(&mut self) {
        let now = self.now;
        for job in self.jobs.values_mut().filter(|job| job.state.is_none() && !job.lost) {
            match job.kind {
                Job::Exit(code) if now.since(job.started).0 >= 5 => job.state = Some(code),
                Job::Lost if now.since(job.started).0 >= 5 => job.lost = true,
                _ if now.since(job.started) >= job.timeout => {
                    job.timed_out = true;
                    job.state = Some(137);
                }
                _ => {}
            }
        }
    }

    fn crash_instances(&mut self) {
        let now = self.now;
        for instance in &mut self.instances {
            let crashed =
                instance.behaviour.crash.is_some_and(|after| now >= instance.started.after(after));
            if crashed {
                instance.crashes += 1;
                instance.started = now;
            }
        }
    }

    fn start_and_stop(&mut self, desired: &Desired) {
        self.instances.retain(|instance| desired.groups.contains_key(&instance.group));
        for (id, group) in &desired.groups {
            let running = self.instances.iter().filter(|it| it.group == *id).count();
            let wanted = usize::from(group.replicas);
            for _ in running..wanted {
                self.numbers += 1;
                self.instances.push(Instance {
                    group: id.clone(),
                    number: self.numbers,
                    started: self.now,
                    behaviour: Behaviour::of(&group.service),
                    crashes: 0,
                });
            }
            let mut surplus = running.saturating_sub(wanted);
            self.instances.retain(|instance| {
                let goes = surplus > 0 && instance.group == *id;
                if goes {
                    surplus -= 1;
                }
                !goes
            });
        }
    }

    fn move_traffic(&mut self, desired: &Desired) {
        let wanted: BTreeMap<_, _> = desired
            .listeners
            .iter()
            .map(|(name, state)| (name.clone(), state.weights.clone()))
            .collect();
        if wanted == self.traffic {
            return;
        }
        for (listener, shares) in &wanted {
            for id in shares.keys() {
                let known = self.traffic.get(listener).is_some_and(|now| now.contains_key(id));
                let healthy = self.instances.iter().any(|it| it.group == *id && it.ready(self.now));
                if !known && !healthy {
                    self.faults.push(format!("{listener} moved to {id}, which is not healthy"));
                }
            }
        }
        self.traffic = wanted;
    }

    /// Lets an instance of a group die, as if somebody had killed it.
    pub fn kill_instance(&mut self, group: &GroupId) {
        let now = self.now;
        if let Some(instance) = self.instances.iter_mut().find(|it| it.group == *group) {
            instance.crashes += 1;
            instance.started = now;
        }
    }

    /// What went wrong that must never go wrong: traffic moved to a group that was not healthy, a
    /// job started twice.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let twice = self
            .starts
            .iter()
            .filter(|(_, starts)| **starts > 1)
            .map(|(id, starts)| format!("{id} was started {starts} times"));
        self.faults.iter().cloned().chain(twice).collect()
    }

    /// How often each job was started.
    #[must_use]
    pub const fn starts(&self) -> &BTreeMap<JobId, u32> {
        &self.starts
    }

    /// The time in the world.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// What an engine would report.
    #[must_use]
    pub fn observe(&self) -> Observed {
        Observed {
            at: self.now,
            accepted: self.accepted,
            groups: self.groups(),
            traffic: self.traffic.clone(),
            connections: BTreeMap::new(),
            measured: Measured::default(),
            reached: BTreeMap::new(),
            jobs: self.jobs.iter().map(|(id, job)| (id.clone(), job_state(job))).collect(),
            problems: Vec::new(),
        }
    }

    fn groups(&self) -> BTreeMap<GroupId, GroupStatus> {
        let mut groups: BTreeMap<GroupId, GroupStatus> = BTreeMap::new();
        if let Some(desired) = &self.desired {
            for (id, group) in &desired.groups {
                groups.entry(id.clone()).or_default().wanted = group.replicas;
            }
        }
        for instance in &self.instances {
            let status = groups.entry(instance.group.clone()).or_default();
            let ready = instance.ready(self.now);
            status.running += 1;
            status.ready += u16::from(ready);
            status.crash_loop |= instance.crashes >= 3;
            if !ready {
                status.failing = Some("the simulated instance is not ready".into());
            }
            status.instances.push(InstanceStatus {
                id: format!("{}-{}", instance.group, instance.number),
                state: if ready { InstanceState::Ready } else { InstanceState::Starting },
                pid: None,
                address: None,
                since: instance.started,
                restarts: instance.crashes,
            });
        }
        groups
    }
}

fn job_state(job: &RunningJob) -> JobState {
    match job.state {
        _ if job.lost => JobState::Unknown,
        Some(_) if job.timed_out => JobState::TimedOut { output: String::new() },
        Some(code) => JobState::Exited { code, output: String::new() },
        None => JobState::Running,
    }
}
