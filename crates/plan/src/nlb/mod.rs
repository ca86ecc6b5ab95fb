//! What a person should know of listeners that are Network Load Balancers of AWS.
//!
//! The figures are AWS's and those of its Load Balancer Controller 3.5.0: what each takes, what a
//! change does, and how long it lasts until a target gets its first and its last connection.

mod annotations;
mod certificate;
mod listener;
mod replaces;
mod service;

pub(crate) use replaces::{is_in_place, listener_disruption, makes_targets};

use landfall_model::{Content, Finding, ListenerName, Severity, Timestamp};

fn finding(severity: Severity, code: &str, message: String, help: &str) -> Finding {
    let help = (!help.is_empty()).then(|| help.to_owned());
    Finding { severity, code: code.to_owned(), message, help }
}

/// What a content alone says.
pub(crate) fn findings(found: &mut Vec<Finding>, content: &Content, now: Timestamp) {
    for (name, it, nlb) in content.nlbs() {
        listener::check(found, name, it, nlb);
        certificate::check(found, content, (name, it), now);
        annotations::check(found, content, (name, it));
        service::check(found, content, (name, it));
    }
    listener::one_port(found, content);
    service::rollout(found, content);
}

/// What is found when more is known than a content: the region of the cluster, and the content that
/// serves. It comes beside [`findings`](crate::findings()).
#[must_use]
pub fn nlb_findings(
    content: &Content,
    serving: Option<&Content>,
    region: Option<&str>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    for (name, it, _) in content.nlbs() {
        if let Some(region) = region {
            certificate::region(&mut found, content, (name, it), region);
        }
        let before = serving.and_then(|serving| serving.listeners.get(name));
        if let Some(before) = before.filter(|before| before.nlb().is_some()) {
            annotations::gone(&mut found, name, before, it);
        }
    }
    found
}

/// `listeners.NAME.KEY`, as the file says it.
fn path(name: &ListenerName, key: &str) -> String {
    format!("listeners.{name}.{key}")
}
