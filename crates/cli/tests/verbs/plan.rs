//! Plans: what was reviewed is what is applied, and looking changes nothing.

use crate::world::{SHOP, Shop, World};

#[test]
fn a_saved_plan_is_applied_exactly_whatever_became_of_the_folder() {
    let world = World::new();
    world.host.write("dist/marker", "reviewed\n");
    world.host.run(&["up"]).expect(0);
    world.host.write("dist/marker", "reviewed twice\n");
    let saved = world.host.run(&["plan", "--set", "version=2", "-o", "next.plan"]).expect(0);
    assert!(saved.stdout.contains("options.version: 1 → 2"), "{}", saved.stdout);
    let mode =
        std::fs::metadata(world.host.project().join("next.plan")).expect("a plan").permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
    // Everything moves on before it is applied.
    world.host.write("dist/marker", "somebody's work in progress\n");
    world.write(&Shop::version(9));
    let up = world.host.run(&["up", "--plan", "next.plan", "--output", "json"]).expect(0);
    assert_eq!(up.typed("summary")["serving_release"], 2);
    world.assert_serves("2");
    let marker = world.host.run(&["exec", "web", "--", "cat", "marker"]).expect(0);
    assert_eq!(marker.stdout, "reviewed twice\n");
    // Once is enough: the world has moved, by this plan itself.
    world.host.run(&["up", "--plan", "next.plan"]).expect(11);
}

#[test]
fn a_stale_plan_says_what_moved() {
    let world = World::up();
    world.host.run(&["plan", "--set", "version=2", "-o", "next.plan"]).expect(0);
    world.host.run(&["up", "--set", "version=3"]).expect(0);
    let stale = world.host.run(&["up", "--plan", "next.plan"]).expect(11).stderr;
    assert!(stale.contains("the newest release was 1") && stale.contains("is 2"), "{stale}");
    assert!(stale.contains("plan again"), "{stale}");
    world.assert_serves("3");
    world.host.run(&["plan", "--set", "version=4", "-o", "next.plan"]).expect(0);
    world.host.run(&["down"]).expect(0);
    let stale = world.host.run(&["up", "--plan", "next.plan"]).expect(11).stderr;
    assert!(stale.contains("release 2 served and nothing does now"), "{stale}");
}

#[test]
fn exit_codes_say_whether_there_are_changes() {
    let world = World::up();
    world.host.run(&["plan"]).expect(0);
    world.host.run(&["plan", "--detailed-exitcode"]).expect(0);
    world.host.run(&["plan", "--expect-no-changes"]).expect(0);
    world.host.run(&["up", "--expect-no-changes"]).expect(0);
    world.write(&Shop::version(2));
    world.host.run(&["plan"]).expect(0);
    world.host.run(&["plan", "--detailed-exitcode"]).expect(2);
    world.host.run(&["plan", "--expect-no-changes"]).expect(7);
    world.host.run(&["up", "--expect-no-changes"]).expect(7);
    world.host.write("landfall.yaml", "landfall: v1\napp: shop\nservcies: {}\n");
    world.host.run(&["plan", "--detailed-exitcode"]).expect(1);
    world.host.run(&["plan"]).expect(2);
    world.write(&Shop::version(1));
    assert_eq!(world.history().len(), 1);
    world.assert_serves("1");
}

#[test]
fn a_plan_changes_nothing() {
    let world = World::new();
    world.write(&Shop { tls: true, ..SHOP });
    let plan = world.host.run(&["plan"]).expect(0).stdout;
    assert!(plan.contains("certificates.shop: version 1 (not issued yet)"), "{plan}");
    world.host.run(&["plan", "--detailed-exitcode"]).expect(2);
    assert_eq!(
        world.answer(&["cert", "list"], "certificates")["certificates"],
        serde_json::json!({})
    );
    world.host.run(&["history"]).expect(6);
    assert_eq!(world.answer(&["status"], "status")["stacks"], serde_json::json!([]));
}

#[test]
fn a_file_that_is_no_plan_is_refused() {
    let world = World::up();
    world.host.run(&["up", "--plan", "landfall.yaml"]).expect(2);
    world.host.run(&["up", "--plan", "nowhere.plan"]).expect(6);
    world.host.run(&["up", "--plan", "x.plan", "--set", "version=2"]).expect(2);
}

#[test]
fn a_reason_is_given_for_each_change_and_nothing_is_said_twice() {
    let world = World::up();
    let up = world.host.run(&["up", "--set", "version=2"]).expect(0);
    assert_eq!(up.stderr.matches("options.version: 1 → 2  (--set)").count(), 1, "{}", up.stderr);
    assert!(!up.stderr.contains("0 of 0"), "{}", up.stderr);
    let next = world.host.run(&["plan"]).expect(0).stdout;
    assert!(next.contains("options.version: 2 → 1") && next.contains("landfall.yaml:"), "{next}");
}
