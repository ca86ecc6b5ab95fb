//! The small releases that the model goes between, and the bounds within which it does.

use landfall_model::{
    AppName, Artifact, Bytes, Content, Digest, FORMAT, Fence, GroupId, Health, HealthCheck, Hook,
    Listener, ListenerProtocol, Millis, Release, ReleaseNumber, Resources, RolloutPolicy, Route,
    Service, ServiceName, Signal, Source, StackId, Stop, Strategy, Timestamp, Verb,
};
use landfall_rollout::{Context, State, desired, job_id};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How often each trouble may strike on one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// A client dies.
    pub deaths: u8,
    /// Somebody takes over, whether or not the one before is dead.
    pub take_overs: u8,
    /// Somebody cancels.
    pub cancels: u8,
    /// A person answers what became of a hook.
    pub answers: u8,
    /// A group turns out hopeless, or a healthy instance falls ill.
    pub crashes: u8,
    /// A client gives up on an answer of the journal and goes on from what it knows.
    pub given_up: u8,
}

/// What is rolled out, and what may go wrong meanwhile.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    pub verb: Verb,
    /// Whether a release serves before.
    pub first: bool,
    pub rolling: bool,
    /// Whether the two releases may run at once.
    pub overlap: bool,
    pub replicas: u16,
    /// A hook, and whether it is safe to retry.
    pub hook: Option<bool>,
    pub bake: bool,
    pub bounds: Bounds,
}

/// What an engine is told, as far as one service, one listener and one hook go: the real
/// [`desired`] in a small form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Wanted {
    /// Replicas of the old and the new release.
    pub replicas: [u8; 2],
    /// Shares of the two, while the listener is open.
    pub weights: Option<[u8; 2]>,
    /// The attempt of the hook that should have been started.
    pub attempt: Option<u8>,
}

/// Attempts at the hook that the model knows.
pub const ATTEMPTS: usize = 5;

pub fn group(release: usize) -> GroupId {
    GroupId { service: service_name(), release: ReleaseNumber(release as u64 + 1) }
}

fn service_name() -> ServiceName {
    "web".parse().expect("a name")
}

impl Scenario {
    pub fn context(&self) -> Context {
        let new = self.release(2);
        Context {
            stack: StackId {
                app: AppName::new("shop").expect("a name"),
                stack: "local".parse().expect("a name"),
            },
            verb: self.verb,
            from: (!self.first).then(|| Arc::new(self.release(1))),
            to: (self.verb != Verb::Down).then(|| Arc::new(new)),
        }
    }

    fn release(&self, number: u64) -> Release {
        let listener = Listener {
            listen: ([127, 0, 0, 1], 8000).into(),
            protocol: ListenerProtocol::Tcp,
            certificate: None,
            policy: None,
            hosts: BTreeSet::new(),
            route: Route::To(service_name()),
            balancer: None,
        };
        let hook = self.hook.map(|retry_safe| Hook {
            name: "migrate".parse().expect("a name"),
            service: service_name(),
            command: vec!["migrate".into()],
            timeout: Millis(1000),
            on: BTreeSet::from([Verb::Up]),
            retry_safe,
        });
        Release {
            format: FORMAT,
            app: AppName::new("shop").expect("a name"),
            stack: "local".parse().expect("a name"),
            number: ReleaseNumber(number),
            restores: None,
            substitutions: Vec::new(),
            sealed_at: Timestamp(0),
            sealed_by: "me@here".into(),
            source: Source::default(),
            content: Content {
                options: BTreeMap::new(),
                certificates: BTreeMap::new(),
                services: BTreeMap::from([(service_name(), self.service())]),
                listeners: BTreeMap::from([("public".parse().expect("a name"), listener)]),
                hooks: hook.into_iter().collect(),
                rollout: RolloutPolicy {
                    strategy: if self.rolling { Strategy::Rolling } else { Strategy::BlueGreen },
                    drain: Millis(1000),
                    bake: Millis(if self.bake { 1000 } else { 0 }),
                    deadline: Millis(1000),
                },
            },
        }
    }

    fn service(&self) -> Service {
        Service {
            artifact: Some(Artifact {
                digest: Digest::from_bytes([7; 32]),
                size: Bytes(1),
                path: "./dist".into(),
            }),
            image: None,
            preloaded: false,
            port: None,
            command: vec!["./web".into()],
            replicas: self.replicas,
            env: BTreeMap::new(),
            health: Health {
                check: HealthCheck::Tcp,
                every: Millis(100),
                timeout: Millis(100),
                healthy: 1,
                unhealthy: 1,
            },
            stop: Stop { signal: Signal::Term, grace: Millis(100) },
            overlap: self.overlap,
            volumes: BTreeMap::new(),
            resources: Resources::default(),
        }
    }
}

impl Wanted {
    /// What the engine is told in this state.
    pub fn of(context: &Context, state: &State) -> Self {
        let told = desired(context, state, Fence::default());
        let small = |count: u16| u8::try_from(count).expect("few");
        let replicas = [0, 1].map(|release| {
            told.groups.get(&group(release)).map_or(0, |group| small(group.replicas))
        });
        let weights = told.listeners.values().next().map(|listener| {
            [0, 1].map(|release| {
                listener.weights.get(&group(release)).map_or(0, |share| small(*share))
            })
        });
        let attempt = told.jobs.keys().next().map(|id| {
            let known = (1..=ATTEMPTS as u32).find(|attempt| *id == job(*attempt));
            u8::try_from(known.expect("few attempts")).expect("few")
        });
        Self { replicas, weights, attempt }
    }
}

pub fn job(attempt: u32) -> landfall_model::JobId {
    job_id(ReleaseNumber(2), "migrate", attempt)
}
