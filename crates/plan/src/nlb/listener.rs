//! The listener itself: protocol, port, policy.

use super::{finding, path};
use landfall_model::{
    Content, Finding, Listener, ListenerName, ListenerProtocol, Nlb, NlbAlpn, Route, Severity,
};
use landfall_tls_policy::Version;
use std::collections::BTreeMap;

pub(super) fn check(found: &mut Vec<Finding>, name: &ListenerName, listener: &Listener, nlb: &Nlb) {
    protocol(found, name, listener);
    if listener.protocol == ListenerProtocol::Tcp {
        tcp(found, name, listener, nlb);
    }
    if listener.protocol == ListenerProtocol::Tls {
        policy(found, name, listener.policy.as_deref().unwrap_or(Nlb::POLICY));
    }
    if listener.listen.port() == 0 || !listener.listen.ip().is_unspecified() {
        found.push(finding(
            Severity::Error,
            "LF1114",
            format!(
                "{}: an NLB has addresses of its own and cannot listen on {}",
                path(name, "listen"),
                listener.listen
            ),
            "write the port alone, like `listen: 443`",
        ));
    }
}

fn protocol(found: &mut Vec<Finding>, name: &ListenerName, listener: &Listener) {
    let redirects = matches!(listener.route, Route::RedirectHttps { .. });
    if matches!(listener.protocol, ListenerProtocol::Http | ListenerProtocol::Https) || redirects {
        found.push(finding(
            Severity::Error,
            "LF1112",
            format!(
                "{}: an NLB does not understand requests, and {name} {}",
                path(name, "protocol"),
                if redirects {
                    "redirects them".to_owned()
                } else {
                    format!("is `{}`", listener.protocol)
                }
            ),
            "write `protocol: tls` to end TLS at the NLB, or `tcp` to pass the bytes on",
        ));
    }
}

fn tcp(found: &mut Vec<Finding>, name: &ListenerName, listener: &Listener, nlb: &Nlb) {
    let said = [
        ("certificate", listener.certificate.is_some()),
        ("policy", listener.policy.is_some()),
        ("alpn", nlb.alpn != NlbAlpn::None),
    ];
    for (key, _) in said.into_iter().filter(|(_, said)| *said) {
        found.push(finding(
            Severity::Error,
            "LF1111",
            format!("{}: {name} is `tcp`, so TLS does not end at the NLB", path(name, key)),
            &format!("write `protocol: tls`, or remove `{key}`"),
        ));
    }
}

fn policy(found: &mut Vec<Finding>, name: &ListenerName, policy: &str) {
    let place = path(name, "policy");
    let Some(known) = landfall_tls_policy::find(policy) else {
        let near = landfall_tls_policy::nearest(policy);
        found.push(finding(
            Severity::Error,
            "LF1101",
            format!("{place}: there is no TLS policy `{policy}`; the NLB would keep what it has"),
            &near.map_or_else(String::new, |near| format!("did you mean `{near}`?")),
        ));
        return;
    };
    let old: Vec<&str> = [Version::Tls10, Version::Tls11]
        .into_iter()
        .filter(|version| known.versions.contains(version))
        .map(Version::word)
        .collect();
    if !old.is_empty() {
        found.push(finding(
            Severity::Warning,
            "LF1102",
            format!("{place}: `{policy}` takes {}, as it was asked to by name", old.join(" and ")),
            &format!("if no client needs that, write `policy: {}`", Nlb::POLICY),
        ));
    }
}

/// Each listener is an NLB of its own, so the same port twice is two addresses and no choice by
/// name.
pub(super) fn one_port(found: &mut Vec<Finding>, content: &Content) {
    let mut ports: BTreeMap<(u16, &'static str), Vec<&ListenerName>> = BTreeMap::new();
    for (name, listener, nlb) in content.nlbs().filter(|(_, it, _)| !it.hosts.is_empty()) {
        ports.entry((listener.listen.port(), nlb.scheme.word())).or_default().push(name);
    }
    for ((port, scheme), names) in ports.into_iter().filter(|(_, names)| names.len() > 1) {
        let names: Vec<String> = names.into_iter().map(ToString::to_string).collect();
        found.push(finding(
            Severity::Error,
            "LF1113",
            format!(
                "listeners {}: each is an {scheme} NLB of its own on port {port}, and none looks at host names",
                names.join(", ")
            ),
            "let one listener take all of the names, and one service tell them apart",
        ));
    }
}
