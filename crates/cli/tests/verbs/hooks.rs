//! Hooks: what failed is shown, what nobody knows is asked.

use crate::world::{PATIENCE, SHOP, Shop, World};
use landfall_testkit::processes::{self, Kind};
use landfall_testkit::{finish, until};
use std::os::unix::fs::PermissionsExt as _;

/// A hook that leaves a mark when it starts, and ends well only when there is one already.
const MARKING: &str = "migrate: { service: web, command: [sh, -c, 'echo x >> $MARKS/started; test $(wc -l < $MARKS/started) -gt 1 || sleep 60'], timeout: 1m RETRY }";

fn world(retry: &str) -> (World, String) {
    let world = World::new();
    let marks = world.host.path("marks");
    std::fs::create_dir(&marks).expect("a folder");
    std::fs::set_permissions(&marks, std::fs::Permissions::from_mode(0o777)).expect("a mode");
    let hook = MARKING.replace("$MARKS", &marks.display().to_string()).replace("RETRY", retry);
    (world, hook)
}

/// Starts `up` and takes the hook's shim and the hook itself away while it runs.
fn killed_in_the_middle(world: &World, hook: &str) -> std::process::Child {
    let child = world.start(&Shop { hooks: String::leak(hook.to_owned()), ..SHOP });
    until("the hook", PATIENCE, || world.host.path("marks/started").exists().then_some(()));
    let job = |it: &processes::Process| matches!(it.kind, Kind::Shim | Kind::Instance);
    let mut victims = processes::of(&world.host.home());
    victims.retain(job);
    victims.sort_by_key(|it| it.kind);
    for victim in victims {
        processes::kill(victim.pid);
    }
    child
}

fn starts(world: &World) -> usize {
    let text = std::fs::read_to_string(world.host.path("marks/started")).unwrap_or_default();
    text.lines().count()
}

#[test]
fn a_hook_that_fails_is_shown_and_nothing_moves() {
    let world = World::up();
    let hooks =
        "migrate: { service: web, command: [sh, -c, 'echo there is no table orders; exit 7'] }";
    world.write(&Shop { version: 2, hooks, ..SHOP });
    let up = world.host.run(&["up", "--output", "json"]).expect(4);
    let message = up.typed("summary")["message"].to_string();
    assert!(message.contains("there is no table orders") && message.contains('7'), "{message}");
    assert!(message.contains("migrate"), "{message}");
    world.assert_serves("1");
    assert!(!up.stdout.contains("start 1 × web@2"), "nothing was started");
}

#[test]
fn a_hook_that_takes_too_long_is_ended() {
    let world = World::up();
    let hooks =
        "migrate: { service: web, command: [sh, -c, 'echo halfway; sleep 60'], timeout: 1s }";
    world.write(&Shop { version: 2, hooks, ..SHOP });
    let up = world.host.run(&["up", "--output", "json"]).expect(4);
    let message = up.typed("summary")["message"].to_string();
    assert!(message.contains("longer than 1s") && message.contains("halfway"), "{message}");
}

#[test]
fn an_unknown_outcome_asks_and_done_goes_on() {
    let (world, hook) = world("");
    let up = finish(killed_in_the_middle(&world, &hook), &["up"]).expect(9);
    let message = up.typed("summary")["message"].to_string();
    assert!(message.contains("unknown") && message.contains("landfall resume"), "{message}");
    let status = world.host.run(&["status"]).expect(0).stdout;
    assert!(status.contains("resume --hook"), "{status}");
    // A second one does not slip in, and an answer for another hook is none.
    world.host.run(&["up", "--set", "version=3"]).expect(10);
    world.host.run(&["resume", "--hook", "other=done"]).expect(2);
    world.host.run(&["resume", "--hook", "migrate=perhaps"]).expect(2);
    world.host.run(&["resume", "--hook", "migrate=done"]).expect(0);
    world.assert_serves("1");
    assert_eq!(starts(&world), 1, "it was started once");
    world.host.run(&["resume", "--hook", "migrate=done"]).expect(2);
}

#[test]
fn an_unknown_outcome_may_be_started_again() {
    let (world, hook) = world("");
    finish(killed_in_the_middle(&world, &hook), &["up"]).expect(9);
    world.host.run(&["resume", "--hook", "migrate=again"]).expect(0);
    assert_eq!(starts(&world), 2);
    world.assert_serves("1");
}

#[test]
fn an_unknown_outcome_can_be_cancelled() {
    let (world, hook) = world("");
    finish(killed_in_the_middle(&world, &hook), &["up"]).expect(9);
    world.host.run(&["resume", "--cancel"]).expect(8);
    assert!(world.serves().is_none());
}

#[test]
fn a_hook_that_is_safe_to_retry_is_started_again_by_itself() {
    let (world, hook) = world(", retry: safe");
    finish(killed_in_the_middle(&world, &hook), &["up"]).expect(0);
    assert_eq!(starts(&world), 2);
    world.assert_serves("1");
}
