//! What is not ours is never changed or removed, whatever it is called and whoever owns it.

use crate::file::{SHOP, Shop};
use crate::world::{OURS, World};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use kube::api::{DynamicObject, PostParams};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Labels of strangers, from nothing at all to nearly ours.
fn labels() -> Vec<Value> {
    vec![
        json!({}),
        json!({ "app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "shop" }),
        json!({ "app.kubernetes.io/managed-by": "landfall", "app.kubernetes.io/part-of": "shop" }),
        json!({ "landfall.dev/stack": "shop.staging", "landfall.dev/service": "web", "landfall.dev/release": "1" }),
        json!({ "landfall.dev/stack": "shop.prod2" }),
    ]
}

fn metadata(name: &str, labels: &Value) -> Value {
    json!({ "name": name, "labels": labels, "annotations": { "landfall.dev/fence": "1.1" } })
}

/// Objects of every kind that Landfall writes and some that it does not, with names like ours.
fn strangers() -> Vec<(&'static str, &'static str, Value)> {
    let mut all = Vec::new();
    for (place, labels) in labels().iter().enumerate() {
        let meta = |name: &str| metadata(&format!("{name}{place}"), labels);
        let pod = json!({
            "metadata": { "labels": { "its": format!("own{place}") } },
            "spec": { "restartPolicy": "Never", "containers": [{ "name": "c", "image": "testbed.local/app:1" }] },
        });
        let mut always = pod.clone();
        always["spec"]["restartPolicy"] = json!("Always");
        let selector = json!({ "matchLabels": { "its": format!("own{place}") } });
        all.extend([
            ("v1", "ConfigMap", json!({ "metadata": meta("shop-web-r1-x"), "data": { "a": "b" } })),
            ("v1", "Secret", json!({ "metadata": meta("landfall-x"), "stringData": { "a": "b" } })),
            ("v1", "Service", json!({ "metadata": meta("shop-public-x"), "spec": { "ports": [{ "port": 80 }], "selector": { "its": "own" } } })),
            ("policy/v1", "PodDisruptionBudget", json!({ "metadata": meta("shop-web-x"), "spec": { "maxUnavailable": 1, "selector": selector } })),
            ("batch/v1", "Job", json!({ "metadata": meta("shop-migrate-r1-x"), "spec": { "suspend": true, "template": pod } })),
            ("apps/v1", "Deployment", json!({ "metadata": meta("shop-web-r1-x"), "spec": { "replicas": 0, "selector": selector, "template": always } })),
            ("apps/v1", "StatefulSet", json!({ "metadata": meta("shop-web-x"), "spec": { "replicas": 0, "serviceName": "x", "selector": selector, "template": always } })),
        ]);
    }
    all
}

fn make(world: &World, api_version: &str, kind: &str, object: &Value) {
    let mut object = object.clone();
    object["apiVersion"] = json!(api_version);
    object["kind"] = json!(kind);
    let object: DynamicObject = serde_json::from_value(object).expect("an object");
    world.block(world.dynamic(api_version, kind).create(&PostParams::default(), &object));
}

/// What every object that is not of the stack is: its identity and version.
fn look(world: &World) -> BTreeMap<String, (String, String)> {
    fn of<K: kube::Resource>(kind: &str, all: Vec<K>) -> Vec<(String, (String, String))> {
        let versions = all.into_iter().map(|it| {
            let version = it.resource_version().unwrap_or_default();
            (format!("{kind} {}", it.name_any()), (it.uid().unwrap_or_default(), version))
        });
        versions.collect()
    }
    let not = "landfall.dev/stack!=shop.prod";
    let mut all: BTreeMap<_, _> = [
        of("ConfigMap", world.list::<ConfigMap>(not)),
        of("Service", world.list::<Service>(not)),
        of("PodDisruptionBudget", world.list::<PodDisruptionBudget>(not)),
        of("Job", world.list::<Job>(not)),
        of("Deployment", world.list::<Deployment>(not)),
        of("StatefulSet", world.list::<StatefulSet>(not)),
        of("Secret", world.list::<Secret>("!landfall.dev/object")),
    ]
    .into_iter()
    .flatten()
    .collect();
    all.retain(|name, _| name.contains("-x"));
    all
}

#[test]
fn strangers_are_left_alone() {
    let Some(world) = World::new("strangers") else { return };
    for (api_version, kind, object) in strangers() {
        make(&world, api_version, kind, &object);
    }
    // Controllers have their say first.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let before = look(&world);
    assert_eq!(before.len(), strangers().len());
    let others = Shop { replicas: 1, version: 7, ..SHOP };
    world.write_other("other.yaml", "shop-web", &others);
    world.host.run(&["up", "--file", "other.yaml"]).expect(0);
    let theirs = world.objects("landfall.dev/stack=shop-web.prod");
    let same = |when: &str| {
        assert_eq!(look(&world), before, "{when}");
        let now = world.objects("landfall.dev/stack=shop-web.prod");
        assert_eq!(now, theirs, "the other app, {when}");
    };
    for version in 1..=2 {
        world.up_to(&Shop::version(version)).expect(0);
        world.exactly(u64::from(version), version);
        same("after an up");
    }
    world.host.run(&["rollback"]).expect(0);
    same("after a rollback");
    world.up_to(&Shop { command: "[/nowhere]", rollout: "deadline: 3s", ..SHOP }).expect(4);
    same("after a failure");
    world.host.run(&["down"]).expect(0);
    same("after a down");
    world.host.run(&["down", "--purge", "--yes"]).expect(0);
    same("after a purge");
    world.host.run(&["verify", "--file", "other.yaml"]).expect(0);
    assert!(world.objects(OURS).is_empty());
}

#[test]
fn a_name_that_is_taken_is_a_failure_that_names_the_owner() {
    let Some(world) = World::up("taken") else { return };
    let helms = json!({ "app.kubernetes.io/managed-by": "Helm" });
    make(&world, "v1", "ConfigMap", &json!({ "metadata": metadata("shop-web-r2", &helms) }));
    let ran = world.up_to(&Shop::version(2)).expect(4);
    assert!(ran.took < std::time::Duration::from_secs(10), "{:?}", ran.took);
    let message = ran.typed("summary")["message"].to_string();
    assert!(message.contains("ConfigMap shop-web-r2") && message.contains("Helm"), "{message}");
    world.assert_serves(1);
    assert_eq!(world.names::<Deployment>(OURS), ["shop-web-r1"]);
    assert!(world.get::<ConfigMap>("shop-web-r2").expect("it is there").data.is_none());
}
