//! What stands in the way of a content on this host, in words.

use crate::host::Host;
use crate::workplace;
use landfall_model::{Content, Finding, Severity};

/// Everything that a person should know before.
pub(crate) fn of(host: &Host, content: &Content) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        [isolation(host), limits(host, content), ports(host)].into_iter().flatten().collect();
    findings.extend(volumes(content));
    findings
}

fn isolation(host: &Host) -> Option<Finding> {
    let why = host.users.why_not()?;
    Some(Finding {
        severity: Severity::Note,
        code: "LF0701".to_owned(),
        message: format!("services are not isolated from one another: {why}"),
        help: Some("run the agent as root, from a folder others may pass through".to_owned()),
    })
}

fn limits(host: &Host, content: &Content) -> Option<Finding> {
    let why = host.cgroups.why_not()?;
    let limited: Vec<&str> = content
        .services
        .iter()
        .filter(|(_, s)| s.resources.cpu.is_some() || s.resources.memory.is_some())
        .map(|(name, _)| name.as_str())
        .collect();
    (!limited.is_empty()).then(|| Finding {
        severity: Severity::Warning,
        code: "LF0702".to_owned(),
        message: format!("limits of {} are not enforced: {why}", limited.join(", ")),
        help: None,
    })
}

fn ports(host: &Host) -> Option<Finding> {
    host.ports.overlaps_ephemeral().then(|| Finding {
        severity: Severity::Warning,
        code: "LF0703".to_owned(),
        message: "the range of instance ports overlaps the kernel's own range".to_owned(),
        help: Some("change net.ipv4.ip_local_port_range".to_owned()),
    })
}

fn volumes(content: &Content) -> Vec<Finding> {
    let all = content.services.iter().flat_map(|(service, what)| {
        what.volumes.iter().map(move |(name, volume)| (service, name, volume))
    });
    all.filter(|(_, _, volume)| workplace::inner_path(&volume.path).is_none())
        .map(|(service, name, volume)| Finding {
            severity: Severity::Error,
            code: "LF0704".to_owned(),
            message: format!(
                "the volume `{name}` of {service} is at `{}`, outside the working folder",
                volume.path
            ),
            help: Some("write a relative path without `..`".to_owned()),
        })
        .collect()
}
