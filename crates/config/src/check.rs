//! The parts of one stack held against each other.

use crate::codes::{self, Code};
use crate::decode::{At, Draft, DraftListener, Redirect, soonest_healthy};
use crate::diagnostic::{Diagnostic, Report};
use crate::nearest::suggest;
use crate::resolve::EngineChoice;
use crate::source::Span;
use landfall_model::{ListenerName, ListenerProtocol, Millis, Provider, ServiceName};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Reports references to nothing, addresses that clash, redirects without a target and deadlines
/// that cannot be met.
pub(crate) fn cross(report: &mut Report<'_>, draft: &Draft) {
    references(report, draft);
    addresses(report, draft);
    for (name, listener) in &draft.listeners {
        if let Some(redirect) = listener.value.as_ref().and_then(|it| it.redirect.as_ref())
            && redirect.value == Redirect::Only
            && let Err(ports) = redirect_port(draft)
        {
            no_target(report, name, redirect, &ports);
        }
    }
    deadlines(report, draft);
}

fn references(report: &mut Report<'_>, draft: &Draft) {
    for (name, listener) in &draft.listeners {
        let Some(listener) = &listener.value else { continue };
        if let Some(to) = &listener.to {
            service_exists(report, draft, to, &format!("listener `{name}` goes to"));
        }
        if let Some(certificate) = &listener.certificate
            && !draft.certificates.contains_key(&certificate.value)
        {
            let wanted = certificate.value.as_str();
            let names = draft.certificates.keys().map(AsRef::as_ref);
            let help = suggest(wanted, names, "the certificates are").unwrap_or_else(|| {
                format!("declare it: `certificates: {{ {wanted}: {{ names: [shop.example] }} }}`")
            });
            report.add(
                Diagnostic::error(
                    codes::UNKNOWN_CERTIFICATE,
                    certificate.span.clone(),
                    format!(
                        "listener `{name}` uses the certificate `{wanted}`, which is not declared"
                    ),
                )
                .help(help),
            );
        }
    }
    for hook in &draft.hooks {
        if let Some(service) = &hook.service {
            let name =
                hook.hook.as_ref().map_or("a hook".to_owned(), |it| format!("hook `{}`", it.name));
            service_exists(report, draft, service, &format!("{name} uses"));
        }
    }
}

fn service_exists(report: &mut Report<'_>, draft: &Draft, service: &At<ServiceName>, who: &str) {
    if draft.services.contains_key(&service.value) {
        return;
    }
    let wanted = service.value.as_str();
    let names = draft.services.keys().map(AsRef::as_ref);
    report.add(
        Diagnostic::error(
            codes::UNKNOWN_SERVICE,
            service.span.clone(),
            format!("{who} the service `{wanted}`, which is not declared"),
        )
        .help_if(suggest(wanted, names, "the services are")),
    );
}

/// One listener with a known address.
struct Bound<'d> {
    name: &'d ListenerName,
    listener: &'d DraftListener,
    address: SocketAddr,
    span: &'d Span,
}

fn addresses(report: &mut Report<'_>, draft: &Draft) {
    let mut by_port: BTreeMap<u16, Vec<Bound<'_>>> = BTreeMap::new();
    for (name, listener) in &draft.listeners {
        let Some(listener) = &listener.value else { continue };
        let Some(At { value: address, span }) = &listener.listen else { continue };
        let bound = Bound { name, listener, address: *address, span };
        by_port.entry(address.port()).or_default().push(bound);
    }
    for bounds in by_port.values_mut() {
        bounds.sort_by_key(|bound| bound.span.start);
        for (index, later) in bounds.iter().enumerate() {
            // One clash for each listener is enough to say what to change.
            if let Some(clash) = bounds[..index].iter().find_map(|earlier| clash(earlier, later)) {
                report.add(clash);
            }
        }
    }
}

/// What keeps two listeners on one port from being served both.
fn clash(earlier: &Bound<'_>, later: &Bound<'_>) -> Option<Diagnostic> {
    if earlier.address != later.address {
        return overlapping(earlier, later);
    }
    let (one, two) = (earlier.listener.protocol?, later.listener.protocol?);
    if !share(one, two) {
        let message = format!(
            "listener `{}` cannot share {}: it is `{two}`, and the other is `{one}`",
            later.name, later.address
        );
        let help =
            "use another port; only `tls` with `https`, and `http` with `http`, can share one";
        return Some(against(earlier, later, codes::MIXED_ADDRESS, message).help(help));
    }
    same_hosts(earlier, later, one)
}

fn against(earlier: &Bound<'_>, later: &Bound<'_>, code: Code, message: String) -> Diagnostic {
    Diagnostic::error(code, later.span.clone(), message)
        .label(earlier.span.clone(), format!("listener `{}`", earlier.name))
}

/// Two addresses of which one takes the port of the other.
fn overlapping(earlier: &Bound<'_>, later: &Bound<'_>) -> Option<Diagnostic> {
    let all = earlier.address.ip().is_unspecified() || later.address.ip().is_unspecified();
    let message = format!(
        "listener `{}` wants port {} on an address that listener `{}` already takes",
        later.name,
        later.address.port(),
        earlier.name
    );
    let help = "write the same address on both, or use another port";
    all.then(|| against(earlier, later, codes::SAME_ADDRESS, message).help(help))
}

/// Two listeners on one address that the host name does not tell apart.
fn same_hosts(
    earlier: &Bound<'_>,
    later: &Bound<'_>,
    protocol: ListenerProtocol,
) -> Option<Diagnostic> {
    let pair = format!("listeners `{}` and `{}`", earlier.name, later.name);
    let (first, second) = (&earlier.listener.hosts, &later.listener.hosts);
    let (message, help) = if first.is_empty() && second.is_empty() {
        let help = match protocol {
            ListenerProtocol::Tcp => "use another port: `tcp` cannot share one",
            _ => "use another port, or tell them apart with `hosts`",
        };
        (format!("{pair} both take everything on {}", later.address), help)
    } else {
        let host = first.intersection(second).next()?;
        let message = format!("{pair} both answer to `{host}` on {}", later.address);
        (message, "name each host at one of them only")
    };
    Some(against(earlier, later, codes::SAME_ADDRESS, message).help(help))
}

fn share(one: ListenerProtocol, two: ListenerProtocol) -> bool {
    one == two || (one.terminates_tls() && two.terminates_tls())
}

/// The one port on which TLS is spoken, or all of them.
pub(crate) fn redirect_port(draft: &Draft) -> Result<u16, Vec<u16>> {
    let mut ports: Vec<u16> = draft
        .listeners
        .values()
        .filter_map(|listener| listener.value.as_ref())
        .filter(|listener| listener.protocol.is_some_and(ListenerProtocol::terminates_tls))
        .filter_map(|listener| listener.listen.as_ref().map(|listen| listen.value.port()))
        .collect();
    ports.sort_unstable();
    ports.dedup();
    match ports[..] {
        [port] => Ok(port),
        _ => Err(ports),
    }
}

fn no_target(report: &mut Report<'_>, name: &ListenerName, redirect: &At<Redirect>, ports: &[u16]) {
    let (message, help) = if let [first, ..] = ports {
        let words: Vec<String> = ports.iter().map(ToString::to_string).collect();
        (
            format!(
                "listener `{name}` redirects to `https`, which is on several ports: {}",
                words.join(", ")
            ),
            format!("say which: `redirect: {{ https: {first} }}`"),
        )
    } else {
        (
            format!("listener `{name}` redirects to `https`, and no listener speaks it"),
            "add a listener with `protocol: https` or `tls`, or write the port: `redirect: { https: 443 }`"
                .to_owned(),
        )
    };
    report
        .add(Diagnostic::error(codes::REDIRECT_TARGET, redirect.span.clone(), message).help(help));
}

fn deadlines(report: &mut Report<'_>, draft: &Draft) {
    let Some(rollout) = &draft.rollout else { return };
    let deadline = rollout.policy.deadline;
    for (name, service) in &draft.services {
        let Some(health) = service.value.as_ref().and_then(|service| service.health.as_ref())
        else {
            continue;
        };
        let soonest: Millis = soonest_healthy(&health.value);
        if soonest <= deadline {
            continue;
        }
        let message = format!(
            "service `{name}` needs {soonest} to become healthy ({} checks, one every {}), and the rollout ends after {deadline}",
            health.value.healthy, health.value.every
        );
        let help = "make the deadline longer, or the checks more frequent";
        let place = rollout.deadline.as_ref().map_or(&health.span, |deadline| &deadline.span);
        let other = rollout.deadline.as_ref().map(|_| health.span.clone());
        report.add(
            Diagnostic::error(codes::IMPOSSIBLE_DURATION, place.clone(), message)
                .label_if(other, "its health check")
                .help(help),
        );
    }
}

/// What the stack's engine cannot do.
pub(crate) fn engine(report: &mut Report<'_>, draft: &Draft, engine: EngineChoice) {
    match engine {
        EngineChoice::Local => {
            for (name, service) in &draft.services {
                let Some(service) = &service.value else { continue };
                if let (None, Some(image)) = (&service.artifact, &service.image) {
                    let message = format!(
                        "service `{name}` has only an image, and the engine `local` runs processes"
                    );
                    report.add(
                        Diagnostic::error(codes::WRONG_ENGINE, image.span.clone(), message)
                            .help("add `artifact: ./dist` with a `command`, or write `engine: kubernetes` in the stack"),
                    );
                }
            }
        }
        EngineChoice::Kubernetes => {
            for (name, listener) in &draft.listeners {
                let (span, listener) = (&listener.span, listener.value.as_ref());
                if let Some((message, help)) = listener.and_then(not_on_a_cluster) {
                    let message = format!("listener `{name}` {message}");
                    report.add(
                        Diagnostic::error(codes::WRONG_ENGINE, span.clone(), message).help(help),
                    );
                }
            }
        }
    }
}

/// Why a cluster's load balancers cannot do what a listener says.
fn not_on_a_cluster(listener: &DraftListener) -> Option<(String, &'static str)> {
    let provider = &listener.balancer.as_ref()?.provider;
    let protocol = listener.protocol?;
    let nlb = matches!(provider, Provider::AwsNlb(_));
    if listener.redirect.is_some() {
        return Some((
            "redirects, which no load balancer of a cluster does".into(),
            "take it away in that stack: `listeners: { NAME: null }`",
        ));
    }
    if nlb && !matches!(protocol, ListenerProtocol::Tls | ListenerProtocol::Tcp) {
        return Some((
            format!("is `{protocol}`, and an NLB does not understand requests"),
            "write `protocol: tls` to end TLS at the NLB, or `tcp` to pass the bytes on",
        ));
    }
    if !nlb && protocol.terminates_tls() {
        return Some((
            format!("is `{protocol}`, and a Service of Kubernetes does not end TLS"),
            "write `protocol: tls` and `provider: aws-nlb`; or `protocol: tcp`, and let the service speak TLS itself",
        ));
    }
    if !listener.hosts.is_empty() && !nlb {
        return Some((
            "tells clients apart by `hosts`, which a Service of Kubernetes does not".into(),
            "give each listener a port of its own and leave `hosts` out",
        ));
    }
    None
}
