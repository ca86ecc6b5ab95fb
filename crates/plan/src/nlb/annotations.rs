//! The user's own annotations: what would contradict the file, and what AWS keeps.

use super::finding;
use super::service::{annotation, is_asked_by_http};
use landfall_model::{Content, Finding, Listener, ListenerName, NLB_PREFIX, NLB_STATED, Severity};
use std::collections::BTreeMap;

/// AWS takes no longer name for an NLB.
const LONGEST_NAME: usize = 32;
/// The lists in which the user's own pairs stand beside Landfall's.
const LISTS: [&str; 2] = ["attributes", "target-group-attributes"];
const DELAY: &str = "deregistration_delay.timeout_seconds";
const TERMINATION: &str = "deregistration_delay.connection_termination.enabled";
const PROXY: &str = "proxy_protocol_v2.enabled";

/// The annotations of a listener for AWS, without what all of them begin with.
fn own(listener: &Listener) -> BTreeMap<&str, &str> {
    let all = listener.balancer.iter().flat_map(|it| &it.annotations);
    all.filter_map(|(key, value)| Some((key.strip_prefix(NLB_PREFIX)?, value.as_str()))).collect()
}

/// `key=value,key=value`.
fn pairs(list: &str) -> BTreeMap<&str, &str> {
    let pairs = list.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.trim(), value.trim())).collect()
}

pub(super) fn check(
    found: &mut Vec<Finding>,
    content: &Content,
    (name, listener): (&ListenerName, &Listener),
) {
    let own = own(listener);
    for (key, word) in NLB_STATED.iter().filter(|(key, _)| own.contains_key(key)) {
        let word = match *word {
            "health" => "`health` of the service".to_owned(),
            word => format!("`{word}` of the listener"),
        };
        found.push(finding(
            Severity::Error,
            "LF1121",
            format!(
                "{}: this is what {word} says, and the file cannot say it twice",
                annotation(name, &format!("{NLB_PREFIX}{key}"))
            ),
            &format!("remove the annotation, and write {word}"),
        ));
    }
    let place = annotation(name, &format!("{NLB_PREFIX}target-group-attributes"));
    let group = own.get("target-group-attributes").map(|list| pairs(list)).unwrap_or_default();
    if group.contains_key(DELAY) {
        found.push(finding(
            Severity::Error,
            "LF1121",
            format!(
                "{place}: `{DELAY}` follows from `rollout.drain`, and the file cannot say it twice"
            ),
            "remove it there, and write `drain` under `rollout`",
        ));
    }
    if group.get(TERMINATION).is_some_and(|value| *value == "false") {
        found.push(finding(
            Severity::Warning,
            "LF1120",
            format!("{place}: connections that are open at the end of a drain are not ended by the NLB, and break when their instance ends"),
            &format!("remove `{TERMINATION}=false`, so that clients see them end"),
        ));
    }
    let proxied = group.get(PROXY).is_some_and(|value| *value == "true")
        || own.contains_key("proxy-protocol");
    if proxied && is_asked_by_http(content, listener) {
        found.push(finding(
            Severity::Warning,
            "LF1125",
            format!("{place}: with the proxy protocol the NLB's health checks begin with its header, so a service that does not speak it is never healthy"),
            "let the service speak proxy protocol version 2, or write `health: { tcp: true }`",
        ));
    }
    if let Some(why) = own.get("name").and_then(|name| bad_name(name)) {
        found.push(finding(
            Severity::Error,
            "LF1123",
            format!(
                "{}: AWS does not take this name: {why}",
                annotation(name, &format!("{NLB_PREFIX}name"))
            ),
            "use up to 32 letters, digits and hyphens",
        ));
    }
}

fn bad_name(name: &str) -> Option<&'static str> {
    if name.len() > LONGEST_NAME {
        Some("it is longer than 32")
    } else if name.is_empty() || !name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-') {
        Some("it has other characters than letters, digits and hyphens")
    } else if name.starts_with('-') || name.ends_with('-') || name.starts_with("internal-") {
        Some("it begins or ends with a hyphen, or begins with `internal-`")
    } else {
        None
    }
}

/// What the release before said and this one does not: the controller leaves it in AWS as it is.
pub(super) fn gone(
    found: &mut Vec<Finding>,
    name: &ListenerName,
    before: &Listener,
    after: &Listener,
) {
    let (old, new) = (own(before), own(after));
    for list in LISTS {
        let of = |own: &BTreeMap<&str, &str>| -> BTreeMap<String, String> {
            let all = own.get(list).map(|list| pairs(list)).unwrap_or_default();
            all.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
        };
        let kept = of(&new);
        let gone = of(&old).into_iter().filter(|(key, _)| !kept.contains_key(key));
        // What Landfall states goes back to its own value.
        for (key, value) in gone.filter(|(key, _)| !is_stated(key)) {
            found.push(finding(
                Severity::Warning,
                "LF1122",
                format!(
                    "{}: `{key}` is gone from the file, and AWS keeps it at `{value}`",
                    annotation(name, &format!("{NLB_PREFIX}{list}"))
                ),
                &format!("write `{key}` with the value that it should go back to"),
            ));
        }
    }
    let named = |own: &BTreeMap<&str, &str>| own.get("name").map(|name| (*name).to_owned());
    if named(&old) != named(&new) {
        found.push(finding(
            Severity::Error,
            "LF1123",
            format!(
                "{}: the name of an NLB cannot be changed later",
                annotation(name, &format!("{NLB_PREFIX}name"))
            ),
            "keep the name, or make a listener of another name beside this one",
        ));
    }
}

fn is_stated(key: &str) -> bool {
    let stated = [
        "load_balancing.cross_zone.enabled",
        "preserve_client_ip.enabled",
        DELAY,
        TERMINATION,
        PROXY,
    ];
    stated.contains(&key)
}
