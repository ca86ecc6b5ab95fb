//! Who may change what when: cancelling, joining, waiting one's turn.

use crate::world::{PATIENCE, SHOP, Shop, World, signal};
use landfall_testkit::processes::Kind;
use landfall_testkit::{finish, until};
use rustix::process::Signal;

/// Takes a while before it listens.
const SLOW: Shop = Shop { version: 2, env: "SHOP_START: \"2500\"", ..SHOP };
/// Takes longer than any test.
const STUCK: Shop = Shop { version: 2, env: "SHOP_START: \"60000\"", ..SHOP };

fn until_started(world: &World, release: u64) {
    until("an instance of the new release", PATIENCE, || {
        let instances = world.host.processes(Kind::Instance);
        instances.iter().any(|it| it.release == Some(release)).then_some(())
    });
}

fn until_idle(world: &World) {
    until("the run to be over", PATIENCE, || {
        world.answer(&["status"], "status")["stacks"][0]["run"].is_null().then_some(())
    });
}

#[test]
fn ctrl_c_before_traffic_moves_keeps_the_old_release() {
    let world = World::up();
    for number in [Signal::INT, Signal::TERM] {
        let child = world.start(&STUCK);
        until("an instance", PATIENCE, || {
            let instances = world.host.processes(Kind::Instance);
            instances.iter().any(|it| it.release != Some(1)).then_some(())
        });
        signal(&child, number);
        let up = finish(child, &["up"]).expect(8);
        let summary = up.typed("summary");
        assert_eq!(summary["serving_release"], 1);
        assert!(summary["message"].to_string().contains("cancelled: by "), "{summary}");
        world.assert_serves("1");
    }
    // What was cancelled did not fail: it may simply be tried again.
    world.write(&Shop::version(2));
    world.host.run(&["up"]).expect(0);
}

#[test]
fn ctrl_c_while_baking_goes_back() {
    let world = World::up();
    let rollout = "{ drain: 200ms, bake: 1m, deadline: 30s }";
    let child = world.start(&Shop { version: 2, rollout, ..SHOP });
    until("version 2", PATIENCE, || (world.serves().as_deref() == Some("2")).then_some(()));
    signal(&child, Signal::INT);
    let up = finish(child, &["up"]).expect(8);
    assert_eq!(up.typed("summary")["serving_release"], 1);
    world.assert_serves("1");
}

#[test]
fn a_second_ctrl_c_leaves_and_the_agent_goes_on() {
    let world = World::up();
    // It does not end when asked, so that going back takes its grace.
    let child =
        world.start(&Shop { env: "SHOP_TERM: ignore\nSHOP_UNHEALTHY: really", ..STUCK_LISTENING });
    until_started(&world, 2);
    signal(&child, Signal::INT);
    until("going back", PATIENCE, || {
        let step = world.answer(&["status"], "status")["stacks"][0]["run"]["step"].clone();
        (step == "undoing").then_some(())
    });
    signal(&child, Signal::INT);
    let up = finish(child, &["up"]).expect(8);
    assert!(up.typed("summary")["message"].to_string().contains("the agent goes on"));
    until_idle(&world);
    world.assert_serves("1");
    assert_eq!(world.history()[0], (2, "cancelled".into()));
}

const STUCK_LISTENING: Shop = Shop { version: 2, ..SHOP };

#[test]
fn the_death_of_a_client_changes_nothing_and_the_next_one_joins() {
    let world = World::up();
    let mut child = world.start(&SLOW);
    until_started(&world, 2);
    child.kill().expect("killed");
    child.wait().expect("ended");
    let up = world.host.run(&["up", "--output", "json"]).expect(0);
    assert_eq!(up.typed("summary")["serving_release"], 2);
    assert_eq!(world.history().len(), 2, "no third release");
    world.assert_serves("2");
}

#[test]
fn resume_follows_what_is_in_progress() {
    let world = World::up();
    let child = world.start(&SLOW);
    until_started(&world, 2);
    let resumed = world.host.run(&["resume", "--output", "json"]).expect(0);
    let up = finish(child, &["up"]).expect(0);
    assert_eq!(resumed.typed("summary"), up.typed("summary"));
    assert!(resumed.stdout.contains("start 1 × web@2"), "from the first event: {}", resumed.stdout);
}

#[test]
fn a_repeated_key_joins_its_run_or_gets_its_end() {
    let world = World::new();
    world.host.run(&["up", "--idempotency-key", "build-1"]).expect(0);
    world.write(&Shop::version(2));
    let again =
        world.host.run(&["up", "--idempotency-key", "build-1", "--output", "json"]).expect(0);
    assert_eq!(again.typed("summary")["serving_release"], 1, "the same request, not another");
    world.assert_serves("1");
    let child = {
        world.write(&SLOW);
        world.host.spawn(&["up", "--idempotency-key", "build-2", "--output", "json"])
    };
    until_started(&world, 2);
    world.write(&Shop::version(3));
    let joined =
        world.host.run(&["up", "--idempotency-key", "build-2", "--output", "json"]).expect(0);
    assert_eq!(joined.typed("summary")["serving_release"], 2);
    finish(child, &["up"]).expect(0);
    world.write(&Shop { version: 4, command: "[sh, -c, 'exit 1']", ..SHOP });
    let failed =
        world.host.run(&["up", "--idempotency-key", "build-4", "--output", "json"]).expect(4);
    let again =
        world.host.run(&["up", "--idempotency-key", "build-4", "--output", "json"]).expect(4);
    assert_eq!(failed.typed("summary")["message"], again.typed("summary")["message"]);
    world.host.run(&["rollback", "--to", "1", "--idempotency-key", "back"]).expect(0);
    world.host.run(&["rollback", "--to", "1", "--idempotency-key", "back"]).expect(0);
    assert_eq!(world.history()[0], (4, "succeeded".into()), "one rollback, not two");
}

#[test]
fn two_different_changes_take_turns() {
    let mut world = World::up();
    world.host.set("USER", "alice");
    let child = world.start(&STUCK);
    until_started(&world, 2);
    world.host.set("USER", "bob");
    let refused = world.host.run(&["up", "--set", "version=3"]).expect(10).stderr;
    assert!(refused.contains("by alice@") && refused.contains("up"), "{refused}");
    assert!(refused.contains("landfall resume"), "{refused}");
    world.host.run(&["rollback", "--to", "1"]).expect(10);
    world.host.run(&["down"]).expect(10);
    world.host.run(&["down", "--purge", "--yes"]).expect(10);
    world.host.run(&["resume", "--cancel"]).expect(8);
    finish(child, &["up"]).expect(8);
    world.assert_serves("1");
    assert_eq!(world.history().len(), 2, "a refused change seals nothing");
}
