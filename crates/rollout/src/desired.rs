//! From a state and the releases it names to the whole desired state.

use crate::{Context, Phase, State};
use landfall_model::{
    Desired, Draining, Fence, Group, GroupId, Job, JobId, ListenerState, Release, ReleaseNumber,
};
use landfall_plan::Step;

/// The whole desired state of a rollout's state.
#[must_use]
pub fn desired(context: &Context, state: &State, fence: Fence) -> Desired {
    let mut desired = Desired::nothing(context.stack.clone(), fence);
    for (id, replicas) in &state.shape.groups {
        if let Some(group) = group(context, id, *replicas) {
            desired.groups.insert(id.clone(), group);
        }
    }
    if let Some(release) = state.shape.listeners.and_then(|number| release(context, number)) {
        for (name, listener) in &release.content.listeners {
            let certificate = listener
                .certificate
                .as_ref()
                .and_then(|certificate| release.content.certificates.get(certificate))
                .cloned();
            let weights = state.shape.weights.get(name).cloned().unwrap_or_default();
            let listener = ListenerState { listener: listener.clone(), certificate, weights };
            desired.listeners.insert(name.clone(), listener);
        }
    }
    for (id, until) in &state.shape.draining {
        desired.draining.insert(id.clone(), Draining { until: *until });
    }
    if let Some((id, job)) = job(context, state) {
        desired.jobs.insert(id, job);
    }
    desired
}

fn release(context: &Context, number: ReleaseNumber) -> Option<&Release> {
    [&context.to, &context.from]
        .into_iter()
        .flatten()
        .map(std::convert::AsRef::as_ref)
        .find(|release| release.number == number)
}

fn group(context: &Context, id: &GroupId, replicas: u16) -> Option<Group> {
    let release = release(context, id.release)?;
    let service = release.content.services.get(&id.service)?.clone();
    let drain = context.to.as_deref().unwrap_or(release).content.rollout.drain;
    Some(Group { replicas, service, drain })
}

/// The name of a hook's attempt. It is the same after every crash, and never used again.
#[must_use]
pub fn job_id(release: ReleaseNumber, hook: &str, attempt: u32) -> JobId {
    JobId(format!("{hook}-r{release}-{attempt}"))
}

fn job(context: &Context, state: &State) -> Option<(JobId, Job)> {
    let Phase::Doing { steps, step, attempt } = &state.phase else { return None };
    let Step::Hook { hook } = steps.get(*step)? else { return None };
    let to = context.to.as_deref()?;
    let hook = to.content.hooks.get(*hook)?;
    let service = to.content.services.get(&hook.service)?.clone();
    let job = Job {
        group: GroupId { service: hook.service.clone(), release: to.number },
        service,
        command: hook.command.clone(),
        timeout: hook.timeout,
    };
    Some((job_id(to.number, hook.name.as_str(), *attempt), job))
}
