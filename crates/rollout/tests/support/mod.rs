//! Releases made by chance, and the loop of a rollout without anything asynchronous in it.

use landfall_engine::simulated::World;
use landfall_model::{
    AppName, Artifact, Bytes, Content, Digest, FORMAT, Fence, Health, HealthCheck, Hook, Listener,
    ListenerProtocol, Millis, Outcome, Release, ReleaseNumber, Resources, Revision, RolloutPolicy,
    Route, Service, Signal, Source, StackId, Stop, Strategy as Way, Timestamp, Verb,
};
use landfall_plan::Shape;
use landfall_rollout::{Context, Input, Phase, State, desired, next};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How one service of a release behaves.
#[derive(Debug, Clone, Default)]
pub struct Makeup {
    /// It never becomes healthy.
    pub never_ready: bool,
    /// It ends again and again.
    pub crashes: bool,
    /// Two releases of it may never run at once.
    pub alone: bool,
    /// Whether a listener goes to it.
    pub served: bool,
    /// How many.
    pub replicas: u16,
    /// What the hook does, where there is one: an exit code, `hang` or `unknown`.
    pub hook: Option<&'static str>,
    /// The hook may be started again.
    pub retry: bool,
}

/// What goes wrong from outside.
#[derive(Debug, Clone, Default)]
pub struct Trouble {
    /// The driver dies in this round: before the write, after it, or after the effect.
    pub deaths: Vec<(u64, u8)>,
    /// Somebody cancels at this time.
    pub cancel: Option<u64>,
    /// An instance dies at these times.
    pub kills: Vec<u64>,
    /// What a person answers when asked.
    pub answer: Option<bool>,
}

/// Two releases and a verb.
#[derive(Debug, Clone)]
pub struct Case {
    context: Context,
    troubled: bool,
}

fn stack() -> StackId {
    StackId { app: "shop".parse().expect("a name"), stack: "local".parse().expect("a name") }
}

fn service(makeup: &Makeup) -> Service {
    let mut env = BTreeMap::new();
    if makeup.never_ready {
        env.insert("SIM_READY".into(), "never".into());
    }
    if makeup.crashes {
        env.insert("SIM_READY".into(), "never".into());
        env.insert("SIM_CRASH".into(), "60".into());
    }
    if let Some(hook) = makeup.hook {
        env.insert("SIM_JOB".into(), hook.into());
    }
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
        replicas: makeup.replicas,
        env,
        health: Health {
            check: HealthCheck::Tcp,
            every: Millis(100),
            timeout: Millis(100),
            healthy: 1,
            unhealthy: 1,
        },
        stop: Stop { signal: Signal::Term, grace: Millis(100) },
        overlap: !makeup.alone,
        volumes: BTreeMap::new(),
        resources: Resources::default(),
    }
}

fn release(number: u64, makeups: &[Makeup], rolling: bool, bake: u64) -> Release {
    let names = ["web", "api", "worker"];
    let mut services = BTreeMap::new();
    let mut listeners = BTreeMap::new();
    let mut hooks = Vec::new();
    for (name, makeup) in names.into_iter().zip(makeups) {
        let service_name: landfall_model::ServiceName = name.parse().expect("a name");
        services.insert(service_name.clone(), service(makeup));
        if makeup.served {
            let listener = Listener {
                listen: ([127, 0, 0, 1], 8000).into(),
                protocol: ListenerProtocol::Tcp,
                certificate: None,
                policy: None,
                hosts: BTreeSet::new(),
                route: Route::To(service_name.clone()),
                balancer: None,
            };
            listeners.insert(format!("public-{name}").parse().expect("a name"), listener);
        }
        if makeup.hook.is_some() {
            hooks.push(Hook {
                name: format!("hook-{name}").parse().expect("a name"),
                service: service_name,
                command: vec!["migrate".into()],
                timeout: Millis(400),
                on: BTreeSet::from([Verb::Up]),
                retry_safe: makeup.retry,
            });
        }
    }
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
            services,
            listeners,
            hooks,
            rollout: RolloutPolicy {
                strategy: if rolling { Way::Rolling } else { Way::BlueGreen },
                drain: Millis(150),
                bake: Millis(bake),
                deadline: Millis(1500),
            },
        },
    }
}

prop_compose! {
    fn makeup()(
        trouble in prop_oneof![6 => Just((false, false)), 1 => Just((true, false)), 1 => Just((false, true))],
        alone in prop::bool::weighted(0.25),
        served in prop::bool::weighted(0.6),
        replicas in 0_u16..4,
        hook in prop_oneof![5 => Just(None), 1 => Just(Some("0")), 1 => Just(Some("1")), 1 => Just(Some("hang")), 1 => Just(Some("unknown"))],
        retry in any::<bool>(),
    ) -> Makeup {
        Makeup { never_ready: trouble.0, crashes: trouble.1, alone, served, replicas, hook, retry }
    }
}

fn well(makeup: &Makeup) -> Makeup {
    Makeup { never_ready: false, crashes: false, hook: None, ..makeup.clone() }
}

prop_compose! {
    /// Two releases made by chance; the one that serves is a healthy one.
    pub fn case()(
        old in prop::option::of(prop::collection::vec(makeup(), 1..4)),
        new in prop::option::weighted(0.9, prop::collection::vec(makeup(), 1..4)),
        rolling in any::<bool>(),
        bake in prop_oneof![Just(0_u64), Just(200)],
        back in any::<bool>(),
    ) -> Case {
        let from = old.map(|old| {
            let old: Vec<Makeup> = old.iter().map(well).collect();
            Arc::new(release(1, &old, false, 0))
        });
        let verb = match (&new, back) {
            (None, _) => Verb::Down,
            (Some(_), true) => Verb::Rollback,
            (Some(_), false) => Verb::Up,
        };
        let troubled = new.iter().flatten().any(|it| {
            it.replicas > 0 && (it.never_ready || it.crashes)
                || verb == Verb::Up && it.hook.is_some_and(|hook| hook != "0")
        });
        let to = new.map(|new| Arc::new(release(2, &new, rolling, bake)));
        Case { context: Context { stack: stack(), verb, from, to }, troubled }
    }
}

impl Case {
    /// A case of one service with one instance.
    pub fn simple(verb: Verb, old: Option<Makeup>, new: Makeup) -> Self {
        let one = |makeup: Makeup| Makeup { replicas: 1, served: true, ..makeup };
        let from = old.map(|old| Arc::new(release(1, &[one(old)], false, 0)));
        let to = Some(Arc::new(release(2, &[one(new)], false, 0)));
        Self { context: Context { stack: stack(), verb, from, to }, troubled: true }
    }

    /// What should run when it went well, or was undone.
    pub fn settled(&self, forward: bool) -> Shape {
        self.context.transition().settled(forward)
    }

    /// Whether nothing in the new release can fail.
    pub fn harmless(&self) -> bool {
        !self.troubled
    }
}

/// What became of a case.
pub struct Run {
    /// How it ended.
    pub ended: Option<Outcome>,
    /// Whether it waits for a person.
    pub asked: bool,
    /// What ran at the end, as a shape.
    pub running: Shape,
    /// What must never happen.
    pub faults: Vec<String>,
    /// What happened.
    pub story: Vec<String>,
}

struct Driver<'a> {
    case: &'a Case,
    world: World,
    journal: Vec<State>,
    run: Run,
    /// The next thing that dies: the entry's number and the moment.
    deaths: BTreeMap<u64, u8>,
}

const STEP: u64 = 20;

impl Run {
    /// Plays a case through.
    pub fn of(case: &Case, trouble: &Trouble) -> Self {
        let run = Self {
            ended: None,
            asked: false,
            running: Shape::default(),
            faults: Vec::new(),
            story: Vec::new(),
        };
        let mut driver = Driver {
            case,
            world: World::default(),
            journal: Vec::new(),
            run,
            deaths: trouble.deaths.iter().copied().collect(),
        };
        driver.play(trouble);
        let mut run = driver.run;
        run.faults.extend(driver.world.faults());
        run
    }
}

impl Driver<'_> {
    fn play(&mut self, trouble: &Trouble) {
        self.settle_before();
        let first = State::begin(&self.case.context, self.world.now());
        self.enter(first, "begun");
        let start = self.world.now().0;
        let mut cancel = trouble.cancel;
        let mut kills = trouble.kills.clone();
        for round in 1..4000 {
            let now = Timestamp(start + round * STEP);
            self.world.advance(now);
            self.kill(&mut kills, now.0 - start);
            let state = self.journal.last().expect("begun").clone();
            if state.ended().is_some() {
                break;
            }
            if matches!(state.phase, Phase::Operator { .. }) && trouble.answer.is_none() {
                self.run.asked = true;
                return;
            }
            let observed = self.world.observe();
            let input = self.input(&state, trouble, &mut cancel, now.0 - start, &observed);
            if let Some((state, because)) = next(&state, &self.case.context, now, &input) {
                self.enter(state, &because);
            }
        }
        self.look_at_the_end();
    }

    fn input<'b>(
        &self,
        state: &State,
        trouble: &Trouble,
        cancel: &mut Option<u64>,
        gone: u64,
        observed: &'b landfall_model::Observed,
    ) -> Input<'b> {
        match (&state.phase, trouble.answer) {
            (Phase::Operator { .. }, Some(done)) => Input::Answer { done },
            _ if cancel.is_some_and(|at| gone >= at) => {
                *cancel = None;
                Input::Cancel { why: "somebody said so" }
            }
            _ => Input::Look { observed, fence: self.fence() },
        }
    }

    fn kill(&mut self, kills: &mut Vec<u64>, gone: u64) {
        let world = &mut self.world;
        kills.retain(|at| {
            let group = world.observe().groups.keys().next().cloned();
            if let (true, Some(group)) = (gone >= *at, group) {
                world.kill_instance(&group);
                return false;
            }
            true
        });
    }

    /// The old release serves.
    fn settle_before(&mut self) {
        let phase = Phase::Ended { outcome: Outcome::Failed, why: None };
        let shape = self.case.settled(false);
        let state = State { phase, shape, entered: Timestamp(0) };
        let fence = Fence { epoch: landfall_model::Epoch(1), revision: Revision(0) };
        // Twice: instances first, then traffic, as its own rollout had done.
        let mut without = state.clone();
        without.shape.weights.values_mut().for_each(BTreeMap::clear);
        for state in [without, state] {
            let wanted = desired(&self.case.context, &state, fence);
            self.world.apply(wanted).expect("nothing newer");
            for _ in 0..5 {
                self.world.advance(Timestamp(self.world.now().0 + STEP));
            }
        }
    }

    fn fence(&self) -> Fence {
        let revision = Revision(self.journal.len() as u64);
        Fence { epoch: landfall_model::Epoch(1), revision }
    }

    /// Journals a state and applies it, unless the driver dies at one of the three moments.
    fn enter(&mut self, state: State, because: &str) {
        let number = self.journal.len() as u64 + 1;
        let death = self.deaths.remove(&number);
        if death == Some(0) && number > 1 {
            self.run.story.push(format!("died before entry {number}"));
            return;
        }
        if let Some(fault) = state.shape.fault() {
            self.run.faults.push(fault);
        }
        self.run.story.push(format!(
            "{} {:?} {:?}: {because}",
            state.word(),
            state.step(),
            state.shape
        ));
        self.journal.push(state);
        if death == Some(1) {
            self.run.story.push(format!("died after entry {number}"));
        }
        // Whoever comes next applies the last entry again; after the effect that changes nothing.
        for _ in 0..=u8::from(death.is_some()) {
            let state = self.journal.last().expect("just pushed");
            let wanted = desired(&self.case.context, state, self.fence());
            self.world.apply(wanted).expect("nothing newer");
        }
    }

    fn look_at_the_end(&mut self) {
        let state = self.journal.last().expect("begun").clone();
        self.run.ended = state.ended();
        for _ in 0..50 {
            self.world.advance(Timestamp(self.world.now().0 + STEP));
        }
        let observed = self.world.observe();
        self.run.running = Shape {
            groups: observed
                .groups
                .iter()
                .filter(|(_, status)| status.running > 0)
                .map(|(id, status)| (id.clone(), status.running))
                .collect(),
            listeners: state.shape.listeners,
            weights: observed.traffic,
            draining: state.shape.draining,
        };
    }
}
