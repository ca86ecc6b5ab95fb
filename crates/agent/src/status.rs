//! How stacks are: from what is at hand, without asking the store.

use crate::address;
use crate::agent::Shared;
use crate::stack::{Stack, since};
use landfall_model::{Observed, StackId};
use landfall_protocol::agent::{ListenerStatus, RunStatus, Serving, StackStatus};
use landfall_rollout::Phase;
use landfall_store::seal::SealedRelease;

/// Every stack, or one.
pub(crate) fn all(shared: &Shared, only: Option<&StackId>) -> Vec<StackStatus> {
    shared
        .stacks()
        .iter()
        .filter(|stack| only.is_none_or(|only| stack.id == *only))
        .map(|stack| one(shared, stack))
        .collect()
}

fn one(shared: &Shared, stack: &Stack) -> StackStatus {
    let observed = shared.engine.watch(&stack.id).borrow().clone();
    let last = stack.last();
    let serving = stack.serving();
    let mut problems = observed.problems.clone();
    problems.extend(stack.trouble());
    StackStatus {
        stack: stack.id.clone(),
        serving: serving.as_ref().map(|sealed| Serving {
            number: sealed.release.number,
            digest: sealed.digest,
            since: last.as_ref().map_or(sealed.release.sealed_at, since),
            source: sealed.release.source.clone(),
            restores: sealed.release.restores,
        }),
        run: run(stack),
        last: last.as_ref().and_then(|record| match &record.state.phase {
            Phase::Ended { outcome, why } => Some((record.verb, *outcome, why.clone())),
            _ => None,
        }),
        listeners: serving.as_ref().map(|it| listeners(it, &observed)).unwrap_or_default(),
        groups: observed.groups,
        problems,
        measured: observed.measured,
    }
}

/// The run in progress.
pub(crate) fn run(stack: &Stack) -> Option<RunStatus> {
    let record = stack.last()?;
    if record.state.ended().is_some() {
        return None;
    }
    Some(RunStatus {
        run: record.run.clone(),
        verb: record.verb,
        from: record.from,
        to: record.to,
        step: record.state.word().to_owned(),
        since: record.began,
        by: record.by.clone(),
        waits: matches!(record.state.phase, Phase::Operator { .. }),
    })
}

fn listeners(serving: &SealedRelease, observed: &Observed) -> Vec<ListenerStatus> {
    let content = &serving.release.content;
    content
        .listeners
        .iter()
        .map(|(name, listener)| {
            let certificate = listener
                .certificate
                .as_ref()
                .and_then(|name| Some((name, content.certificates.get(name)?)));
            ListenerStatus {
                name: name.clone(),
                listen: listener.listen,
                reached: observed.reached.get(name).cloned(),
                protocol: listener.protocol,
                url: address::url(listener, certificate.map(|(_, it)| it)),
                weights: observed.traffic.get(name).cloned().unwrap_or_default(),
                open: observed.traffic.contains_key(name),
                certificate: certificate.map(|(name, it)| (name.clone(), it.version, it.not_after)),
            }
        })
        .collect()
}
