//! The account: what `export rbac` prints is what `setup` makes, and it is the least that works.

use crate::world::World;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use serde_json::json;

#[test]
fn what_is_exported_is_what_stands() {
    let Some(world) = World::new("rights") else { return };
    let exported = world.answer(&["export", "rbac"], "rbac");
    let manifests = exported["manifests"].as_array().expect("manifests");
    assert_eq!(manifests.len(), 3);
    for manifest in manifests {
        let text = |name: &str| manifest[name].as_str().expect("text");
        let api = world.dynamic(text("apiVersion"), text("kind"));
        let stands = serde_json::to_value(world.block(api.get("landfall"))).expect("JSON");
        for (key, value) in manifest.as_object().expect("an object") {
            if key != "metadata" && key != "subjects" {
                assert_eq!(&stands[key], value, "{}.{key}", text("kind"));
            }
        }
    }
    let role = manifests.iter().find(|it| it["kind"] == "Role").expect("a Role");
    let rules = role["rules"].to_string();
    assert!(!rules.contains('*'), "{rules}");
}

#[test]
fn the_namespace_admits_only_restricted_pods() {
    let Some(world) = World::new("restricted") else { return };
    let pod = json!({
        "metadata": { "name": "loose" },
        "spec": { "containers": [{ "name": "c", "image": "testbed.local/app:1", "securityContext": { "allowPrivilegeEscalation": true } }] },
    });
    let pod: Pod = serde_json::from_value(pod).expect("a pod");
    let refused = world.attempt(world.api::<Pod>().create(&PostParams::default(), &pod));
    let words = refused.expect_err("refused").to_string();
    assert!(words.contains("restricted"), "{words}");
    // Whoever deploys cannot give rights.
    let denied = world.host.run(&["setup"]).expect(3).stderr;
    assert!(denied.contains("does not allow it"), "{denied}");
}
