//! A hook is a Job: it runs once at most, and what it says decides.

use crate::file::{SHOP, Shop};
use crate::world::World;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Pod};
use landfall_testkit::{finish, processes, until};

const WELL: &str = "hooks: { before: { migrate: { service: web, command: [sh, -c, 'echo migrated for $VERSION; sleep 2'] } } }";
const FAILS: &str = "hooks: { before: { migrate: { service: web, command: [sh, -c, 'echo no table orders; exit 7'] } } }";

const OF_HOOKS: &str = "batch.kubernetes.io/job-name";

/// How many pods were ever made for Jobs: they go when the rollout is over.
fn hooks_started(world: &World) -> i32 {
    let events = world.list::<Event>("");
    let made = events.iter().filter(|event| {
        event.involved_object.kind.as_deref() == Some("Job")
            && event.reason.as_deref() == Some("SuccessfulCreate")
    });
    made.map(|event| event.count.unwrap_or(1)).sum()
}

#[test]
fn a_hook_runs_once_and_its_failing_stops_the_rollout() {
    let Some(world) = World::new("hooks") else { return };
    world.up_to(&Shop { more: WELL, ..SHOP }).expect(0);
    world.exactly(1, 1);
    assert_eq!(hooks_started(&world), 1);
    let ran = world.up_to(&Shop { more: FAILS, ..Shop::version(2) }).expect(4);
    let message = ran.typed("summary")["message"].to_string();
    assert!(message.contains("no table orders") && message.contains('7'), "{message}");
    assert!(message.contains("migrate"), "{message}");
    assert!(!ran.stdout.contains("start 2 × web@2"), "nothing was started");
    world.exactly(1, 1);
}

#[test]
fn a_hook_whose_client_dies_is_not_run_again() {
    let Some(world) = World::up("hook-kill") else { return };
    let child = world.start(&Shop { more: WELL, ..Shop::version(2) });
    until("the hook's pod", crate::world::PATIENCE, || world.list::<Pod>(OF_HOOKS).pop());
    processes::kill(child.id());
    finish(child, &["up"]).expect(128 + 9);
    world.host.run(&["resume"]).expect(0);
    world.exactly(2, 2);
    assert_eq!(hooks_started(&world), 1);
    world.host.run(&["rollback"]).expect(0);
    world.exactly(3, 1);
    assert_eq!(world.names::<Deployment>("").len(), 1);
}
