//! Whatever the two releases are: the way forth and every way back keep their promises as data.

use landfall_model::{
    AppName, Artifact, Bytes, Content, Digest, FORMAT, GroupId, Health, HealthCheck, Listener,
    ListenerProtocol, Millis, Release, ReleaseNumber, Resources, RolloutPolicy, Route, Service,
    ServiceName, Signal, Source, Stop, Strategy as Way, Timestamp, Verb,
};
use landfall_plan::{Shape, Step, Transition};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const NAMES: [&str; 3] = ["api", "web", "worker"];
const NOW: Timestamp = Timestamp(1_000_000);

#[derive(Debug, Clone)]
struct Makeup {
    replicas: u16,
    overlap: bool,
    served: bool,
}

fn service(makeup: &Makeup) -> Service {
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
        env: BTreeMap::new(),
        health: Health {
            check: HealthCheck::Tcp,
            every: Millis(100),
            timeout: Millis(100),
            healthy: 1,
            unhealthy: 1,
        },
        stop: Stop { signal: Signal::Term, grace: Millis(100) },
        overlap: makeup.overlap,
        volumes: BTreeMap::new(),
        resources: Resources::default(),
    }
}

fn listener(route: Route) -> Listener {
    Listener {
        listen: ([127, 0, 0, 1], 8000).into(),
        protocol: ListenerProtocol::Http,
        certificate: None,
        policy: None,
        hosts: BTreeSet::new(),
        route,
        balancer: None,
    }
}

fn release(number: u64, makeups: &[Option<Makeup>], strategy: Way, bake: u64) -> Release {
    let mut services = BTreeMap::new();
    let mut listeners = BTreeMap::new();
    listeners
        .insert("plain".parse().expect("a name"), listener(Route::RedirectHttps { port: 443 }));
    for (name, makeup) in NAMES.iter().zip(makeups) {
        let Some(makeup) = makeup else { continue };
        let name: ServiceName = name.parse().expect("a name");
        services.insert(name.clone(), service(makeup));
        if makeup.served {
            let public = format!("public-{name}").parse().expect("a name");
            listeners.insert(public, listener(Route::To(name)));
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
            hooks: Vec::new(),
            rollout: RolloutPolicy {
                strategy,
                drain: Millis(150),
                bake: Millis(bake),
                deadline: Millis(1500),
            },
        },
    }
}

prop_compose! {
    fn makeup()(replicas in 0_u16..6, overlap in prop::bool::weighted(0.7), served in any::<bool>()) -> Makeup {
        Makeup { replicas, overlap, served }
    }
}

prop_compose! {
    fn any_release(number: u64)(
        makeups in prop::collection::vec(prop::option::weighted(0.8, makeup()), 3),
        rolling in any::<bool>(),
        bake in prop_oneof![Just(0_u64), Just(200)],
    ) -> Release {
        release(number, &makeups, if rolling { Way::Rolling } else { Way::BlueGreen }, bake)
    }
}

fn fold(mut shape: Shape, steps: &[Step]) -> Result<Shape, TestCaseError> {
    for (index, step) in steps.iter().enumerate() {
        step.enter(&mut shape, NOW);
        prop_assert_eq!(shape.fault(), None, "at step {} of {:#?}", index, steps);
    }
    Ok(shape)
}

/// Instances of a service that surely take a listener's traffic while a step runs: those that the
/// step neither starts nor stops, in groups that the listener sends to.
fn sure(before: &Shape, during: &Shape, listener: &str, service: &ServiceName) -> u16 {
    let shares = during.weights.iter().find(|(name, _)| name.as_str() == listener);
    let groups = shares.into_iter().flat_map(|(_, shares)| shares.keys());
    let count = |group: &GroupId| {
        let replicas = |shape: &Shape| shape.groups.get(group).copied().unwrap_or(0);
        replicas(before).min(replicas(during))
    };
    groups.filter(|group| group.service == *service).map(count).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Traffic never goes to a group that does not run or drains, and the end is the new release
    /// alone.
    #[test]
    fn the_way_forth_ends_at_the_new_release(
        from in prop::option::weighted(0.8, any_release(1)),
        to in prop::option::weighted(0.9, any_release(2)),
    ) {
        let verb = if to.is_some() { Verb::Up } else { Verb::Down };
        let transition = Transition { verb, from: from.as_ref(), to: to.as_ref() };
        let steps = transition.steps();
        let end = fold(transition.settled(false), &steps)?;
        prop_assert_eq!(end, transition.settled(true), "{:#?}", steps);
    }

    /// From after any step there is a way back that ends at the old release alone, and from any
    /// step of that way back again.
    #[test]
    fn every_way_back_ends_at_the_old_release(
        from in prop::option::weighted(0.8, any_release(1)),
        to in prop::option::weighted(0.9, any_release(2)),
    ) {
        let verb = if to.is_some() { Verb::Up } else { Verb::Down };
        let transition = Transition { verb, from: from.as_ref(), to: to.as_ref() };
        let steps = transition.steps();
        for reached in 0..=steps.len() {
            let shape = fold(transition.settled(false), &steps[..reached])?;
            let back = transition.undo(&shape);
            let end = fold(shape.clone(), &back)?;
            prop_assert_eq!(&end, &transition.settled(false), "after {} of {:#?}: {:#?}", reached, steps, back);
            for undone in 0..=back.len() {
                let shape = fold(shape.clone(), &back[..undone])?;
                let end = fold(shape.clone(), &transition.undo(&shape))?;
                prop_assert_eq!(&end, &transition.settled(false));
            }
        }
    }

    /// While it rolls, at every step at least as many instances surely serve each listener as the
    /// smaller of the two releases has.
    #[test]
    fn a_rolling_update_never_has_fewer_than_the_smaller_release(
        old in prop::collection::vec(prop::option::weighted(0.9, makeup()), 3),
        new in prop::collection::vec(prop::option::weighted(0.9, makeup()), 3),
    ) {
        let from = release(1, &old, Way::BlueGreen, 0);
        let to = release(2, &new, Way::Rolling, 100);
        let transition = Transition { verb: Verb::Up, from: Some(&from), to: Some(&to) };
        let mut before = transition.settled(false);
        for step in transition.steps() {
            let mut during = before.clone();
            step.enter(&mut during, NOW);
            for (name, (old, new)) in NAMES.iter().zip(old.iter().zip(&new)) {
                let (Some(old), Some(new)) = (old, new) else { continue };
                if !(old.served && new.served && old.overlap && new.overlap) {
                    continue;
                }
                let service: ServiceName = name.parse().expect("a name");
                let sure = sure(&before, &during, &format!("public-{name}"), &service);
                prop_assert!(
                    sure >= old.replicas.min(new.replicas),
                    "{}: {} of {} → {} during {}", name, sure, old.replicas, new.replicas, step
                );
            }
            before = during;
        }
    }
}

#[test]
fn a_switch_names_the_listeners_that_it_moves() {
    let makeup = |served| Some(Makeup { replicas: 1, overlap: true, served });
    let to = release(2, &[makeup(false), makeup(true), None], Way::BlueGreen, 0);
    let transition = Transition { verb: Verb::Up, from: None, to: Some(&to) };
    let words: Vec<String> = transition.steps().iter().map(ToString::to_string).collect();
    assert_eq!(
        words,
        ["start 1 × api@2, 1 × web@2 and wait until healthy", "switch public-web to web@2"]
    );
}
