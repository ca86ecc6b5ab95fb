//! Each rule, broken: the properties have to notice.

use crate::faults::Fault;
use crate::properties::{
    ALONE, FENCED, HOOKED, JOURNALED, MOVED, NEWEST, ONCE, OWNED, REIGN, SETTLED, TRAFFIC,
};
use crate::protocol::Protocol;
use crate::scenario::{Bounds, Scenario};
use crate::{BLUE_GREEN, CALM};
use stateright::{Checker, HasDiscoveries, Model};

const TAKEN_OVER: Bounds = Bounds { take_overs: 1, deaths: 1, ..CALM };

/// Breaks one rule, and expects that this property does not hold then.
fn caught(fault: Fault, scenario: Scenario, property: &'static str) {
    let checker = Protocol::new(scenario, Some(fault)).checker();
    let until = HasDiscoveries::AllOf([property].into());
    let checker = checker.finish_when(until).spawn_bfs().join();
    let path = checker.discovery(property);
    let states = checker.unique_state_count();
    assert!(path.is_some(), "{fault:?} is not noticed in {states} states: {property}");
    println!("{fault:?}: not `{property}`, after {states} states");
}

#[test]
fn an_engine_that_forgets_its_fence() {
    caught(Fault::EngineForgetsFence, Scenario { bounds: TAKEN_OVER, ..BLUE_GREEN }, FENCED);
}

#[test]
fn a_job_that_is_started_again() {
    caught(Fault::JobStartedAgain, Scenario { hook: Some(false), ..BLUE_GREEN }, ONCE);
}

#[test]
fn a_journal_that_overwrites() {
    caught(Fault::JournalOverwrites, Scenario { bounds: TAKEN_OVER, ..BLUE_GREEN }, OWNED);
}

#[test]
fn a_lease_that_overwrites() {
    let bounds = Bounds { take_overs: 2, deaths: 1, ..CALM };
    caught(Fault::LeaseOverwrites, Scenario { bounds, ..BLUE_GREEN }, REIGN);
}

#[test]
fn a_take_over_that_keeps_the_epoch() {
    caught(Fault::TakeOverKeepsEpoch, Scenario { bounds: TAKEN_OVER, ..BLUE_GREEN }, REIGN);
}

#[test]
fn a_take_over_that_writes_nothing() {
    let scenario = Scenario { overlap: false, bounds: TAKEN_OVER, ..BLUE_GREEN };
    caught(Fault::TakeOverWritesNothing, scenario, TRAFFIC);
}

#[test]
fn a_take_over_that_applies_nothing() {
    caught(Fault::TakeOverAppliesNothing, Scenario { bounds: TAKEN_OVER, ..BLUE_GREEN }, SETTLED);
}

#[test]
fn a_found_entry_that_ends_it() {
    caught(Fault::FoundEntryEndsIt, Scenario { bounds: TAKEN_OVER, ..BLUE_GREEN }, NEWEST);
}

#[test]
fn a_state_that_is_applied_before_it_is_journaled() {
    caught(Fault::AppliedBeforeJournal, BLUE_GREEN, JOURNALED);
}

#[test]
fn an_end_that_is_not_applied() {
    let scenario = Scenario { first: true, hook: Some(false), ..BLUE_GREEN };
    caught(Fault::EndNotApplied, scenario, SETTLED);
}

#[test]
fn a_stale_report_that_is_believed() {
    let bounds = Bounds { cancels: 1, ..CALM };
    caught(Fault::StaleReportBelieved, Scenario { overlap: false, bounds, ..BLUE_GREEN }, TRAFFIC);
}

#[test]
fn a_start_that_is_not_awaited() {
    caught(Fault::StartNotAwaited, BLUE_GREEN, TRAFFIC);
}

#[test]
fn a_shift_that_is_not_awaited() {
    caught(Fault::ShiftNotAwaited, BLUE_GREEN, MOVED);
}

#[test]
fn a_stop_that_is_not_awaited() {
    caught(Fault::StopNotAwaited, Scenario { overlap: false, ..BLUE_GREEN }, ALONE);
}

#[test]
fn a_hook_that_is_not_awaited() {
    caught(Fault::HookNotAwaited, Scenario { hook: Some(false), ..BLUE_GREEN }, HOOKED);
}

#[test]
fn a_hook_that_is_started_again_unasked() {
    caught(Fault::HookNotAsked, Scenario { hook: Some(false), ..BLUE_GREEN }, ONCE);
}

#[test]
fn a_way_back_that_jumps_to_its_end() {
    caught(Fault::UndoSkipped, Scenario { overlap: false, ..BLUE_GREEN }, TRAFFIC);
}

#[test]
fn a_way_back_that_forgets() {
    caught(Fault::UndoForgets, BLUE_GREEN, SETTLED);
}

#[test]
fn a_way_forth_that_jumps_to_its_end() {
    caught(Fault::StepsSkipped, BLUE_GREEN, MOVED);
}
