//! The rules of a rollout, and nothing else.

use crate::desired::job_id;
use crate::{Context, Phase, State, Undo};
use landfall_model::{
    Fence, GroupId, GroupStatus, JobId, JobState, Millis, Observed, Outcome, Timestamp, Verb,
};
use landfall_plan::{Shape, Step};
use std::collections::{BTreeMap, BTreeSet};

/// How long the load balancer may take to say that traffic moved.
const SHIFT_PATIENCE: Millis = Millis(30_000);
/// How long a problem may stand in the way of a switch before it counts.
const PROBLEM_PATIENCE: Millis = Millis(2_000);
/// What a stop may take beyond the grace of its instances, and a hook beyond its timeout.
const MARGIN: Millis = Millis(30_000);
/// How often a hook that is safe to retry is started before a person is asked.
const ATTEMPTS: u32 = 3;

/// What a rollout reacts to.
#[derive(Debug, Clone)]
pub enum Input<'a> {
    /// The engine reported, or time went by: `observed` is its last report.
    Look {
        /// The last report.
        observed: &'a Observed,
        /// The fence of the state that was applied; a report that does not know it says nothing.
        fence: Fence,
    },
    /// Somebody wants it to stop, and why.
    Cancel {
        /// Who, in words.
        why: &'a str,
    },
    /// The engine refuses the state that was asked of it, and would refuse it again: somebody else
    /// owns a part of it, or it is not allowed.
    Refused {
        /// Why, in words.
        why: &'a str,
    },
    /// A person says what became of a hook.
    Answer {
        /// The hook's job is done.
        done: bool,
    },
}

impl State {
    /// The first state of a rollout.
    #[must_use]
    pub fn begin(context: &Context, now: Timestamp) -> Self {
        let transition = context.transition();
        let shape = transition.settled(false);
        enter(context, transition.steps(), 0, shape, now)
    }
}

/// The next state, and why; nothing when there is nothing to do yet.
///
/// It never asks for a shape with traffic at a group that does not run or drains, and it moves
/// traffic to a group only after seeing all of it healthy under the fence in force.
#[must_use]
pub fn next(
    state: &State,
    context: &Context,
    now: Timestamp,
    input: &Input<'_>,
) -> Option<(State, String)> {
    match (&state.phase, input) {
        (Phase::Ended { .. }, _) => None,
        (Phase::Undoing(undo), Input::Look { observed, fence }) if observed.accepted >= *fence => {
            undoing(state, undo, context, now, observed)
        }
        (Phase::Doing { .. }, Input::Look { observed, fence }) if observed.accepted >= *fence => {
            doing(state, context, now, observed)
        }
        (Phase::Doing { .. } | Phase::Operator { .. }, Input::Cancel { why }) => {
            cancel(state, context, now, why)
        }
        // What is only on its way out is tried until it can be done.
        (Phase::Doing { .. }, Input::Refused { why }) if !leaving(state, context) => {
            Some((undo(state, context, now, (*why).to_owned(), false), (*why).to_owned()))
        }
        (Phase::Undoing(undo), Input::Refused { why }) => {
            let why = format!("{}; going back: {why}", undo.why);
            let step = undo.step + 1;
            let undo = Undo { why: why.clone(), troubled: true, step, ..undo.clone() };
            Some((enter_undo(context, undo, state.shape.clone(), now), why))
        }
        (Phase::Operator { steps, step, attempt, job }, Input::Answer { done }) => {
            let shape = state.shape.clone();
            Some(if *done {
                let next = enter(context, steps.clone(), step + 1, shape, now);
                (next, format!("somebody said that {job} is done"))
            } else {
                let next = hook_again(steps.clone(), *step, attempt + 1, shape, now);
                (next, format!("somebody said to start {job} again"))
            })
        }
        _ => None,
    }
}

/// Enters a step, or ends when there is none.
fn enter(
    context: &Context,
    steps: Vec<Step>,
    step: usize,
    mut shape: Shape,
    now: Timestamp,
) -> State {
    let phase = match steps.get(step) {
        Some(entered) => {
            entered.enter(&mut shape, now);
            Phase::Doing { steps, step, attempt: 1 }
        }
        None => {
            shape = context.transition().settled(true);
            Phase::Ended { outcome: Outcome::Succeeded, why: None }
        }
    };
    State { phase, shape, entered: now }
}

fn hook_again(steps: Vec<Step>, step: usize, attempt: u32, shape: Shape, now: Timestamp) -> State {
    State { phase: Phase::Doing { steps, step, attempt }, shape, entered: now }
}

/// What a look at a gate says.
enum Gate {
    /// Not yet.
    Wait,
    /// Over, in words.
    Open(String),
    /// It will not open.
    Failed(String),
    /// A hook whose outcome nobody knows.
    Unknown(JobId),
}

fn doing(
    state: &State,
    context: &Context,
    now: Timestamp,
    observed: &Observed,
) -> Option<(State, String)> {
    let Phase::Doing { steps, step, attempt } = &state.phase else { return None };
    let current = steps.get(*step)?;
    let hook = match current {
        Step::Hook { hook } => context.to.as_deref()?.content.hooks.get(*hook),
        _ => None,
    };
    let gate = match hook {
        Some(hook) => {
            let number = context.to.as_deref()?.number;
            let id = job_id(number, hook.name.as_str(), *attempt);
            hook_gate(&id, observed, state.entered, hook.timeout, now)
        }
        None => gate(current, state, context, now, observed),
    };
    match gate {
        Gate::Wait => None,
        Gate::Open(because) => {
            let next = enter(context, steps.clone(), step + 1, state.shape.clone(), now);
            Some((next, because))
        }
        Gate::Failed(why) if leaving(state, context) => {
            // Going back would stop what serves for the sake of what does not end.
            let next = enter(context, steps.clone(), step + 1, state.shape.clone(), now);
            Some((next, why))
        }
        Gate::Failed(why) => Some((undo(state, context, now, why.clone(), false), why)),
        Gate::Unknown(job) => {
            let (steps, step, attempt) = (steps.clone(), *step, *attempt);
            let shape = state.shape.clone();
            if hook.is_some_and(|hook| hook.retry_safe) && attempt < ATTEMPTS {
                let next = hook_again(steps, step, attempt + 1, shape, now);
                return Some((
                    next,
                    format!("the outcome of {job} is unknown; it is safe to retry"),
                ));
            }
            let because = format!("the outcome of {job} is unknown");
            let phase = Phase::Operator { steps, step, attempt, job };
            Some((State { phase, shape, entered: now }, because))
        }
    }
}

fn hook_gate(
    id: &JobId,
    observed: &Observed,
    entered: Timestamp,
    timeout: Millis,
    now: Timestamp,
) -> Gate {
    match observed.jobs.get(id) {
        Some(JobState::Exited { code: 0, .. }) => Gate::Open(format!("{id} is done")),
        Some(JobState::Exited { code, output }) => {
            Gate::Failed(format!("{id} exited with {code}{}", tail(output)))
        }
        Some(JobState::TimedOut { output }) => {
            Gate::Failed(format!("{id} took longer than {timeout}{}", tail(output)))
        }
        Some(JobState::Unknown) => Gate::Unknown(id.clone()),
        Some(JobState::Running) => Gate::Wait,
        None if now.since(entered).0 > timeout.0 + MARGIN.0 => {
            Gate::Failed(format!("{id} was not started within {timeout}"))
        }
        None => Gate::Wait,
    }
}

fn tail(output: &str) -> String {
    let output = output.trim_end();
    if output.is_empty() { String::new() } else { format!(":\n{output}") }
}

fn gate(
    step: &Step,
    state: &State,
    context: &Context,
    now: Timestamp,
    observed: &Observed,
) -> Gate {
    let waited = now.since(state.entered);
    match step {
        Step::Hook { .. } => Gate::Open("the hook is gone".into()),
        Step::Start { groups } => {
            let deadline = deadline(context);
            match health(groups, observed) {
                Health::Ready => Gate::Open(format!("{} healthy", names(groups.keys()))),
                Health::Hopeless(why) => Gate::Failed(why),
                Health::Not(why) if waited >= deadline => {
                    Gate::Failed(format!("not healthy within {deadline}: {why}"))
                }
                Health::Not(_) => Gate::Wait,
            }
        }
        Step::Shift { .. } => shift_gate(state, observed, waited),
        Step::Bake { time, groups } => bake_gate(*time, groups, state, observed, waited),
        Step::Drain { groups, time } => {
            let open: u64 = groups.iter().filter_map(|id| observed.connections.get(id)).sum();
            if open == 0 {
                Gate::Open(format!("{} drained", names(groups)))
            } else if waited >= *time {
                Gate::Open(format!("the drain ended with {open} connections left"))
            } else {
                Gate::Wait
            }
        }
        Step::Stop { groups, wait, grace } => {
            let left = groups.iter().filter(|(id, remain)| {
                observed.groups.get(*id).is_some_and(|status| more_than(status, **remain))
            });
            let left: Vec<&GroupId> = left.map(|(id, _)| id).collect();
            if !*wait || left.is_empty() {
                Gate::Open(format!("{} stopped", names(groups.keys())))
            } else if waited.0 > grace.0 + MARGIN.0 {
                Gate::Failed(format!("{} did not stop", names(left)))
            } else {
                Gate::Wait
            }
        }
    }
}

fn more_than(status: &GroupStatus, remain: u16) -> bool {
    status.instances.len() > usize::from(remain) || status.running > remain
}

fn deadline(context: &Context) -> Millis {
    context
        .to
        .as_deref()
        .or(context.from.as_deref())
        .map_or(Millis(0), |release| release.content.rollout.deadline)
}

fn names<'a>(groups: impl IntoIterator<Item = &'a GroupId>) -> String {
    groups.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

enum Health {
    Ready,
    Not(String),
    Hopeless(String),
}

fn health(groups: &BTreeMap<GroupId, u16>, observed: &Observed) -> Health {
    let mut not = Vec::new();
    for (id, replicas) in groups {
        let status = observed.groups.get(id);
        let ready = status.map_or(0, |status| status.ready);
        if ready >= *replicas && status.is_some_and(|status| status.wanted >= *replicas) {
            continue;
        }
        let failing = status.and_then(|status| status.failing.as_deref()).unwrap_or("starting");
        let words = format!("{id}: {ready} of {replicas} healthy: {failing}");
        if status.is_some_and(|status| status.crash_loop) {
            return Health::Hopeless(words);
        }
        not.push(words);
    }
    if not.is_empty() { Health::Ready } else { Health::Not(not.join("; ")) }
}

fn shift_gate(state: &State, observed: &Observed, waited: Millis) -> Gate {
    let taken_over = state.shape.weights == observed.traffic;
    if taken_over {
        return Gate::Open("traffic moved".into());
    }
    if !observed.problems.is_empty() && waited >= PROBLEM_PATIENCE {
        return Gate::Failed(observed.problems.join("; "));
    }
    if waited >= SHIFT_PATIENCE {
        return Gate::Failed(format!("traffic did not move within {SHIFT_PATIENCE}"));
    }
    Gate::Wait
}

fn bake_gate(
    time: Millis,
    groups: &BTreeSet<GroupId>,
    state: &State,
    observed: &Observed,
    waited: Millis,
) -> Gate {
    let wanted: BTreeMap<GroupId, u16> = state
        .shape
        .groups
        .iter()
        .filter(|(id, _)| groups.contains(*id))
        .map(|(id, replicas)| (id.clone(), *replicas))
        .collect();
    match health(&wanted, observed) {
        Health::Hopeless(why) | Health::Not(why) => Gate::Failed(format!("while baking, {why}")),
        Health::Ready if waited >= time => Gate::Open(format!("watched for {time}")),
        Health::Ready => Gate::Wait,
    }
}

/// Whether the new release serves and the old one is only on its way out: finishing is the safe
/// end then.
fn leaving(state: &State, context: &Context) -> bool {
    let Phase::Doing { steps, step, .. } = &state.phase else { return false };
    let mut left = steps.iter().skip(*step);
    context.verb != Verb::Down
        && left.all(|it| matches!(it, Step::Drain { .. } | Step::Stop { .. }))
}

fn cancel(state: &State, context: &Context, now: Timestamp, why: &str) -> Option<(State, String)> {
    let (Phase::Doing { .. } | Phase::Operator { .. }) = &state.phase else { return None };
    if leaving(state, context) {
        return None;
    }
    let why = format!("cancelled: {why}");
    Some((undo(state, context, now, why.clone(), true), why))
}

fn undo(state: &State, context: &Context, now: Timestamp, why: String, cancelled: bool) -> State {
    let steps = context.transition().undo(&state.shape);
    let undo = Undo { why, cancelled, troubled: false, steps, step: 0 };
    enter_undo(context, undo, state.shape.clone(), now)
}

fn enter_undo(context: &Context, undo: Undo, mut shape: Shape, now: Timestamp) -> State {
    let phase = match undo.steps.get(undo.step) {
        Some(step) => {
            step.enter(&mut shape, now);
            Phase::Undoing(undo)
        }
        None => {
            shape = context.transition().settled(false);
            let outcome = match (undo.troubled, undo.cancelled) {
                (true, _) => Outcome::Degraded,
                (false, true) => Outcome::Cancelled,
                (false, false) => Outcome::Failed,
            };
            Phase::Ended { outcome, why: Some(undo.why) }
        }
    };
    State { phase, shape, entered: now }
}

fn undoing(
    state: &State,
    undo: &Undo,
    context: &Context,
    now: Timestamp,
    observed: &Observed,
) -> Option<(State, String)> {
    let step = undo.steps.get(undo.step)?;
    let mut undo = undo.clone();
    let because = match gate(step, state, context, now, observed) {
        Gate::Wait => return None,
        Gate::Open(because) => because,
        Gate::Failed(why) | Gate::Unknown(JobId(why)) => {
            if !matches!(step, Step::Stop { .. }) {
                undo.troubled = true;
            }
            undo.why = format!("{}; going back: {why}", undo.why);
            why
        }
    };
    undo.step += 1;
    if undo.step == undo.steps.len() && restored(state, context, observed) {
        // What did not go well on the way came well in the end.
        undo.troubled = false;
    }
    Some((enter_undo(context, undo, state.shape.clone(), now), because))
}

/// Whether the old release is seen to be whole, with all the traffic that it should have.
fn restored(state: &State, context: &Context, observed: &Observed) -> bool {
    let old = context.transition().settled(false).groups;
    matches!(health(&old, observed), Health::Ready) && state.shape.weights == observed.traffic
}
