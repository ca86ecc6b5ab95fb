//! The protocol of lease, journal, fence and rollout, model-checked over the real `next`,
//! `desired` and `decide`: every interleaving within a bound.
//!
//! Two clients drive one rollout of one service. Either may take over **at any time**, so nothing
//! rests on the clocks of the lease; either may die between any two of its acts. Appends to the
//! journal and desired states for the engine are on their way for any time: they arrive late, again
//! and out of order, after the death of their sender, or never; answers get lost. The engine takes
//! its time, its instances fall ill, its jobs end well, badly or in nobody's sight. Time itself is
//! *nothing has gone by* or *every deadline has passed*, at every look.
//!
//! A [`Scenario`] says what is rolled out, its [`Bounds`] how often each trouble strikes on a path.
//! Each test prints its bounds and the number of states, and fails when there are fewer than there
//! were: 6.6 million in all. What must hold is in `properties.rs`; that it would be noticed is shown by breaking one
//! rule at a time, see `faults.rs`.

mod faults;
mod leaving;
mod machine;
mod mutations;
mod properties;
mod protocol;
mod scenario;
mod world;

use landfall_model::Verb;
use properties::{ASKED, CANCELLED, DEGRADED, FAILED, SUCCEEDED, TURNED};
use protocol::Protocol;
use scenario::{Bounds, Scenario};
use stateright::{Checker, HasDiscoveries, Model};
use std::collections::BTreeSet;

/// Explores a scenario to its end. Everything in `reached` has to be found on the way, and nothing
/// that must not be.
fn explore(name: &str, scenario: Scenario, at_least: usize, reached: &[&str]) {
    let checker = Protocol::new(scenario, None).checker();
    let checker = checker.finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let (unique, depth) = (checker.unique_state_count(), checker.max_depth());
    println!("{name}: {unique} states, up to {depth} acts deep, within {:?}", scenario.bounds);
    let found = checker.discoveries();
    for property in checker.model().properties() {
        if property.expectation.discovery_is_failure()
            && let Some(path) = found.get(property.name)
        {
            panic!("{name}: not always: {}\n{}", property.name, story(path.clone()));
        }
    }
    let found: BTreeSet<&str> = found.into_keys().collect();
    let missing: Vec<_> = reached.iter().filter(|name| !found.contains(*name)).collect();
    assert!(missing.is_empty(), "{name}: never seen: {missing:?}");
    assert!(unique >= at_least, "{name}: only {unique} states, there were {at_least} once");
}

/// How it came to that, act by act.
fn story(path: stateright::Path<world::World, world::Action>) -> String {
    let end = format!("{:#?}", path.last_state());
    let acts = path.into_actions().into_iter().map(|act| format!("  {act:?}\n"));
    acts.chain([end]).collect()
}

const CALM: Bounds =
    Bounds { deaths: 0, take_overs: 0, cancels: 0, answers: 0, crashes: 0, given_up: 0 };

const BLUE_GREEN: Scenario = Scenario {
    verb: Verb::Up,
    first: false,
    rolling: false,
    overlap: true,
    replicas: 1,
    hook: None,
    bake: false,
    bounds: CALM,
};

#[test]
fn one_release_beside_the_other() {
    let bounds = Bounds { take_overs: 2, deaths: 1, given_up: 1, ..CALM };
    let reached = [SUCCEEDED, FAILED, DEGRADED, TURNED];
    explore("blue-green", Scenario { bounds, ..BLUE_GREEN }, 1_374_849, &reached);
}

#[test]
fn one_release_after_the_other() {
    let bounds = Bounds { take_overs: 1, deaths: 1, cancels: 1, ..CALM };
    let scenario = Scenario { overlap: false, bounds, ..BLUE_GREEN };
    explore("no overlap", scenario, 843_690, &[SUCCEEDED, FAILED, DEGRADED, CANCELLED, TURNED]);
}

#[test]
fn one_instance_after_the_other() {
    let bounds = Bounds { take_overs: 1, deaths: 1, ..CALM };
    let scenario = Scenario { rolling: true, replicas: 2, bounds, ..BLUE_GREEN };
    explore("rolling", scenario, 1_677_404, &[SUCCEEDED, FAILED, DEGRADED, TURNED]);
}

#[test]
fn a_hook_that_a_person_answers_for() {
    let bounds = Bounds { take_overs: 1, deaths: 1, answers: 1, given_up: 1, ..CALM };
    let scenario = Scenario { hook: Some(false), bounds, ..BLUE_GREEN };
    explore("hook", scenario, 754_231, &[SUCCEEDED, FAILED, DEGRADED, ASKED, TURNED]);
}

#[test]
fn a_hook_that_is_safe_to_retry() {
    let bounds = Bounds { take_overs: 1, answers: 1, ..CALM };
    let scenario = Scenario { hook: Some(true), bounds, ..BLUE_GREEN };
    explore("safe hook", scenario, 296_537, &[SUCCEEDED, FAILED, DEGRADED, ASKED, TURNED]);
}

#[test]
fn the_end_of_everything() {
    let bounds = Bounds { take_overs: 1, deaths: 1, cancels: 1, given_up: 1, ..CALM };
    let scenario = Scenario { verb: Verb::Down, bounds, ..BLUE_GREEN };
    explore("down", scenario, 656_404, &[SUCCEEDED, FAILED, DEGRADED, CANCELLED, TURNED]);
}

#[test]
fn the_first_release_of_all() {
    let bounds = Bounds { take_overs: 1, deaths: 1, cancels: 1, crashes: 1, ..CALM };
    let scenario = Scenario { first: true, bounds, ..BLUE_GREEN };
    explore("first release", scenario, 210_026, &[SUCCEEDED, FAILED, CANCELLED, TURNED]);
}

#[test]
fn instances_that_fall_ill() {
    let bounds = Bounds { take_overs: 1, cancels: 1, crashes: 1, ..CALM };
    let scenario = Scenario { bake: true, bounds, ..BLUE_GREEN };
    explore("ill", scenario, 821_958, &[SUCCEEDED, FAILED, DEGRADED, CANCELLED, TURNED]);
}
