//! How the agent itself is, and what to do about it.

use crate::agent::Shared;
use crate::clock;
use crate::ground::Host;
use landfall_model::{Finding, Severity};
use landfall_protocol::agent::Doctor;
use std::path::Path;

fn finding(severity: Severity, code: &str, message: String, help: &str) -> Finding {
    let help = (!help.is_empty()).then(|| help.to_owned());
    Finding { severity, code: code.to_owned(), message, help }
}

pub(crate) async fn look(shared: &Shared, host: &Host) -> Doctor {
    let began = clock::now();
    let mut findings = Vec::new();
    let edge = host.edge.state().await;
    if edge.is_some_and(|(_, answers)| !answers) {
        findings.push(finding(
            Severity::Error,
            "LF0801",
            "the edge does not answer".into(),
            "it is started again within a second; see edge/edge.log in the agent's folder",
        ));
    }
    let unit = has_unit();
    if !unit {
        findings.push(finding(
            Severity::Warning,
            "LF0802",
            "no systemd unit starts the agent: after a reboot nothing serves until somebody runs a landfall command".into(),
            "`landfall agent unit` prints one and says where it goes",
        ));
    }
    for stack in shared.stacks() {
        if let Some(trouble) = stack.trouble() {
            findings.push(finding(
                Severity::Error,
                "LF0803",
                format!("{}: {trouble}", stack.id),
                "",
            ));
        }
        if let Some(serving) = stack.serving() {
            findings.extend(shared.engine.check(&stack.id, &serving.release.content).await);
            let observed = shared.engine.watch(&stack.id).borrow().clone();
            for problem in observed.problems {
                findings.push(finding(
                    Severity::Error,
                    "LF0804",
                    format!("{}: {problem}", stack.id),
                    "",
                ));
            }
        }
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings.dedup();
    Doctor {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        since: shared.since,
        home: host.home.path().display().to_string(),
        metrics: host.metrics.get().copied(),
        edge,
        unit,
        took: clock::now().since(began),
        findings,
    }
}

/// Whether a unit of ours is installed, for the system or for this user.
fn has_unit() -> bool {
    let user = std::env::var_os("HOME")
        .map(|home| Path::new(&home).join(".config/systemd/user/landfall.service"));
    Path::new("/etc/systemd/system/landfall.service").exists()
        || user.is_some_and(|path| path.exists())
}
