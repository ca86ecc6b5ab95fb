//! A release that does not get well: the one before serves on, and the words say why.

use crate::world::{PATIENCE, SHOP, Shop, World};
use landfall_testkit::processes::Kind;
use landfall_testkit::until;
use std::time::Duration;

const HURRIED: &str = "{ drain: 200ms, deadline: 3s }";
const CRASHING: &str = "[sh, -c, 'echo the database is not there; exit 3']";

#[test]
fn an_unhealthy_release_leaves_the_previous_one() {
    let world = World::up();
    world.write(&Shop { version: 2, env: "SHOP_UNHEALTHY: yes it is", rollout: HURRIED, ..SHOP });
    let up = world.host.run(&["up", "--output", "json"]).expect(4);
    let summary = up.typed("summary");
    assert_eq!(summary["serving_release"], 1);
    let message = summary["message"].as_str().expect("a message");
    assert!(message.contains("not healthy within 3s"), "{message}");
    assert!(message.contains("/healthz") && message.contains("503"), "the check: {message}");
    assert!(message.contains("the shop is not well"), "its last lines: {message}");
    world.assert_serves("1");
    assert_eq!(world.history(), [(2, "failed".into()), (1, "succeeded".into())]);
    let left = world.host.processes(Kind::Instance);
    assert!(left.iter().all(|it| it.release == Some(1)), "{left:?}");
    let status = world.host.run(&["status"]).expect(0).stdout;
    assert!(
        status.contains("release 1 serves") && status.contains("the last up failed"),
        "{status}"
    );
    world.host.run(&["verify"]).expect(0);
}

#[test]
fn a_crash_loop_fails_long_before_the_deadline() {
    let world = World::up();
    world.write(&Shop { version: 2, command: CRASHING, rollout: "{ deadline: 10m }", ..SHOP });
    let up = world.host.run(&["up", "--output", "json"]).expect(4);
    assert!(up.took < Duration::from_secs(40), "{:?}", up.took);
    let message = up.typed("summary")["message"].to_string();
    assert!(message.contains("the database is not there") && message.contains('3'), "{message}");
    world.assert_serves("1");
}

#[test]
fn a_first_release_that_fails_leaves_nothing() {
    let world = World::new();
    world.write(&Shop { command: CRASHING, ..SHOP });
    let up = world.host.run(&["up", "--output", "json"]).expect(4);
    assert_eq!(up.typed("summary")["serving_release"], serde_json::Value::Null);
    assert!(world.host.processes(Kind::Instance).is_empty());
    std::net::TcpListener::bind(("127.0.0.1", world.port)).expect("the listener is closed");
    world.host.run(&["verify"]).expect(4);
    let status = world.host.run(&["status"]).expect(0).stdout;
    assert!(status.contains("nothing serves"), "{status}");
}

#[test]
fn a_port_of_somebody_else_is_named() {
    let world = World::new();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", world.port)).expect("a port");
    let refused = world.host.run(&["up"]).expect(2).stderr;
    let address = format!("127.0.0.1:{}", world.port);
    assert!(refused.contains(&address) && refused.contains("another program"), "{refused}");
    assert!(refused.contains("LF0805"), "{refused}");
    assert!(world.host.processes(Kind::Instance).is_empty(), "nothing was started for it");
}

#[test]
fn what_failed_or_was_rolled_back_wants_again() {
    let world = World::up();
    world.write(&Shop { version: 2, command: CRASHING, ..SHOP });
    world.host.run(&["up"]).expect(4);
    let refused = world.host.run(&["up"]).expect(2).stderr;
    assert!(refused.contains("release 2 again, which failed"), "{refused}");
    assert!(refused.contains("--again"), "{refused}");
    world.host.run(&["up", "--again"]).expect(4);
    world.write(&Shop::version(2));
    world.host.run(&["up"]).expect(0);
    world.host.run(&["rollback"]).expect(0);
    let refused = world.host.run(&["up"]).expect(2).stderr;
    assert!(refused.contains("which was rolled back"), "{refused}");
    world.host.run(&["up", "--again"]).expect(0);
    world.assert_serves("2");
}

#[test]
fn a_bad_bake_goes_back() {
    let world = World::up();
    // Well enough to get traffic, and dead soon after.
    let dying = "[sh, -c, './shop serve & sleep 4; echo out of paper; kill -9 $!; exit 1']";
    let rollout = "{ drain: 200ms, bake: 1m, deadline: 30s }";
    world.write(&Shop { version: 2, command: dying, rollout, ..SHOP });
    let up = world.host.run(&["up", "--output", "json"]).expect(4);
    let message = up.typed("summary")["message"].to_string();
    assert!(message.contains("while baking"), "{message}");
    assert!(up.stdout.contains("switch public to web@2"), "traffic had moved: {}", up.stdout);
    world.assert_serves("1");
    assert_eq!(world.history()[0], (2, "failed".into()));
}

#[test]
fn a_release_that_is_never_well_meets_its_deadline() {
    let world = World::up();
    let slow =
        Shop { version: 2, env: "SHOP_START: \"60000\"", rollout: "{ deadline: 2s }", ..SHOP };
    world.write(&slow);
    let up = world.host.run(&["up"]).expect(4);
    assert!((up.stdout.clone() + &up.stderr).contains("not healthy within 2s"), "{}", up.stdout);
    world.assert_serves("1");
    until("release 2 to be gone", PATIENCE, || {
        let instances = world.host.processes(Kind::Instance);
        instances.iter().all(|it| it.release == Some(1)).then_some(())
    });
}
