//! What is known of NLBs and of the targets behind them: pure.

use crate::binding::binds;
use crate::events;
use crate::objects::{GATE, HASH, Made, is_nlb};
use crate::observe::Seen;
use crate::reasons::Trouble;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, PodCondition, Service};
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long a controller may keep silent after a Service was written, until that counts as good.
/// It asks AWS within a second, and events may get lost.
const SILENCE: Duration = Duration::from_secs(5);

/// When each Service of an NLB was first seen as it is written now.
#[derive(Debug, Default)]
pub(crate) struct Written(BTreeMap<String, (String, Instant)>);

impl Written {
    pub(crate) fn note(&mut self, services: impl Iterator<Item = (String, String)>, now: Instant) {
        for (name, hash) in services {
            let known = self.0.get(&name).is_some_and(|(known, _)| *known == hash);
            if !known {
                self.0.insert(name, (hash, now));
            }
        }
    }

    fn is_long_ago(&self, name: &str, now: Instant) -> bool {
        self.0.get(name).is_some_and(|(_, since)| now.duration_since(*since) >= SILENCE)
    }
}

/// Services of NLBs with the hash of what was written last.
pub(crate) fn hashes(seen: &Seen) -> impl Iterator<Item = (String, String)> {
    seen.services.iter().filter(|it| is_nlb(it)).map(|service| {
        (service.name_any(), service.annotations().get(HASH).cloned().unwrap_or_default())
    })
}

/// Why an NLB is not what its Service says.
pub(crate) fn trouble(seen: &Seen, service: &Service) -> Option<String> {
    if !is_nlb(service) {
        return None;
    }
    let why = events::failure(seen.events.iter(), service)?;
    Some(format!("the NLB of {} is not what it should be: {why}", service.name_any()))
}

/// Whether what a Service says is in AWS, as far as that can be known.
pub(crate) fn is_in_force(seen: &Seen, service: &Service, now: Instant) -> bool {
    trouble(seen, service).is_none()
        && (events::succeeded(seen.events.iter(), service)
            || seen.written.is_long_ago(&service.name_any(), now))
}

/// The NLBs that a Deployment's pods were made behind.
pub(crate) fn behind(deployment: &Deployment) -> BTreeSet<String> {
    Made::said(deployment.annotations()).map(|made| made.balancers).unwrap_or_default()
}

/// The first trouble of the NLBs that a Deployment's pods were made behind.
pub(crate) fn trouble_of(seen: &Seen, balancers: &BTreeSet<String>) -> Option<String> {
    balancers.iter().filter_map(|name| seen.services.get(name)).find_map(|it| trouble(seen, it))
}

fn gates(pod: &Pod) -> Vec<&str> {
    let spec = pod.spec.as_ref();
    let all = spec.and_then(|spec| spec.readiness_gates.as_ref()).into_iter().flatten();
    all.map(|gate| gate.condition_type.as_str()).filter(|it| it.starts_with(GATE)).collect()
}

fn condition<'p>(pod: &'p Pod, kind: &str) -> Option<&'p PodCondition> {
    let all = pod.status.as_ref()?.conditions.as_ref()?;
    all.iter().find(|it| it.type_ == kind)
}

/// Which NLB does not guard a pod: it would count as ready, and as a reason to let its predecessor
/// go, before anything is sent to it.
fn unguarded<'b>(seen: &Seen, pod: &Pod, balancers: &'b BTreeSet<String>) -> Option<&'b str> {
    let gates = gates(pod);
    let made = pod.metadata.creation_timestamp.as_ref();
    let bad = balancers.iter().find(|name| {
        let Some(service) = seen.services.get(name.as_str()) else { return false };
        let mut bound = seen.bindings.iter().filter(|it| binds(it, service)).peekable();
        if gates.is_empty() || bound.peek().is_none() {
            // Without bindings to see, which gate belongs to which NLB is not known.
            return gates.is_empty();
        }
        // A target group that is younger than the pod could not guard it; a gate that was given
        // keeps the name of its group when that is replaced.
        let mut older =
            bound.filter(|it| it.metadata.creation_timestamp.as_ref() <= made).peekable();
        older.peek().is_some()
            && !older
                .any(|it| gates.iter().any(|gate| gate.ends_with(&format!("/{}", it.name_any()))))
    });
    bad.map(String::as_str)
}

/// What an NLB has against a pod; nothing when its containers are not well themselves.
pub(crate) fn target_trouble(
    seen: &Seen,
    pod: &Pod,
    balancers: &BTreeSet<String>,
) -> Option<Trouble> {
    if balancers.is_empty() {
        return None;
    }
    if let Some(name) = unguarded(seen, pod, balancers) {
        return Some(Trouble {
            words: format!(
                "{} has no readiness gate of the NLB of {name}, so nobody waits until that sends to it: the controller's webhook was not there when the pod was made, or the namespace lacks its label",
                pod.name_any()
            ),
            // A pod gets its gates when it is made, or never.
            loops: true,
        });
    }
    if condition(pod, "ContainersReady").is_none_or(|it| it.status != "True") {
        return None;
    }
    let gate = gates(pod)
        .into_iter()
        .find(|gate| condition(pod, gate).is_none_or(|it| it.status != "True"))?;
    let said = condition(pod, gate).map(|it| {
        let words = [it.reason.as_deref(), it.message.as_deref()];
        words.into_iter().flatten().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(": ")
    });
    let said = said.filter(|it| !it.is_empty());
    Some(Trouble {
        words: format!(
            "{} is no healthy target of the NLB yet: {}",
            pod.name_any(),
            said.unwrap_or_else(|| "its controller has said nothing of it".to_owned())
        ),
        loops: false,
    })
}
