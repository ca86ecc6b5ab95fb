//! What a desired state becomes, as manifests.

use landfall_engine_kubernetes::objects::{Kind, hash_of, objects};
use landfall_model::{
    Artifact, Bytes, Cpu, Desired, Digest, Epoch, Fence, Group, GroupId, Health, HealthCheck, Job,
    JobId, Listener, ListenerProtocol, ListenerState, Millis, Resources, Revision, Route, Service,
    Signal, StackId, Stop,
};
use std::collections::{BTreeMap, BTreeSet};

fn service(version: &str) -> Service {
    Service {
        artifact: Some(Artifact {
            digest: Digest::from_bytes([7; 32]),
            size: Bytes(1),
            path: "./dist".into(),
        }),
        image: Some(format!("registry.example/shop@sha256:{}", "ab".repeat(32))),
        preloaded: false,
        port: Some(3000),
        command: vec!["./shop".into(), "serve".into()],
        replicas: 2,
        env: BTreeMap::from([("SHOP_VERSION".to_owned(), version.to_owned())]),
        health: Health {
            check: HealthCheck::Http { path: "/healthz".into() },
            every: Millis(1500),
            timeout: Millis(200),
            healthy: 2,
            unhealthy: 3,
        },
        stop: Stop { signal: Signal::Term, grace: Millis(20_000) },
        overlap: true,
        volumes: BTreeMap::new(),
        resources: Resources {
            cpu: Some("500m".parse::<Cpu>().expect("a share")),
            memory: Some(Bytes(256 << 20)),
        },
    }
}

fn id(text: &str) -> GroupId {
    text.parse().expect("a group")
}

fn desired(weights: &[(&str, u16)]) -> Desired {
    let stack =
        StackId { app: "shop".parse().expect("a name"), stack: "prod".parse().expect("a name") };
    let fence = Fence { epoch: Epoch(1), revision: Revision(4) };
    let mut desired = Desired::nothing(stack, fence);
    for (name, version) in [("web@1", "1"), ("web@2", "2")] {
        let group = Group { replicas: 2, service: service(version), drain: Millis(30_000) };
        desired.groups.insert(id(name), group);
    }
    let listener = Listener {
        listen: ([0, 0, 0, 0], 80).into(),
        protocol: ListenerProtocol::Http,
        certificate: None,
        policy: None,
        hosts: BTreeSet::new(),
        route: Route::To("web".parse().expect("a name")),
        balancer: None,
    };
    let weights = weights.iter().map(|(name, share)| (id(name), *share)).collect();
    let state = ListenerState { listener, certificate: None, weights };
    desired.listeners.insert("public".parse().expect("a name"), state);
    desired
}

fn manifest(desired: &Desired, kind: Kind, name: &str) -> serde_json::Value {
    let all = objects(desired);
    let found = all.into_iter().find(|it| it.kind == kind && it.name == name);
    found.unwrap_or_else(|| panic!("no {} {name}", kind.word())).manifest
}

#[test]
fn a_group_is_a_deployment_that_restricted_security_admits() {
    let deployment = manifest(&desired(&[("web@1", 1)]), Kind::Deployment, "shop-web-r2");
    insta::assert_snapshot!(serde_json::to_string_pretty(&deployment).expect("JSON"));
}

#[test]
fn everything_has_its_order_and_its_name() {
    let mut desired = desired(&[("web@1", 1)]);
    let job = Job {
        group: id("web@2"),
        service: service("2"),
        command: vec!["./shop".into(), "migrate".into()],
        timeout: Millis(60_000),
    };
    desired.jobs.insert(JobId("migrate-r2-1".into()), job);
    let names: Vec<String> =
        objects(&desired).iter().map(|it| format!("{} {}", it.kind.word(), it.name)).collect();
    assert_eq!(
        names,
        [
            "ConfigMap shop-migrate-r2-1",
            "ConfigMap shop-web-r1",
            "ConfigMap shop-web-r2",
            "Service shop-public",
            "PodDisruptionBudget shop-web",
            "Job shop-migrate-r2-1",
            "Deployment shop-web-r1",
            "Deployment shop-web-r2",
        ]
    );
    let job = manifest(&desired, Kind::Job, "shop-migrate-r2-1");
    insta::assert_snapshot!(serde_json::to_string_pretty(&job).expect("JSON"));
}

#[test]
fn one_change_of_a_selector_moves_the_traffic() {
    let release = |weights: &[(&str, u16)]| {
        let service = manifest(&desired(weights), Kind::Service, "shop-public");
        service["spec"]["selector"]["landfall.dev/release"].as_str().map(str::to_owned)
    };
    assert_eq!(release(&[("web@1", 1)]).as_deref(), Some("1"));
    assert_eq!(release(&[("web@1", 0), ("web@2", 1)]).as_deref(), Some("2"));
    assert_eq!(release(&[("web@1", 1), ("web@2", 1)]), None, "both");
    assert_eq!(release(&[]).as_deref(), Some("none"), "nobody");
}

#[test]
fn only_what_differs_has_another_hash() {
    let hashes = |desired: &Desired| -> BTreeMap<String, String> {
        let all = objects(desired);
        all.iter().map(|it| (format!("{} {}", it.kind.word(), it.name), hash_of(it))).collect()
    };
    let (one, two) = (hashes(&desired(&[("web@1", 1)])), hashes(&desired(&[("web@2", 1)])));
    let changed: Vec<&String> =
        one.iter().filter(|(key, it)| two[*key] != **it).map(|it| it.0).collect();
    assert_eq!(changed, ["Service shop-public"]);
}
