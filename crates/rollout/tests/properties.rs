//! Whatever is deployed, whatever fails and whoever dies: a rollout ends, in a state it may end in.

mod support;

use landfall_model::{Outcome, Verb};
use proptest::prelude::*;
use support::{Case, Run, Trouble, case};

fn check(case: &Case, trouble: &Trouble) -> Result<Run, TestCaseError> {
    let run = Run::of(case, trouble);
    prop_assert!(run.faults.is_empty(), "{:#?}\n{:#?}", run.faults, run.story);
    prop_assert!(run.ended.is_some() || run.asked, "it never ended:\n{:#?}", run.story);
    Ok(run)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    /// No reachable state points traffic at an unhealthy or stopped group, every path ends, and
    /// what runs at the end is exactly one of the two releases.
    #[test]
    fn every_rollout_ends_well_or_where_it_began(case in case()) {
        let run = check(&case, &Trouble::default())?;
        match run.ended {
            Some(Outcome::Succeeded) => prop_assert_eq!(run.running, case.settled(true)),
            Some(_) => prop_assert_eq!(run.running, case.settled(false)),
            None => {}
        }
        if case.harmless() {
            prop_assert_eq!(run.ended, Some(Outcome::Succeeded), "{:#?}", run.story);
        }
    }

    /// A run in which the driver dies at any points ends as the run without deaths does.
    #[test]
    fn deaths_change_nothing_but_the_time(case in case(), deaths in prop::collection::vec((0_u64..60, 0_u8..3), 0..8)) {
        let calm = check(&case, &Trouble::default())?;
        let stormy = check(&case, &Trouble { deaths, ..Trouble::default() })?;
        prop_assert_eq!(calm.ended, stormy.ended, "{:#?}\n{:#?}", calm.story, stormy.story);
        prop_assert_eq!(calm.running, stormy.running);
    }

    /// Cancelling at any time ends in one of the two releases, and never in between.
    #[test]
    fn cancelling_ends_in_one_of_the_two(case in case(), at in 0_u64..3000) {
        let run = check(&case, &Trouble { cancel: Some(at), ..Trouble::default() })?;
        let forward = run.ended == Some(Outcome::Succeeded);
        if run.ended.is_some() {
            prop_assert_eq!(run.running, case.settled(forward));
        }
    }

    /// Instances that die while it goes on lead to one of the two releases as well.
    #[test]
    fn dying_instances_never_leave_it_in_between(case in case(), kills in prop::collection::vec(0_u64..3000, 0..6)) {
        let run = check(&case, &Trouble { kills, ..Trouble::default() })?;
        let forward = run.ended == Some(Outcome::Succeeded);
        if run.ended.is_some() {
            prop_assert_eq!(run.running, case.settled(forward));
        }
    }
}

#[test]
fn a_first_release_that_fails_leaves_nothing() {
    let case = Case::simple(
        Verb::Up,
        None,
        support::Makeup { never_ready: true, ..support::Makeup::default() },
    );
    let run = Run::of(&case, &Trouble::default());
    assert_eq!(run.ended, Some(Outcome::Failed));
    assert!(run.running.groups.is_empty() && run.running.listeners.is_none());
}

#[test]
fn a_hook_with_an_unknown_outcome_asks_and_goes_on() {
    let makeup = support::Makeup { hook: Some("unknown"), ..support::Makeup::default() };
    let case = Case::simple(Verb::Up, None, makeup);
    let run = Run::of(&case, &Trouble::default());
    assert!(run.asked, "{:#?}", run.story);
    let run = Run::of(&case, &Trouble { answer: Some(true), ..Trouble::default() });
    assert_eq!(run.ended, Some(Outcome::Succeeded));
}
