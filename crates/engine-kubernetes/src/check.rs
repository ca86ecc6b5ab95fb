//! What stands in the way of a content on Kubernetes. Reads nothing.

use landfall_model::{Content, Finding, ListenerProtocol, Route, Severity, Signal};

/// Codes of this engine's findings: each with its title, and what is behind it.
pub const CODES: &[(&str, &str, &str)] = &[
    (
        "LF1001",
        "a Service does not end TLS",
        "A Service of Kubernetes forwards bytes. TLS ends at an NLB (`provider: aws-nlb`), or in the service itself behind a `tcp` listener.",
    ),
    (
        "LF1002",
        "a Service does not redirect",
        "A Service of Kubernetes forwards bytes and understands no requests. Take the listener away in the stack, and let the service redirect where that is wanted.",
    ),
    (
        "LF1003",
        "a service has no image",
        "A cluster runs images. Name one with `image`, or let one be made of the artifact: the stack's `registry` says where it goes.",
    ),
    (
        "LF1004",
        "a signal that Kubernetes does not send",
        "Kubernetes asks a container to end by the signal that its image names, TERM by default.",
    ),
    (
        "LF1005",
        "volumes are not made here yet",
        "What must last is kept in a database or an object store until this engine makes volumes.",
    ),
    (
        "LF1006",
        "a Service does not look at host names",
        "Listeners that are told apart by `hosts` need a load balancer that reads them. Give each a port of its own.",
    ),
];

fn finding(code: &'static str, path: &str, message: &str, help: &str) -> Finding {
    Finding {
        code: code.into(),
        severity: Severity::Error,
        message: format!("{path}: {message}"),
        help: Some(help.to_owned()),
    }
}

pub(crate) fn check(content: &Content) -> Vec<Finding> {
    let mut found = Vec::new();
    // What an NLB can do is another matter, and the plan's.
    for (name, listener) in content.listeners.iter().filter(|(_, it)| it.nlb().is_none()) {
        let path = format!("listeners.{name}");
        if listener.protocol != ListenerProtocol::Tcp && listener.protocol != ListenerProtocol::Http
        {
            found.push(finding(
                "LF1001",
                &format!("{path}.protocol"),
                &format!(
                    "a Service of Kubernetes does not end TLS, and {name} is `{}`",
                    listener.protocol
                ),
                "write `protocol: tcp` and let the service speak TLS itself, or end TLS at an NLB",
            ));
        }
        if matches!(listener.route, Route::RedirectHttps { .. }) {
            found.push(finding(
                "LF1002",
                &format!("{path}.redirect"),
                &format!("a Service of Kubernetes does not redirect, and {name} does"),
                "take the listener away in this stack: `listeners: { NAME: null }`",
            ));
        }
        if !listener.hosts.is_empty() {
            found.push(finding(
                "LF1006",
                &format!("{path}.hosts"),
                &format!("a Service of Kubernetes does not look at host names, and {name} does"),
                "give each listener a port of its own and leave `hosts` out in this stack",
            ));
        }
    }
    for (name, service) in &content.services {
        let path = format!("services.{name}");
        if service.image.is_none() {
            found.push(finding(
                "LF1003",
                &path,
                &format!("{name} has no image to run in"),
                "name an image by its digest",
            ));
        }
        if service.stop.signal != Signal::Term {
            found.push(finding(
                "LF1004",
                &format!("{path}.stop.signal"),
                &format!("Kubernetes sends the signal that the image names, TERM by default, not what {name} asks for"),
                "set STOPSIGNAL in the image and leave `signal` out",
            ));
        }
        if !service.volumes.is_empty() {
            found.push(finding(
                "LF1005",
                &format!("{path}.volumes"),
                &format!("{name} keeps volumes, which are not made here yet"),
                "keep what must last in a database or an object store",
            ));
        }
    }
    found
}
