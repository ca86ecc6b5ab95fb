//! A listener that is a Network Load Balancer of AWS: what its Service says to the controller that
//! makes it, and what the pods behind it need so that no connection is lost.
//!
//! Everything is stated in every release. The controller leaves in AWS what an attribute or an
//! ALPN policy that is gone had set, and without a policy it falls back to one of 2016 that takes
//! TLS 1.0, each without a word (AWS Load Balancer Controller 3.5.0).
//!
//! The Service selects every pod of its service, whatever the release: a pod is a target as soon as
//! it runs, gets connections as soon as AWS finds it healthy, and only then counts as ready. So old
//! and new are targets of one target group, nothing is ever taken away all at once, and the
//! controller finds each new pod selected when it is made, without which it gets no readiness gate.

use super::names::part_name;
use k8s_openapi::api::core::v1::Service as KubernetesService;
use landfall_model::{
    Desired, Group, GroupId, HealthCheck, ListenerProtocol, ListenerState, Millis, NLB_PREFIX, Nlb,
    NlbHealth, Route, Service, ServiceName,
};
use std::collections::{BTreeMap, BTreeSet};

/// The annotation of a Deployment with the NLBs that its pods were made behind.
pub(crate) const BALANCERS: &str = "landfall.dev/balancers";
/// What a readiness gate that waits for a target's health begins with; the name of the
/// TargetGroupBinding comes last.
pub(crate) const GATE: &str = "target-health.";
/// How long a pod has to stay ready before it counts. A target's health may waver at first.
pub(super) const SETTLED: i32 = 10;

/// Whether a Service is made into an NLB.
pub(crate) fn is(service: &KubernetesService) -> bool {
    let class = service.spec.as_ref().and_then(|spec| spec.load_balancer_class.as_deref());
    class.is_some_and(|class| class.ends_with("/nlb"))
}

/// The Services of NLBs before each service.
pub(super) fn balancers(desired: &Desired) -> BTreeMap<ServiceName, BTreeSet<String>> {
    let mut all: BTreeMap<ServiceName, BTreeSet<String>> = BTreeMap::new();
    for (name, state) in &desired.listeners {
        if let (Some(_), Route::To(service)) = (state.listener.nlb(), &state.listener.route) {
            let named = part_name(&desired.stack, name.as_str());
            all.entry(service.clone()).or_default().insert(named);
        }
    }
    all
}

/// The group that says how the health of a service's targets is found: the newest that gets
/// traffic, or the newest there is.
pub(super) fn leading<'d>(
    desired: &'d Desired,
    state: &ListenerState,
    service: &ServiceName,
) -> Option<(&'d GroupId, &'d Group)> {
    let all = || desired.groups.iter().filter(|(id, _)| id.service == *service);
    let served = |id: &GroupId| state.weights.get(id).is_some_and(|share| *share > 0);
    all().rfind(|(id, _)| served(id)).or_else(|| all().next_back())
}

/// Everything that the controller is told, with the annotations of the user's own.
pub(super) fn annotations(
    state: &ListenerState,
    nlb: &Nlb,
    service: Option<&Service>,
    drain: Millis,
) -> BTreeMap<String, String> {
    let own = state.listener.balancer.as_ref().map(|it| it.annotations.clone());
    let mut all = own.unwrap_or_default();
    let user = |key: &str| all.get(&format!("{NLB_PREFIX}{key}")).cloned().unwrap_or_default();
    let target_group = list(&group_attributes(drain), &user("target-group-attributes"));
    let balancer = list(&balancer_attributes(), &user("attributes"));
    let family = Some(user("ip-address-type")).filter(|it| !it.is_empty());
    let mut put = |key: &str, value: String| all.insert(format!("{NLB_PREFIX}{key}"), value);
    put("scheme", nlb.scheme.word().to_owned());
    put("nlb-target-type", "ip".to_owned());
    put("backend-protocol", "tcp".to_owned());
    put("ip-address-type", family.unwrap_or_else(|| "ipv4".to_owned()));
    put("target-group-attributes", target_group);
    put("attributes", balancer);
    tls(state, nlb, &mut put);
    health(service, &mut put);
    all
}

fn tls(state: &ListenerState, nlb: &Nlb, put: &mut impl FnMut(&str, String) -> Option<String>) {
    let listener = &state.listener;
    if listener.protocol != ListenerProtocol::Tls {
        put("alpn-policy", "None".to_owned());
        return;
    }
    let arn = state.certificate.as_ref().and_then(|it| it.acm.as_ref()).map(|it| it.arn.clone());
    if let Some(arn) = arn {
        put("ssl-cert", arn);
    }
    // `*` is not understood, and nothing means every port.
    put("ssl-ports", listener.listen.port().to_string());
    let policy = listener.policy.as_deref().unwrap_or(Nlb::POLICY);
    put("ssl-negotiation-policy", policy.to_owned());
    put("alpn-policy", nlb.alpn.word().to_owned());
}

fn health(service: Option<&Service>, put: &mut impl FnMut(&str, String) -> Option<String>) {
    let check = service.map_or(
        NlbHealth { path: None, every: 10, timeout: 10, healthy: 2, unhealthy: 2 },
        |service| NlbHealth::of(&service.health),
    );
    let http = service.is_some_and(|it| matches!(it.health.check, HealthCheck::Http { .. }));
    put("healthcheck-protocol", if http { "http" } else { "tcp" }.to_owned());
    put("healthcheck-port", "traffic-port".to_owned());
    put("healthcheck-path", check.path.unwrap_or_else(|| "/".to_owned()));
    put("healthcheck-interval", check.every.to_string());
    put("healthcheck-timeout", check.timeout.to_string());
    put("healthcheck-healthy-threshold", check.healthy.to_string());
    put("healthcheck-unhealthy-threshold", check.unhealthy.to_string());
    put("healthcheck-success-codes", "200-399".to_owned());
}

/// A target serves as long as its pod does after it was asked to go, and what is open then ends.
fn group_attributes(drain: Millis) -> BTreeMap<String, String> {
    let delay = drain.min(Nlb::LONGEST_DELAY).0 / 1000;
    pairs([
        ("deregistration_delay.timeout_seconds", &delay.to_string()),
        ("deregistration_delay.connection_termination.enabled", "true"),
        ("preserve_client_ip.enabled", "false"),
        ("proxy_protocol_v2.enabled", "false"),
    ])
}

/// Without traffic across zones, a zone whose only target is replaced refuses what still comes to
/// it by a name that was looked up before.
fn balancer_attributes() -> BTreeMap<String, String> {
    pairs([("load_balancing.cross_zone.enabled", "true")])
}

fn pairs<const N: usize>(all: [(&str, &str); N]) -> BTreeMap<String, String> {
    all.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// `key=value,key=value`: the user's own win, but for the delay, which is the drain.
fn list(stated: &BTreeMap<String, String>, user: &str) -> String {
    let mut all = stated.clone();
    for (key, value) in user.split(',').filter_map(|pair| pair.split_once('=')) {
        if key.trim() != "deregistration_delay.timeout_seconds" {
            all.insert(key.trim().to_owned(), value.trim().to_owned());
        }
    }
    all.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// How the pods of a group are made. It stays as it was when they were: another drain would
/// replace all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Made {
    /// How long one that is asked to go serves on.
    pub(crate) drain: Millis,
    /// The Services of the NLBs that they are behind.
    pub(crate) balancers: BTreeSet<String>,
}

impl Made {
    /// What annotations of a Deployment say.
    pub(crate) fn said(annotations: &BTreeMap<String, String>) -> Option<Self> {
        let drain = Millis(annotations.get(super::DRAIN)?.parse().ok()?);
        let balancers = annotations.get(BALANCERS).map(String::as_str).unwrap_or_default();
        let balancers = balancers.split(',').filter(|it| !it.is_empty()).map(str::to_owned);
        Some(Self { drain, balancers: balancers.collect() })
    }

    pub(super) fn annotations(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::from([(super::DRAIN.to_owned(), self.drain.0.to_string())]);
        if !self.balancers.is_empty() {
            let names: Vec<&str> = self.balancers.iter().map(String::as_str).collect();
            all.insert(BALANCERS.to_owned(), names.join(","));
        }
        all
    }

    /// What an instance is given from the moment it is asked to go.
    pub(super) fn gone_within(&self, grace: Millis) -> Millis {
        if self.balancers.is_empty() {
            Millis(self.drain.0.saturating_add(grace.0))
        } else {
            Nlb::gone_within(self.drain, grace)
        }
    }
}

/// How the pods of each group are to be made, if they are not yet.
pub(crate) fn made(desired: &Desired) -> BTreeMap<GroupId, Made> {
    let behind = balancers(desired);
    let of = |(id, group): (&GroupId, &Group)| {
        let balancers = behind.get(&id.service).cloned().unwrap_or_default();
        let drain = if balancers.is_empty() { group.drain } else { Nlb::drain(group.drain) };
        (id.clone(), Made { drain, balancers })
    };
    desired.groups.iter().map(of).collect()
}
