//! Rollouts behind a simulated NLB lose nothing with the timings that are rendered, and do lose
//! with those of a plain Service.
//!
//! The NLB has the figures that users of NLBs measured: a new target gets its first connection
//! minutes after it was registered, one that was deregistered may get none from that moment on, or
//! new ones for two minutes more, and the controller looks every 15 s. One step is a second.

use landfall_engine_kubernetes::objects::{Kind, objects};
use landfall_model::{
    Balancer, Content, Desired, Epoch, FORMAT, Fence, Group, GroupId, Health, HealthCheck,
    Listener, ListenerProtocol, ListenerState, Millis, Nlb, NlbAlpn, NlbClass, NlbScheme, Provider,
    Release, ReleaseNumber, Resources, Revision, RolloutPolicy, Route, Service, Signal, Source,
    StackId, Stop, Strategy, Timestamp, Verb,
};
use landfall_plan::{Shape, Step, Transition};
use std::collections::{BTreeMap, BTreeSet};

/// How long a target that was deregistered may still get new connections.
const LETTING_GO: u64 = 120;
/// How long registering takes, at least and at most, before health checks count.
const REGISTERING: std::ops::RangeInclusive<u64> = 30..=180;
/// How often the controller looks at the health of targets.
const POLL: u64 = 15;
/// How long a request may take.
const REQUEST: u64 = 20;

/// Seconds, as the manifests say them.
#[derive(Debug, Clone, Copy)]
struct Timings {
    serves_on: u64,
    delay: u64,
    settled: u64,
    healthy_after: u64,
    gated: bool,
}

/// One pod, with the times at which things happen to it.
#[derive(Debug)]
struct Pod {
    group: GroupId,
    /// When the NLB sends to it, and when its gate says so.
    healthy: u64,
    ready: u64,
    asked_to_go: Option<u64>,
}

impl Pod {
    const fn serves(&self, now: u64, timings: &Timings) -> bool {
        match self.asked_to_go {
            Some(at) => now < at + timings.serves_on,
            None => true,
        }
    }
}

struct World {
    now: u64,
    random: u64,
    timings: Timings,
    pods: Vec<Pod>,
    lost: Vec<String>,
}

impl World {
    /// xorshift: the same on every run.
    fn random(&mut self, range: std::ops::RangeInclusive<u64>) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        range.start() + self.random % (range.end() - range.start() + 1)
    }

    /// Makes and ends pods until each group has as many as it should.
    fn bring_about(&mut self, shape: &Shape) {
        let mut groups: BTreeMap<GroupId, u16> = shape.groups.clone();
        for pod in &self.pods {
            groups.entry(pod.group.clone()).or_insert(0);
        }
        for (group, wanted) in groups {
            let stays = |pod: &&mut Pod| pod.group == group && pod.asked_to_go.is_none();
            let there = self.pods.iter_mut().filter(stays).count();
            for pod in self.pods.iter_mut().filter(stays).skip(usize::from(wanted)) {
                pod.asked_to_go = Some(self.now);
            }
            for index in there..usize::from(wanted) {
                self.make(&group, u64::try_from(index / 4).expect("few"));
            }
        }
    }

    /// The controller registers four in a second.
    fn make(&mut self, group: &GroupId, later: u64) {
        let started = self.now + self.random(1..=20);
        let healthy = started + later + self.random(REGISTERING) + self.timings.healthy_after;
        let told = healthy.div_ceil(POLL) * POLL;
        let ready = if self.timings.gated { told } else { started } + self.timings.settled;
        self.pods.push(Pod { group: group.clone(), healthy, ready, asked_to_go: None });
    }

    /// A second of clients: each target that gets connections has to be there for them.
    fn tick(&mut self) {
        let Timings { serves_on, delay, .. } = self.timings;
        let sure = self.pods.iter().filter(|pod| pod.healthy <= self.now);
        if !sure.clone().any(|pod| pod.asked_to_go.is_none()) {
            self.lost.push(format!("{}: nobody serves", self.now));
        }
        for pod in sure {
            let Some(gone) = pod.asked_to_go else { continue };
            let reached = self.now < gone + LETTING_GO;
            // The NLB ends what is open after the delay, and the pod after its sleep.
            let finishes = self.now + REQUEST <= gone + serves_on.min(delay);
            if reached && !finishes {
                self.lost.push(format!("{}: sent to {}, which ends", self.now, pod.group));
            }
        }
        self.now += 1;
        let (now, timings) = (self.now, self.timings);
        self.pods.retain(|pod| pod.serves(now, &timings));
    }

    fn is_over(&self, step: &Step) -> bool {
        let of = |id: &GroupId| self.pods.iter().filter(|pod| pod.group == *id).collect::<Vec<_>>();
        match step {
            Step::Start { groups } => groups.iter().all(|(id, replicas)| {
                let ready = |pod: &&&Pod| pod.asked_to_go.is_none() && pod.ready <= self.now;
                of(id).iter().filter(ready).count() >= usize::from(*replicas)
            }),
            Step::Stop { groups, wait: true, .. } => {
                groups.iter().all(|(id, left)| of(id).len() <= usize::from(*left))
            }
            _ => true,
        }
    }

    fn walk(&mut self, steps: &[Step], shape: &mut Shape) {
        for step in steps {
            step.enter(shape, Timestamp(self.now * 1000));
            self.bring_about(shape);
            let entered = self.now;
            loop {
                self.tick();
                if self.is_over(step) {
                    break;
                }
                if let (Step::Stop { grace, .. }, true) = (step, self.timings.gated) {
                    assert!(self.now - entered <= grace.0 / 1000, "{step} takes too long");
                }
                assert!(self.now - entered < 3600, "{step} does not end");
            }
        }
    }
}

fn service(replicas: u16) -> Service {
    Service {
        artifact: None,
        image: Some("registry.example/shop@sha256:0".into()),
        preloaded: false,
        port: Some(3000),
        command: Vec::new(),
        replicas,
        env: BTreeMap::new(),
        health: Health {
            check: HealthCheck::Http { path: "/healthz".into() },
            every: Millis(10_000),
            timeout: Millis(5000),
            healthy: 2,
            unhealthy: 2,
        },
        stop: Stop { signal: Signal::Term, grace: Millis(20_000) },
        overlap: true,
        volumes: BTreeMap::new(),
        resources: Resources::default(),
    }
}

fn release(number: u64, replicas: u16, nlb: bool) -> Release {
    let provider = Provider::AwsNlb(Nlb {
        class: NlbClass::Controller,
        scheme: NlbScheme::Internal,
        alpn: NlbAlpn::None,
    });
    let listener = Listener {
        listen: ([0, 0, 0, 0], 443).into(),
        protocol: ListenerProtocol::Tcp,
        certificate: None,
        policy: None,
        hosts: BTreeSet::new(),
        route: Route::To("web".parse().expect("a name")),
        balancer: nlb.then(|| Balancer { provider, annotations: BTreeMap::new() }),
    };
    Release {
        format: FORMAT,
        app: "shop".parse().expect("a name"),
        stack: "prod".parse().expect("a name"),
        number: ReleaseNumber(number),
        restores: None,
        substitutions: Vec::new(),
        sealed_at: Timestamp(0),
        sealed_by: "me@here".into(),
        source: Source::default(),
        content: Content {
            options: BTreeMap::new(),
            certificates: BTreeMap::new(),
            services: BTreeMap::from([("web".parse().expect("a name"), service(replicas))]),
            listeners: BTreeMap::from([("public".parse().expect("a name"), listener)]),
            hooks: Vec::new(),
            rollout: RolloutPolicy {
                strategy: Strategy::Rolling,
                drain: Millis(30_000),
                bake: Millis(60_000),
                deadline: Millis(600_000),
            },
        },
    }
}

/// What the manifests of a release say.
fn rendered(release: &Release) -> Timings {
    let stack = StackId { app: release.app.clone(), stack: release.stack.clone() };
    let fence = Fence { epoch: Epoch(1), revision: Revision(1) };
    let mut desired = Desired::nothing(stack, fence);
    let content = &release.content;
    for (name, service) in &content.services {
        let id = GroupId { service: name.clone(), release: release.number };
        let group = Group {
            replicas: service.replicas,
            service: service.clone(),
            drain: content.rollout.drain,
        };
        desired.groups.insert(id, group);
    }
    for (name, listener) in &content.listeners {
        let weights = desired.groups.keys().map(|id| (id.clone(), 1)).collect();
        let state = ListenerState { listener: listener.clone(), certificate: None, weights };
        desired.listeners.insert(name.clone(), state);
    }
    let all = objects(&desired);
    let of = |kind: Kind| &all.iter().find(|it| it.kind == kind).expect("there").manifest;
    let deployment = &of(Kind::Deployment)["spec"];
    let container = &deployment["template"]["spec"]["containers"][0];
    let serves_on = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64();
    let annotations = &of(Kind::Service)["metadata"]["annotations"];
    let said = |key: &str| {
        let key = format!("{}{key}", landfall_model::NLB_PREFIX);
        annotations[key].as_str().map(str::to_owned)
    };
    let number = |key: &str| said(key).and_then(|it| it.parse::<u64>().ok());
    let attributes = said("target-group-attributes").unwrap_or_default();
    let delay = attributes
        .split(',')
        .find_map(|it| it.strip_prefix("deregistration_delay.timeout_seconds="))
        .and_then(|it| it.parse().ok());
    let checks = number("healthcheck-interval").zip(number("healthcheck-healthy-threshold"));
    Timings {
        serves_on: serves_on.expect("a sleep"),
        // What AWS and its controller choose when nothing is said.
        delay: delay.unwrap_or(300),
        settled: deployment["minReadySeconds"].as_u64().unwrap_or(0),
        healthy_after: checks.map_or(30, |(every, healthy)| every * healthy),
        gated: !attributes.is_empty(),
    }
}

/// Forth, and half of the way before going back; what was lost.
fn rollouts(replicas: u16, seed: u64, nlb: bool, steps_taken: usize) -> Vec<String> {
    let (one, two) = (release(1, replicas, nlb), release(2, replicas, nlb));
    let timings = rendered(&one);
    assert!(!nlb || timings.delay <= timings.serves_on, "{timings:?}");
    let mut world =
        World { now: 1000, random: seed | 1, timings, pods: Vec::new(), lost: Vec::new() };
    let up = Transition { verb: Verb::Up, from: Some(&one), to: Some(&two) };
    let mut shape = up.settled(false);
    world.bring_about(&shape);
    for pod in &mut world.pods {
        (pod.healthy, pod.ready) = (0, 0);
    }
    let steps = up.steps();
    // Once the old ones leave, a rollout is finished and not undone.
    let leaving = steps.iter().position(|it| matches!(it, Step::Drain { .. }));
    let taken = steps_taken.min(leaving.unwrap_or(steps.len()));
    if steps_taken >= steps.len() {
        world.walk(&steps, &mut shape);
    } else {
        world.walk(&steps[..taken], &mut shape);
        let undo = up.undo(&shape);
        world.walk(&undo, &mut shape);
        assert_eq!(shape.groups, up.settled(false).groups);
    }
    for _ in 0..300 {
        world.tick();
    }
    world.lost
}

#[test]
fn rollouts_behind_an_nlb_lose_nothing() {
    for replicas in 1..=20 {
        for seed in [7, 1234, 99_991] {
            let lost = rollouts(replicas, seed, true, usize::MAX);
            assert_eq!(lost, Vec::<String>::new(), "{replicas} replicas, seed {seed}");
        }
    }
}

#[test]
fn going_back_from_any_step_loses_nothing() {
    for replicas in [1, 2, 3, 7] {
        for taken in 0..=(3 * usize::from(replicas) + 3) {
            let lost = rollouts(replicas, 31 + taken as u64, true, taken);
            assert_eq!(lost, Vec::<String>::new(), "{replicas} replicas, after {taken} steps");
        }
    }
}

/// Were nothing lost with these, the simulation would prove nothing.
#[test]
fn the_timings_of_a_plain_service_would_lose() {
    let lost = rollouts(3, 7, false, usize::MAX);
    assert!(lost.iter().any(|it| it.contains("which ends")), "{lost:?}");
    assert!(lost.iter().any(|it| it.contains("nobody serves")), "{lost:?}");
}
