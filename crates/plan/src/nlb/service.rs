//! The service behind it: instances, health, and how one release follows another.

use super::{finding, path};
use landfall_model::{
    Content, Finding, Health, Listener, ListenerName, Millis, Nlb, NlbHealth, Route, Service,
    ServiceName, Severity, Strategy,
};

/// How long a new target may take until AWS has begun to ask it and the controller has said so:
/// registering takes up to three minutes, and the controller looks every 15 s.
const REGISTRATION: Millis = Millis(195_000);
/// The controller registers and deregisters at most four targets in a second.
const REGISTERED_A_SECOND: u64 = 4;

pub(super) fn check(
    found: &mut Vec<Finding>,
    content: &Content,
    (name, listener): (&ListenerName, &Listener),
) {
    let Route::To(to) = &listener.route else { return };
    let Some(service) = content.services.get(to) else { return };
    replicas(found, name, to, service);
    if !service.overlap {
        found.push(finding(
            Severity::Warning,
            "LF1117",
            format!(
                "services.{to}.overlap: {name} is an NLB, and with `overlap: false` every change refuses connections for the minutes that a new target takes"
            ),
            "write `overlap: true` if two releases may run at once",
        ));
    }
    health(found, to, &service.health);
}

fn replicas(found: &mut Vec<Finding>, name: &ListenerName, to: &ServiceName, service: &Service) {
    let (count, what) = match service.replicas {
        0 => ("no instances", "every connection is refused"),
        1 => (
            "one instance",
            "when its node goes, connections are refused until another is a healthy target, which takes minutes",
        ),
        _ => return,
    };
    found.push(finding(
        Severity::Warning,
        "LF1115",
        format!("services.{to}.replicas: {to} has {count} behind the NLB {name}: {what}"),
        "write `replicas: 2` or more",
    ));
}

fn health(found: &mut Vec<Finding>, to: &ServiceName, health: &Health) {
    let used = NlbHealth::of(health);
    let seconds = |time: Millis, used: u64| time.0 == used * 1000;
    let differs: Vec<String> = [
        ("every", seconds(health.every, used.every), format!("{}s", used.every)),
        ("timeout", seconds(health.timeout, used.timeout), format!("{}s", used.timeout)),
        ("healthy", health.healthy == used.healthy, used.healthy.to_string()),
        ("unhealthy", health.unhealthy == used.unhealthy, used.unhealthy.to_string()),
    ]
    .into_iter()
    .filter(|(_, same, _)| !same)
    .map(|(key, _, value)| format!("{key} {value}"))
    .collect();
    if !differs.is_empty() {
        found.push(finding(
            Severity::Note,
            "LF1116",
            format!(
                "services.{to}.health: the NLB asks with {}, which is the nearest that AWS takes",
                differs.join(", ")
            ),
            "an NLB asks every 5 to 300 s, waits 2 to 120 s, and counts 2 to 10 answers",
        ));
    }
}

/// What holds for all services behind NLBs together.
pub(super) fn rollout(found: &mut Vec<Finding>, content: &Content) {
    let behind = content.behind_nlbs();
    if behind.is_empty() {
        return;
    }
    let rollout = &content.rollout;
    if rollout.strategy == Strategy::BlueGreen {
        found.push(finding(
            Severity::Error,
            "LF1118",
            "rollout.strategy: an NLB takes minutes to send to new targets and lets go of the old ones at once, so there is no instant at which traffic could switch".into(),
            "write `strategy: rolling`: old and new are targets side by side, one instance at a time",
        ));
    }
    drain(found, rollout.drain);
    let services = behind.into_iter().filter_map(|name| content.services.get_key_value(name));
    for (name, service) in services {
        let registered = u64::from(service.replicas) * 1000 / REGISTERED_A_SECOND;
        let healthy = NlbHealth::of(&service.health).healthy_after();
        let needed = Millis(REGISTRATION.0 + registered + healthy.0);
        if rollout.deadline < needed {
            found.push(finding(
                Severity::Warning,
                "LF1124",
                format!(
                    "rollout.deadline: {} is less than the {needed} that a target of {name} may take to become healthy at an NLB",
                    rollout.deadline
                ),
                "a rollout may be given up that would have gone well; write a longer one",
            ));
        }
    }
}

fn drain(found: &mut Vec<Finding>, asked: Millis) {
    let drain = Nlb::drain(asked);
    if drain > Nlb::LONGEST_DELAY {
        found.push(finding(
            Severity::Warning,
            "LF1119",
            format!(
                "rollout.drain: AWS ends connections {} after a target was deregistered, before {drain} are over",
                Nlb::LONGEST_DELAY
            ),
            "write 58m or less",
        ));
    } else {
        found.push(finding(
            Severity::Note,
            "LF1119",
            format!(
                "rollout.drain: an instance behind an NLB serves on for {drain} after it is asked to go, since new connections come for up to {}; those that are open then are ended",
                Nlb::DEREGISTRATION
            ),
            "",
        ));
    }
}

/// For messages about the annotations of a listener to a service that is asked by HTTP.
pub(super) fn is_asked_by_http(content: &Content, listener: &Listener) -> bool {
    let Route::To(to) = &listener.route else { return false };
    let service = content.services.get(to);
    service.is_some_and(|it| NlbHealth::of(&it.health).path.is_some())
}

/// The place of a listener's annotation in the file.
pub(super) fn annotation(name: &ListenerName, key: &str) -> String {
    path(name, &format!("annotations.{key}"))
}
