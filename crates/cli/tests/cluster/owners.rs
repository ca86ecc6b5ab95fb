//! Fields that another manager owns: said, taken over when asked for, and no obstacle to leaving.

use crate::file::Shop;
use crate::world::{OURS, World};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::json;

#[test]
fn a_field_of_another_manager_is_named_and_taken_when_asked_for() {
    let Some(world) = World::up("owners") else { return };
    let theirs = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "shop-public" },
        "spec": { "selector": { "landfall.dev/release": "1" } },
    });
    let params = PatchParams { force: true, ..PatchParams::apply("argocd-controller") };
    world.block(async {
        let services = world.api::<Service>();
        services.patch("shop-public", &params, &Patch::Apply(&theirs)).await.map(drop)
    });
    let ran = world.up_to(&Shop::version(2)).expect(4);
    let message = ran.typed("summary")["message"].to_string();
    assert!(message.contains("argocd-controller"), "{message}");
    assert!(message.contains("spec.selector"), "{message}");
    assert!(message.contains("Service shop-public"), "{message}");
    world.assert_serves(1);
    assert_eq!(world.names::<Deployment>(OURS), ["shop-web-r1"]);
    world.host.run(&["up", "--again", "--take-ownership"]).expect(0);
    world.exactly(3, 2);
}

#[test]
fn what_somebody_scaled_does_not_keep_it_from_going() {
    let Some(world) = World::up("scaled") else { return };
    let scale = json!({ "spec": { "replicas": 1 } });
    world.block(async {
        let deployments = world.api::<Deployment>();
        let params =
            PatchParams { field_manager: Some("kubectl-scale".into()), ..PatchParams::default() };
        deployments.patch_scale("shop-web-r1", &params, &Patch::Merge(&scale)).await.map(drop)
    });
    let owners = world.get::<Deployment>("shop-web-r1").expect("it").managed_fields().to_vec();
    assert!(owners.iter().any(|it| it.manager.as_deref() == Some("kubectl-scale")), "{owners:?}");
    world.up_to(&Shop::version(2)).expect(0);
    world.exactly(2, 2);
    world.block(async {
        let deployments = world.api::<Deployment>();
        let params =
            PatchParams { field_manager: Some("kubectl-scale".into()), ..PatchParams::default() };
        deployments.patch_scale("shop-web-r2", &params, &Patch::Merge(&scale)).await.map(drop)
    });
    world.host.run(&["down"]).expect(0);
    assert!(world.objects(OURS).is_empty());
}
