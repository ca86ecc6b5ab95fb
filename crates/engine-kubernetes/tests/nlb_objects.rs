//! What a listener that is an NLB becomes, and the pods behind it.

use landfall_engine_kubernetes::objects::{Kind, objects};
use landfall_model::{
    AcmCertificate, Balancer, Certificate, CertificateSource, CertificateVersion, Desired, Digest,
    Epoch, Fence, Group, Health, HealthCheck, Listener, ListenerProtocol, ListenerState, Millis,
    Nlb, NlbAlpn, NlbClass, NlbScheme, Provider, Resources, Revision, Route, Service, Signal,
    StackId, Stop, Timestamp,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const PREFIX: &str = "service.beta.kubernetes.io/aws-load-balancer-";
const ARN: &str = "arn:aws:acm:eu-central-1:111122223333:certificate/0b1c";

fn service(check: HealthCheck) -> Service {
    Service {
        artifact: None,
        image: Some(format!("registry.example/shop@sha256:{}", "ab".repeat(32))),
        preloaded: false,
        port: Some(3000),
        command: Vec::new(),
        replicas: 2,
        env: BTreeMap::new(),
        health: Health {
            check,
            every: Millis(1500),
            timeout: Millis(9000),
            healthy: 1,
            unhealthy: 30,
        },
        stop: Stop { signal: Signal::Term, grace: Millis(10_000) },
        overlap: true,
        volumes: BTreeMap::new(),
        resources: Resources::default(),
    }
}

fn desired(drain: u64, change: impl Fn(&mut ListenerState, &mut Service)) -> Desired {
    let stack =
        StackId { app: "shop".parse().expect("a name"), stack: "prod".parse().expect("a name") };
    let fence = Fence { epoch: Epoch(1), revision: Revision(4) };
    let mut desired = Desired::nothing(stack, fence);
    let nlb = Nlb {
        class: NlbClass::Controller,
        scheme: NlbScheme::InternetFacing,
        alpn: NlbAlpn::Http2Preferred,
    };
    let listener = Listener {
        listen: ([0, 0, 0, 0], 443).into(),
        protocol: ListenerProtocol::Tls,
        certificate: Some("shop".parse().expect("a name")),
        policy: Some("ELBSecurityPolicy-TLS13-1-2-2021-06".into()),
        hosts: BTreeSet::new(),
        route: Route::To("web".parse().expect("a name")),
        balancer: Some(Balancer { provider: Provider::AwsNlb(nlb), annotations: BTreeMap::new() }),
    };
    let certificate = Certificate {
        version: CertificateVersion(1),
        names: vec!["shop.example".into()],
        fingerprint: Digest::from_bytes([1; 32]),
        not_before: Timestamp(1),
        not_after: Timestamp(2),
        source: CertificateSource::Acm,
        acm: Some(AcmCertificate { arn: ARN.into(), key: Some("EC_prime256v1".into()) }),
    };
    let weights = BTreeMap::from([("web@1".parse().expect("a group"), 1)]);
    let mut state = ListenerState { listener, certificate: Some(certificate), weights };
    let mut service = service(HealthCheck::Http { path: "/healthz".into() });
    change(&mut state, &mut service);
    for name in ["web@1", "web@2"] {
        let group = Group { replicas: 2, service: service.clone(), drain: Millis(drain) };
        desired.groups.insert(name.parse().expect("a group"), group);
    }
    desired.listeners.insert("public".parse().expect("a name"), state);
    desired
}

fn manifest(desired: &Desired, kind: Kind, name: &str) -> Value {
    let all = objects(desired);
    let found = all.into_iter().find(|it| it.kind == kind && it.name == name);
    found.unwrap_or_else(|| panic!("no {} {name}", kind.word())).manifest
}

fn annotations(desired: &Desired) -> BTreeMap<String, String> {
    let service = manifest(desired, Kind::Service, "shop-public");
    let all = service["metadata"]["annotations"].as_object().expect("annotations");
    let of_nlb = all.iter().filter_map(|(key, value)| {
        Some((key.strip_prefix(PREFIX)?.to_owned(), value.as_str()?.to_owned()))
    });
    of_nlb.collect()
}

#[test]
fn everything_that_the_controller_could_forget_is_stated() {
    let desired = desired(30_000, |_, _| {});
    let service = manifest(&desired, Kind::Service, "shop-public");
    insta::assert_snapshot!(serde_json::to_string_pretty(&service).expect("JSON"));
}

#[test]
fn what_is_taken_away_is_said_in_words_that_reset_it() {
    let before = annotations(&desired(30_000, |_, _| {}));
    let after = annotations(&desired(30_000, |state, service| {
        let Some(Balancer { provider: Provider::AwsNlb(nlb), .. }) = &mut state.listener.balancer
        else {
            return;
        };
        nlb.alpn = NlbAlpn::None;
        state.listener.policy = None;
        service.health.check = HealthCheck::Tcp;
    }));
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    assert_eq!(after["alpn-policy"], "None");
    assert_eq!(after["ssl-negotiation-policy"], Nlb::POLICY);
    assert_eq!((&*after["healthcheck-protocol"], &*after["healthcheck-path"]), ("tcp", "/"));
}

#[test]
fn a_tcp_listener_has_no_tls_and_no_alpn() {
    let plain = annotations(&desired(30_000, |state, _| {
        state.listener.protocol = ListenerProtocol::Tcp;
        state.listener.certificate = None;
        state.certificate = None;
    }));
    assert_eq!(plain["alpn-policy"], "None");
    let tls: Vec<&String> = plain.keys().filter(|key| key.starts_with("ssl-")).collect();
    assert_eq!(tls, Vec::<&String>::new());
}

#[test]
fn annotations_of_the_users_own_stay_and_do_not_contradict() {
    let all = annotations(&desired(30_000, |state, _| {
        let Some(balancer) = &mut state.listener.balancer else { return };
        for (key, value) in [
            ("subnets", "subnet-1,subnet-2"),
            ("scheme", "internal"),
            ("ip-address-type", "dualstack"),
            (
                "attributes",
                "load_balancing.cross_zone.enabled=false, deletion_protection.enabled=true",
            ),
            (
                "target-group-attributes",
                "preserve_client_ip.enabled=true,deregistration_delay.timeout_seconds=1",
            ),
        ] {
            balancer.annotations.insert(format!("{PREFIX}{key}"), value.into());
        }
    }));
    assert_eq!(all["subnets"], "subnet-1,subnet-2");
    assert_eq!(all["scheme"], "internet-facing");
    assert_eq!(all["ip-address-type"], "dualstack");
    assert_eq!(
        all["attributes"],
        "deletion_protection.enabled=true,load_balancing.cross_zone.enabled=false"
    );
    assert!(all["target-group-attributes"].contains("timeout_seconds=180"));
    assert!(all["target-group-attributes"].contains("preserve_client_ip.enabled=true"));
}

#[test]
fn a_pod_serves_until_the_nlb_has_let_go_of_it() {
    for (drain, sleep, grace) in [(1000, 180, 200), (60_000, 180, 200), (200_000, 320, 330)] {
        let desired = desired(drain, |_, _| {});
        let deployment = manifest(&desired, Kind::Deployment, "shop-web-r2");
        let spec = &deployment["spec"]["template"]["spec"];
        let stop = &spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"];
        assert_eq!(stop.as_i64(), Some(sleep), "drain {drain}");
        assert_eq!(spec["terminationGracePeriodSeconds"].as_i64(), Some(grace), "drain {drain}");
        assert_eq!(deployment["spec"]["minReadySeconds"].as_i64(), Some(10));
        let rolling = &deployment["spec"]["strategy"]["rollingUpdate"];
        assert_eq!(
            (rolling["maxUnavailable"].as_i64(), rolling["maxSurge"].as_i64()),
            (Some(0), Some(1))
        );
        let delay = format!("timeout_seconds={sleep},");
        let attributes = &annotations(&desired)["target-group-attributes"];
        assert!(attributes.contains(&delay), "no longer than it serves: {attributes}");
    }
}

/// A pod gets its readiness gate when it is made, and only if a Service selects it already; and
/// targets that serve are never taken out all at once.
#[test]
fn old_and_new_are_targets_of_one_group_all_the_while() {
    let selector = |weights: &[(&str, u16)]| {
        let desired = desired(1000, |state, _| {
            let weights = weights.iter();
            state.weights =
                weights.map(|(id, share)| (id.parse().expect("a group"), *share)).collect();
        });
        let service = manifest(&desired, Kind::Service, "shop-public");
        (service["spec"]["selector"].clone(), service["spec"]["ports"].clone())
    };
    let always = selector(&[]);
    assert!(always.0.get("landfall.dev/release").is_none(), "{}", always.0);
    assert_eq!(always.1[0]["targetPort"], "main", "each release has a port of its own");
    for weights in [&[("web@1", 2)][..], &[("web@1", 1), ("web@2", 1)], &[("web@2", 2)]] {
        assert_eq!(selector(weights), always);
    }
}

#[test]
fn a_service_without_an_nlb_is_as_before() {
    let desired = desired(30_000, |state, _| state.listener.balancer = None);
    let deployment = manifest(&desired, Kind::Deployment, "shop-web-r2");
    assert!(deployment["spec"].get("minReadySeconds").is_none());
    let spec = &deployment["spec"]["template"]["spec"];
    assert_eq!(spec["terminationGracePeriodSeconds"].as_i64(), Some(40));
    assert!(annotations(&desired).is_empty());
}
