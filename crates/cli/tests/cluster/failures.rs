//! Releases that do not get well: the release before serves on, the reason is shown soon after the
//! cluster knows it, and nothing of the failed one stays.

use crate::file::{SHOP, Shop};
use crate::world::World;
use k8s_openapi::api::core::v1::{Event, Pod, ResourceQuota};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::api::{ObjectMeta, PostParams};
use landfall_testkit::{finish, until};
use std::time::Duration;

/// How long after the cluster knows it a reason may be shown. The goal is 5 s on a calm machine.
const SOON: i64 = 10_000;
/// The deadline of a rollout that fails by it.
const SHORT: &str = "drain: 1s, deadline: 8s";

/// Rolls out what cannot get well over version 1, and gives back what the summary says.
fn fails(world: &World, shop: &Shop<'_>, reason: &[&str]) -> Failed {
    let load = crate::load::Load::start(world.address().expect("an address"));
    let child = world.start(shop);
    // Pods are gone at the end, so the cluster is asked while it goes on.
    let known = until("the cluster to know", crate::world::PATIENCE, || known(world));
    let ran = finish(child, &["up"]).expect(4);
    let (asked, lost) = load.end();
    assert_eq!(lost, Vec::<String>::new(), "of {asked}");
    let summary = ran.typed("summary");
    let message = summary["message"].as_str().unwrap_or_default().to_owned();
    for words in reason {
        assert!(message.contains(words), "{words} in {message}\n{}", ran.stdout);
    }
    assert_eq!(summary["serving_release"], 1);
    let first = reason.first().expect("a reason");
    let shown = ran.json().into_iter().find(|line| line["message"].to_string().contains(first));
    let shown = shown.and_then(|line| line["time"].as_i64()).expect("when it was shown");
    world.exactly(1, 1);
    Failed { after: shown - known }
}

/// How it failed.
struct Failed {
    /// How many milliseconds after the cluster knew it the reason was shown.
    after: i64,
}

impl Failed {
    fn soon(&self) {
        eprintln!("shown {} ms after the cluster knew", self.after);
        assert!(self.after < SOON, "shown {} ms after the cluster knew", self.after);
    }
}

/// Since when the cluster knows what is wrong with a pod of release 2, in milliseconds since 1970.
fn known(world: &World) -> Option<i64> {
    let pods = world.list::<Pod>("landfall.dev/release=2,landfall.dev/group=serves");
    let trouble = pods.iter().any(|pod| troubled(pod).is_some());
    let events = world.list::<Event>("");
    let refused = events.iter().find(|event| {
        let of = event.involved_object.name.as_deref().unwrap_or_default();
        let reason = event.reason.as_deref().unwrap_or_default();
        let words = ["Failed", "BackOff", "Unhealthy", "FailedScheduling", "FailedCreate"];
        of.starts_with("shop-web-r2-") && words.contains(&reason)
    });
    let now = jiff::Timestamp::now().as_millisecond();
    let at = |time: &Option<Time>| time.as_ref().map(|time| time.0.as_millisecond());
    refused.and_then(|event| at(&event.first_timestamp)).or_else(|| trouble.then_some(now))
}

fn troubled(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
    let state = status.state.as_ref()?;
    let ended = state.terminated.as_ref().map(|_| pod.name_any());
    ended.or_else(|| state.waiting.as_ref()?.reason.clone().filter(|it| it.contains("BackOff")))
}

#[test]
fn an_image_that_is_not_there() {
    let Some(world) = World::up("no-image") else { return };
    let shop = Shop { image: Some("127.0.0.1:1/nowhere:9"), rollout: SHORT, ..Shop::version(2) };
    fails(&world, &shop, &["127.0.0.1:1/nowhere:9"]).soon();
}

#[test]
fn a_crash_loop_shows_its_last_words() {
    let Some(world) = World::up("crash-loop") else { return };
    let command = "[sh, -c, 'echo there is no table orders; exit 7']";
    let shop = Shop { command, rollout: "drain: 1s, deadline: 60s", ..Shop::version(2) };
    let began = std::time::Instant::now();
    fails(&world, &shop, &["there is no table orders", "7"]).soon();
    assert!(began.elapsed() < Duration::from_secs(55), "before the deadline");
}

#[test]
fn what_never_gets_healthy_says_what_the_probe_saw() {
    let Some(world) = World::up("unhealthy") else { return };
    let shop = Shop {
        command: "[sh, -c, 'exec httpd -f -p 8080 -h /bin']",
        rollout: SHORT,
        ..Shop::version(2)
    };
    fails(&world, &shop, &["404", "/healthz"]).soon();
}

#[test]
fn a_program_that_is_not_in_the_image() {
    let Some(world) = World::up("no-program") else { return };
    let shop = Shop { command: "[/nowhere]", rollout: SHORT, ..Shop::version(2) };
    fails(&world, &shop, &["/nowhere", "no such file or directory"]).soon();
}

#[test]
fn a_quota_that_is_too_small() {
    let Some(world) = World::up("quota") else { return };
    let quota = ResourceQuota {
        metadata: ObjectMeta { name: Some("small".into()), ..ObjectMeta::default() },
        spec: Some(k8s_openapi::api::core::v1::ResourceQuotaSpec {
            hard: Some(
                [("pods".to_owned(), serde_json::from_str("\"2\"").expect("a quantity"))].into(),
            ),
            ..Default::default()
        }),
        status: None,
    };
    world.block(world.api::<ResourceQuota>().create(&PostParams::default(), &quota));
    until("the quota to count", crate::world::PATIENCE, || {
        world.get::<ResourceQuota>("small")?.status?.used.filter(|used| !used.is_empty())
    });
    fails(&world, &Shop { rollout: SHORT, ..Shop::version(2) }, &["exceeded quota", "small"])
        .soon();
}

#[test]
fn no_node_is_large_enough() {
    let Some(world) = World::up("huge") else { return };
    let shop = Shop { service: "resources: { cpu: 900 }", rollout: SHORT, ..Shop::version(2) };
    fails(&world, &shop, &["Insufficient cpu"]).soon();
}

#[test]
fn the_first_release_may_fail_as_well() {
    let Some(world) = World::new("first-fails") else { return };
    let ran = world.up_to(&Shop { command: "[sh, -c, 'exit 1']", rollout: SHORT, ..SHOP });
    let ran = ran.expect(4);
    assert!(ran.typed("summary")["serving_release"].is_null());
    use k8s_openapi::api::apps::v1::Deployment;
    use k8s_openapi::api::core::v1::Service;
    assert_eq!(world.names::<Deployment>(crate::world::OURS), Vec::<String>::new());
    assert_eq!(world.names::<Service>(crate::world::OURS), Vec::<String>::new());
}
