//! A bug that the model found.

use crate::machine::{Group, Machine};
use crate::scenario::Wanted;
use crate::{BLUE_GREEN, Scenario};
use landfall_model::{Fence, Outcome, Timestamp};
use landfall_rollout::{Input, Phase, State, next};

/// The last step of a scenario, a long time after it began, while the old instances still stop.
fn at_the_last_step(scenario: Scenario) -> State {
    let context = scenario.context();
    let transition = context.transition();
    let steps = transition.steps();
    let mut shape = transition.settled(false);
    steps.iter().for_each(|step| step.enter(&mut shape, Timestamp(0)));
    let phase = Phase::Doing { step: steps.len() - 1, steps, attempt: 1 };
    let state = State { phase, shape, entered: Timestamp(0) };
    let mut machine = Machine::settled(Wanted::of(&context, &state));
    machine.groups[0] = Group { stopping: true, ..Group::default() };
    let report = machine.observe();
    let look = Input::Look { observed: &report, fence: Fence::default() };
    let late = Timestamp(1_000_000_000);
    next(&state, &context, late, &look).expect("it does not wait for ever").0
}

#[test]
fn an_old_release_that_does_not_stop_does_not_take_the_new_one_down() {
    let after = at_the_last_step(BLUE_GREEN);
    assert_eq!(after.ended(), Some(Outcome::Succeeded));
}

#[test]
fn what_does_not_stop_is_not_down() {
    let scenario = Scenario { verb: landfall_model::Verb::Down, ..BLUE_GREEN };
    assert!(matches!(at_the_last_step(scenario).phase, Phase::Undoing(_)));
}
