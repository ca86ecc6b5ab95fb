//! The engine itself: what it makes, what it leaves alone, what it says.

use crate::world::World;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service as KubernetesService};
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::{Api, ResourceExt};
use landfall_engine::EngineError;
use landfall_engine::conformance::{self, Harness, Kind};
use landfall_model::{Desired, Epoch, Fence, Group, Millis, Revision};
use std::collections::BTreeMap;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_an_engine_like_every_other() {
    let Some(world) = World::new("conformance").await else { return };
    conformance::run(&world).await;
    world.end().await;
}

fn desired(world: &World, release: u64, fence: (u64, u64), replicas: u16) -> Desired {
    let fence = Fence { epoch: Epoch(fence.0), revision: Revision(fence.1) };
    let mut desired = Desired::nothing(world.stack(), fence);
    let group = Group { replicas, service: world.service(Kind::Good), drain: Millis(1000) };
    desired.groups.insert(format!("web@{release}").parse().expect("a group"), group);
    desired
}

/// Everything in the namespace that is not Kubernetes' own, by name, with its resource version.
async fn versions(world: &World) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let list = ListParams::default();
    let (maps, services, deployments): (Api<ConfigMap>, Api<KubernetesService>, Api<Deployment>) =
        (world.api(), world.api(), world.api());
    let version = |meta: &ObjectMeta| meta.resource_version.clone().unwrap_or_default();
    for it in maps.list(&list).await.expect("a list") {
        all.insert(format!("ConfigMap {}", it.name_any()), version(&it.metadata));
    }
    for it in services.list(&list).await.expect("a list") {
        all.insert(format!("Service {}", it.name_any()), version(&it.metadata));
    }
    for it in deployments.list(&list).await.expect("a list") {
        all.insert(format!("Deployment {}", it.name_any()), version(&it.metadata));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_ours_is_never_touched() {
    let Some(world) = World::new("foreign").await else { return };
    let maps: Api<ConfigMap> = world.api();
    let make = async |name: &str, labels: &[(&str, &str)]| {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some(labels.collect()),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        };
        maps.create(&PostParams::default(), &map).await.expect("made");
    };
    make("theirs", &[]).await;
    make("managed", &[("app.kubernetes.io/managed-by", "landfall")]).await;
    make("neighbour", &[("landfall.dev/stack", "shop.other")]).await;
    make("shop-web-r2", &[("app.kubernetes.io/managed-by", "Helm")]).await;
    let before = versions(&world).await;

    let engine = world.open().await;
    engine.apply(desired(&world, 1, (1, 1), 1), world.materials()).await.expect("applied");
    let refused = engine.apply(desired(&world, 2, (1, 2), 1), world.materials()).await;
    let words = refused.expect_err("a name that is taken").to_string();
    assert!(words.contains("shop-web-r2") && words.contains("managed by Helm"), "{words}");
    let nothing = Desired::nothing(world.stack(), Fence { epoch: Epoch(1), revision: Revision(3) });
    engine.apply(nothing, world.materials()).await.expect("applied");

    let mut after = versions(&world).await;
    after.remove("ConfigMap landfall-shop-foreign");
    assert_eq!(after, before);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_writers_the_older_changes_nothing_any_more() {
    let Some(world) = World::new("writers").await else { return };
    let (old, new) = (world.open().await, world.open().await);
    old.apply(desired(&world, 1, (1, 1), 1), world.materials()).await.expect("applied");
    new.apply(desired(&world, 1, (2, 1), 1), world.materials()).await.expect("applied");
    let before = versions(&world).await;
    let refused = old.apply(desired(&world, 2, (1, 2), 1), world.materials()).await;
    assert!(matches!(refused, Err(EngineError::Superseded { .. })), "{refused:?}");
    assert_eq!(
        versions(&world).await.keys().collect::<Vec<_>>(),
        before.keys().collect::<Vec<_>>()
    );
    world.end().await;
}

/// Writers of rising reigns write at once; the highest fence that was accepted is what stands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_highest_fence_stands_whatever_the_order() {
    let Some(world) = World::new("races").await else { return };
    for round in 0..10_u64 {
        let writers = (1..=4_u64).map(|writer| {
            let desired = desired(&world, writer, (round * 4 + writer, 1), 0);
            let world = &world;
            async move {
                let engine = world.open().await;
                (writer, engine.apply(desired, world.materials()).await)
            }
        });
        let results = futures::future::join_all(writers).await;
        let accepted = results.iter().filter(|(_, it)| it.is_ok()).map(|(writer, _)| *writer);
        let winner = accepted.max().unwrap_or_else(|| panic!("nobody: {results:?}"));
        assert_eq!(winner, 4, "the highest is never refused: {results:?}");
        // What an older one made while it was overtaken, it has taken back.
        let deployments: Api<Deployment> = world.api();
        let names: Vec<String> = deployments
            .list(&ListParams::default())
            .await
            .expect("a list")
            .iter()
            .map(ResourceExt::name_any)
            .collect();
        assert_eq!(names, ["shop-web-r4"], "round {round}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn applying_the_same_again_writes_nothing() {
    let Some(world) = World::new("again").await else { return };
    let engine = world.open().await;
    engine.apply(desired(&world, 1, (1, 1), 0), world.materials()).await.expect("applied");
    // The controllers write their status once more.
    world.settled(&engine, 1).await;
    let before = versions(&world).await;
    engine.apply(desired(&world, 1, (1, 1), 0), world.materials()).await.expect("applied");
    assert_eq!(versions(&world).await, before);
    // A change by hand is put right by the next reign at the latest.
    let deployments: Api<Deployment> = world.api();
    deployments.delete("shop-web-r1", &DeleteParams::default()).await.expect("deleted");
    engine.apply(desired(&world, 1, (1, 1), 0), world.materials()).await.expect("applied");
    assert!(deployments.get_opt("shop-web-r1").await.expect("an answer").is_some());
    world.end().await;
}

/// A way of not getting well: its name, what spoils the group, what is said then.
type Case = (&'static str, fn(&mut Group), &'static [&'static str]);

/// Each way of not getting well has words of its own, and they come long before a deadline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_says_why_a_group_does_not_get_well() {
    let Some(world) = World::new("reasons").await else { return };
    let engine = world.open().await;
    let cases: [Case; 5] = [
        (
            "image",
            |group| group.service.image = Some("testbed.local/nothing:1".into()),
            &["image testbed.local/nothing:1 cannot be had"],
        ),
        (
            "crash",
            |group| {
                group.service.command = ["sh", "-c", "echo the database is not there; exit 3"]
                    .map(String::from)
                    .to_vec();
            },
            &["exited with code 3", "the database is not there"],
        ),
        (
            "size",
            |group| group.service.resources.cpu = "500".parse().ok(),
            &["no node takes it", "cpu"],
        ),
        (
            "probe",
            |group| {
                group.service.health.check =
                    landfall_model::HealthCheck::Http { path: "/nothing-here".into() };
            },
            &["404"],
        ),
        ("program", |group| group.service.command = vec!["./not-there".into()], &["not-there"]),
    ];
    for (release, (name, spoil, words)) in (1..).zip(cases) {
        let mut desired = desired(&world, release, (1, release), 1);
        desired.groups.values_mut().for_each(spoil);
        engine.apply(desired, world.materials()).await.expect("applied");
        let said = world.reason(&engine, release, words).await;
        assert!(words.iter().all(|word| said.contains(word)), "{name}: {said}");
    }
    world.end().await;
}
