//! The difference between two contents, path by path, in the words of the file.

use crate::nlb;
use landfall_model::{Content, Digest, Listener, Provider, Route, Service};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Where, in the words of the file: `services.web.replicas`.
    pub path: String,
    /// What it was; nothing when it is new.
    pub from: Option<String>,
    /// What it becomes; nothing when it goes.
    pub to: Option<String>,
    /// Why: where the new value comes from.
    pub because: Option<String>,
    /// What it does to those who are connected.
    pub disruption: Disruption,
}

/// What a change does to those who are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disruption {
    /// Nothing that a client could see.
    None,
    /// A load balancer takes it over as it stands; no connection is cut.
    InPlace,
    /// Long-lived connections end when the drain does.
    Drained,
    /// A gap: the old instances stop before the new ones start.
    Gap,
    /// All targets of a load balancer are replaced at once: a gap until the new ones are healthy.
    ReplacesTargets,
    /// A load balancer gets another target group, empty at first: a gap of minutes.
    ReplacesTargetGroup,
    /// The listener closes.
    Closed,
    /// The load balancer is another one, with another host name, and the old one goes first.
    ReplacesBalancer,
}

/// Every difference, sorted by path.
#[must_use]
pub fn changes(from: Option<&Content>, to: Option<&Content>) -> Vec<Change> {
    let old = from.map(flatten).unwrap_or_default();
    let new = to.map(flatten).unwrap_or_default();
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut changes = Vec::new();
    for path in paths {
        let (before, after) = (old.get(path), new.get(path));
        if before == after {
            continue;
        }
        changes.push(Change {
            path: path.clone(),
            from: before.cloned(),
            to: after.cloned(),
            because: to.and_then(|content| because(content, path)),
            disruption: disruption(from, to, path),
        });
    }
    changes
}

/// An option says where its value came from.
fn because(content: &Content, path: &str) -> Option<String> {
    let name = path.strip_prefix("options.")?;
    let (_, (_, provenance)) =
        content.options.iter().find(|(option, _)| option.as_str() == name)?;
    Some(match &provenance.place {
        Some(place) => format!("{} at {place}", provenance.from),
        None => provenance.from.clone(),
    })
}

fn disruption(from: Option<&Content>, to: Option<&Content>, path: &str) -> Disruption {
    let mut parts = path.split('.');
    match (parts.next(), parts.next()) {
        (Some("services"), Some(name)) => {
            let of = |content: Option<&Content>| {
                content.and_then(|it| {
                    it.services
                        .iter()
                        .find(|(key, _)| key.as_str() == name)
                        .map(|(key, s)| (s.overlap, it.served().contains(key)))
                })
            };
            match (of(from), of(to)) {
                (Some(_), Some((false, _))) => Disruption::Gap,
                (Some((_, true)), _) => Disruption::Drained,
                _ => Disruption::None,
            }
        }
        (Some("listeners"), Some(name)) => {
            let key = parts.next().unwrap_or_default();
            listener_disruption(listener(from, name), listener(to, name), key)
        }
        (Some("certificates"), Some(name)) if nlb::is_in_place(from, to, name) => {
            Disruption::InPlace
        }
        _ => Disruption::None,
    }
}

fn listener<'c>(content: Option<&'c Content>, name: &str) -> Option<&'c Listener> {
    let found = content?.listeners.iter().find(|(key, _)| key.as_str() == name)?;
    Some(found.1)
}

fn listener_disruption(old: Option<&Listener>, new: Option<&Listener>, key: &str) -> Disruption {
    let (old, new) = match (old, new) {
        (Some(old), Some(new)) => (old, new),
        (Some(_), None) => return Disruption::Closed,
        (None, _) => return Disruption::None,
    };
    match nlb::listener_disruption(old, new, key) {
        Some(disruption) => disruption,
        None if old.listen != new.listen => Disruption::Closed,
        None => Disruption::None,
    }
}

/// A content as lines `path → value`.
fn flatten(content: &Content) -> BTreeMap<String, String> {
    let mut lines = BTreeMap::new();
    for (name, (value, _)) in &content.options {
        lines.insert(format!("options.{name}"), value.to_string());
    }
    for (name, certificate) in &content.certificates {
        // A plan that changes nothing holds a placeholder for what `up` would issue.
        let issued = certificate.fingerprint != Digest::from_bytes([0; 32]);
        let which = if issued { certificate.fingerprint.short() } else { "not issued yet".into() };
        let which = certificate.acm.as_ref().map_or(which, |acm| acm.arn.clone());
        lines.insert(
            format!("certificates.{name}"),
            format!("version {} ({which})", certificate.version),
        );
    }
    for (name, service) in &content.services {
        flatten_service(&mut lines, &format!("services.{name}"), service);
    }
    for (name, listener) in &content.listeners {
        flatten_listener(&mut lines, &format!("listeners.{name}"), listener);
    }
    for (index, hook) in content.hooks.iter().enumerate() {
        let verbs: Vec<String> = hook.on.iter().map(ToString::to_string).collect();
        lines.insert(
            format!("hooks.before.{}", hook.name),
            format!(
                "{}. {} in {} within {} on {}{}",
                index + 1,
                words(&hook.command),
                hook.service,
                hook.timeout,
                verbs.join(", "),
                if hook.retry_safe { ", safe to retry" } else { "" }
            ),
        );
    }
    let rollout = &content.rollout;
    let strategy = match rollout.strategy {
        landfall_model::Strategy::BlueGreen => "blue-green",
        landfall_model::Strategy::Rolling => "rolling",
    };
    lines.insert("rollout.strategy".into(), strategy.into());
    lines.insert("rollout.drain".into(), rollout.drain.to_string());
    lines.insert("rollout.bake".into(), rollout.bake.to_string());
    lines.insert("rollout.deadline".into(), rollout.deadline.to_string());
    lines
}

/// A command as a shell would be told, so that two commands never read the same.
fn words(command: &[String]) -> String {
    let plain = |it: char| it.is_alphanumeric() || "-_./:=,@%+".contains(it);
    let word = |word: &String| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    command.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn flatten_service(lines: &mut BTreeMap<String, String>, path: &str, service: &Service) {
    let mut put = |key: &str, value: String| lines.insert(format!("{path}.{key}"), value);
    if let Some(artifact) = &service.artifact {
        put("artifact", format!("{} ({})", artifact.path, artifact.digest.short()));
    }
    if let Some(image) = &service.image {
        put("image", image.clone());
    }
    if let Some(port) = service.port {
        put("port", port.to_string());
    }
    put("command", words(&service.command));
    put("replicas", service.replicas.to_string());
    put("overlap", service.overlap.to_string());
    let health = &service.health;
    let check = match &health.check {
        landfall_model::HealthCheck::Http { path } => format!("GET {path}"),
        landfall_model::HealthCheck::Tcp => "connect".to_owned(),
        landfall_model::HealthCheck::Process => "the process runs".to_owned(),
    };
    put(
        "health",
        format!(
            "{check} every {} within {}, healthy after {}, unhealthy after {}",
            health.every, health.timeout, health.healthy, health.unhealthy
        ),
    );
    let stop = &service.stop;
    let signal = format!("{:?}", stop.signal).to_uppercase();
    put("stop", format!("{signal}, then {} until KILL", stop.grace));
    if let Some(cpu) = service.resources.cpu {
        put("resources.cpu", cpu.to_string());
    }
    if let Some(memory) = service.resources.memory {
        put("resources.memory", memory.to_string());
    }
    for (name, value) in &service.env {
        put(&format!("env.{name}"), value.clone());
    }
    for (name, volume) in &service.volumes {
        put(&format!("volumes.{name}"), volume.path.clone());
    }
}

fn flatten_listener(lines: &mut BTreeMap<String, String>, path: &str, listener: &Listener) {
    let mut put = |key: &str, value: String| lines.insert(format!("{path}.{key}"), value);
    put("listen", listener.listen.to_string());
    put("protocol", listener.protocol.to_string());
    match &listener.route {
        Route::To(service) => put("to", service.to_string()),
        Route::RedirectHttps { port } => put("redirect", format!("https on port {port}")),
    };
    if let Some(certificate) = &listener.certificate {
        put("certificate", certificate.to_string());
    }
    if let Some(policy) = &listener.policy {
        put("policy", policy.clone());
    }
    if !listener.hosts.is_empty() {
        let hosts: Vec<&str> = listener.hosts.iter().map(String::as_str).collect();
        put("hosts", hosts.join(", "));
    }
    let Some(balancer) = &listener.balancer else { return };
    match &balancer.provider {
        Provider::Service { kind, node_port } => {
            put("provider", "service".into());
            put("type", kind.word().into());
            if let Some(port) = node_port {
                put("node_port", port.to_string());
            }
        }
        Provider::AwsNlb(nlb) => {
            put("provider", "aws-nlb".into());
            put("class", nlb.class.load_balancer_class().into());
            put("scheme", nlb.scheme.word().into());
            put("alpn", nlb.alpn.word().into());
        }
    }
    for (name, value) in &balancer.annotations {
        put(&format!("annotations.{name}"), value.clone());
    }
}
