//! One rule broken at a time, to see that the properties notice.

use crate::machine::fence;
use crate::protocol::Protocol;
use crate::scenario::job;
use landfall_model::{JobState, Observed, Outcome};
use landfall_plan::Step;
use landfall_rollout::{Phase, State};

/// A rule that does not hold. Those about `next` alter what goes into the real one or what comes
/// out of it; those about its surroundings alter the model's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The engine takes over whatever comes.
    EngineForgetsFence,
    /// A job that is named again is started again.
    JobStartedAgain,
    /// An append replaces the entry that is there.
    JournalOverwrites,
    /// A beat replaces the beat that is there.
    LeaseOverwrites,
    /// A take-over reigns in the epoch that it found.
    TakeOverKeepsEpoch,
    /// A take-over applies the last entry without making the journal its own.
    TakeOverWritesNothing,
    /// A take-over looks, and applies nothing.
    TakeOverAppliesNothing,
    /// Whoever finds an entry in its place gives up, whoever wrote it.
    FoundEntryEndsIt,
    /// A state is applied before it is in the journal.
    AppliedBeforeJournal,
    /// The last state is in the journal and not applied.
    EndNotApplied,
    /// A report counts although it does not know the state that was applied.
    StaleReportBelieved,
    /// Instances count as healthy as soon as they are wanted.
    StartNotAwaited,
    /// Traffic counts as moved as soon as it is wanted.
    ShiftNotAwaited,
    /// A stop counts as done at once.
    StopNotAwaited,
    /// A hook counts as done as soon as it is wanted.
    HookNotAwaited,
    /// A hook whose outcome is unknown is started again without asking.
    HookNotAsked,
    /// Going back jumps to its end.
    UndoSkipped,
    /// Going forward jumps to its end.
    StepsSkipped,
    /// The way back keeps what the way forth did.
    UndoForgets,
}

impl Protocol {
    /// What a broken rule would let `next` see.
    pub fn patch(&self, mut observed: Observed, state: &State) -> Observed {
        match self.fault {
            Some(Fault::StaleReportBelieved) => observed.accepted = fence((u8::MAX, u8::MAX)),
            Some(Fault::StartNotAwaited) => {
                for (id, replicas) in &state.shape.groups {
                    let status = observed.groups.entry(id.clone()).or_default();
                    (status.ready, status.wanted) = (*replicas, *replicas);
                }
            }
            Some(Fault::ShiftNotAwaited) => observed.traffic.clone_from(&state.shape.weights),
            Some(Fault::StopNotAwaited) => {
                observed.groups.retain(|id, _| state.shape.groups.contains_key(id));
            }
            Some(Fault::HookNotAwaited) => {
                let done = JobState::Exited { code: 0, output: String::new() };
                for attempt in 1..=2 {
                    observed.jobs.insert(job(attempt), done.clone());
                }
            }
            _ => {}
        }
        observed
    }

    /// What a broken rule would make of the state that `next` gave.
    pub fn alter(&self, entered: &mut State) {
        let transition = self.context.transition();
        match (self.fault, &mut entered.phase) {
            (Some(Fault::UndoSkipped), Phase::Undoing(_)) => {
                entered.phase = Phase::Ended { outcome: Outcome::Failed, why: None };
                entered.shape = transition.settled(false);
            }
            (Some(Fault::UndoForgets), Phase::Undoing(_)) => {
                entered.phase = Phase::Ended { outcome: Outcome::Failed, why: None };
            }
            (Some(Fault::StepsSkipped), Phase::Doing { steps, step, .. })
                if !matches!(steps.get(*step), Some(Step::Hook { .. })) =>
            {
                entered.phase = Phase::Ended { outcome: Outcome::Succeeded, why: None };
                entered.shape = transition.settled(true);
            }
            (Some(Fault::HookNotAsked), Phase::Operator { steps, step, attempt, .. })
                if *attempt < 2 =>
            {
                let (steps, step, attempt) = (steps.clone(), *step, *attempt + 1);
                entered.phase = Phase::Doing { steps, step, attempt };
            }
            _ => {}
        }
    }
}
