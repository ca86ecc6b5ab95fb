//! What a person should know before saying yes.

use landfall_model::{
    Content, Finding, Listener, ListenerName, Millis, Route, Severity, Timestamp,
};

pub(crate) const SOON: Millis = Millis(14 * 86_400_000);

fn finding(severity: Severity, code: &str, message: String, help: &str) -> Finding {
    let help = (!help.is_empty()).then(|| help.to_owned());
    Finding { severity, code: code.to_owned(), message, help }
}

/// Everything that stands in the way of a content, or that somebody should look at.
#[must_use]
pub fn findings(content: &Content, now: Timestamp) -> Vec<Finding> {
    let mut found = Vec::new();
    crate::nlb::findings(&mut found, content, now);
    for (name, listener) in content.listeners.iter().filter(|(_, it)| it.nlb().is_none()) {
        policy(&mut found, name, listener);
        certificate(&mut found, content, (name, listener), now);
        target(&mut found, content, name, listener);
    }
    found.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.message.cmp(&b.message)));
    found
}

/// The named TLS policies that the edge serves, exactly.
#[must_use]
pub fn served_policies() -> Vec<&'static str> {
    landfall_tls_policy::POLICIES
        .iter()
        .filter(|policy| landfall_tls_policy::expressible(policy).is_ok())
        .map(|policy| policy.name)
        .collect()
}

fn policy(found: &mut Vec<Finding>, name: &ListenerName, listener: &Listener) {
    let Some(policy) = listener.policy.as_deref() else { return };
    match landfall_tls_policy::find(policy) {
        None => {
            let near = landfall_tls_policy::nearest(policy);
            found.push(finding(
                Severity::Error,
                "LF0901",
                format!("listener {name}: there is no TLS policy `{policy}`"),
                &near.map_or_else(String::new, |near| format!("did you mean `{near}`?")),
            ));
        }
        Some(known) => {
            if let Err(why) = landfall_tls_policy::expressible(known) {
                found.push(finding(
                    Severity::Error,
                    "LF0902",
                    format!(
                        "listener {name}: the policy `{policy}` cannot be served here yet: {why}"
                    ),
                    "choose one of the policies that `landfall explain LF0902` lists, for example \
                     `ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09`",
                ));
            }
        }
    }
}

fn certificate(
    found: &mut Vec<Finding>,
    content: &Content,
    (name, listener): (&ListenerName, &Listener),
    now: Timestamp,
) {
    let Some(wanted) = &listener.certificate else { return };
    let Some(certificate) = content.certificates.get(wanted) else {
        found.push(finding(
            Severity::Error,
            "LF0903",
            format!("listener {name}: the certificate `{wanted}` has no version yet"),
            "import one with `landfall cert import`, or give it local names only",
        ));
        return;
    };
    if certificate.not_after <= now {
        found.push(finding(
            Severity::Error,
            "LF0904",
            format!("listener {name}: version {} of `{wanted}` has expired", certificate.version),
            "import a newer one with `landfall cert import`",
        ));
    } else if certificate.not_after.since(now) < SOON {
        let days = certificate.not_after.since(now).0 / 86_400_000;
        found.push(finding(
            Severity::Warning,
            "LF0905",
            format!(
                "listener {name}: version {} of `{wanted}` expires in {days} days",
                certificate.version
            ),
            "",
        ));
    }
    if certificate.not_before > now {
        found.push(finding(
            Severity::Error,
            "LF0906",
            format!(
                "listener {name}: version {} of `{wanted}` is not valid yet",
                certificate.version
            ),
            "check the clock of this machine",
        ));
    }
    for host in listener.hosts.iter().filter(|host| !covers(&certificate.names, host)) {
        found.push(finding(
            Severity::Error,
            "LF0907",
            format!(
                "listener {name}: version {} of `{wanted}` is not good for `{host}`",
                certificate.version
            ),
            &format!("it is good for {}", certificate.names.join(", ")),
        ));
    }
}

/// Whether one of the names is the host, or a wildcard for it (RFC 6125: one label).
pub(crate) fn covers(names: &[String], host: &str) -> bool {
    names.iter().any(|name| {
        name.eq_ignore_ascii_case(host)
            || name.strip_prefix("*.").is_some_and(|rest| {
                host.split_once('.').is_some_and(|(_, tail)| tail.eq_ignore_ascii_case(rest))
            })
    })
}

fn target(found: &mut Vec<Finding>, content: &Content, name: &ListenerName, listener: &Listener) {
    let Route::To(to) = &listener.route else { return };
    let Some(service) = content.services.get(to) else { return };
    if service.replicas == 0 {
        found.push(finding(
            Severity::Warning,
            "LF0908",
            format!("listener {name}: `{to}` has no replicas, so every request gets 503"),
            "",
        ));
    }
    if !service.overlap {
        found.push(finding(
            Severity::Warning,
            "LF0909",
            format!("listener {name}: `{to}` has `overlap: false`, so every change is a gap: 503 until the new instance is healthy"),
            "",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_wildcard_is_good_for_one_label() {
        let names = ["*.shop.example".to_owned(), "shop.example".to_owned()];
        assert!(covers(&names, "www.shop.example"));
        assert!(covers(&names, "Shop.Example"));
        assert!(!covers(&names, "a.b.shop.example"));
        assert!(!covers(&names[..1], "shop.example"));
    }
}
