//! Verbs that look, and those that clear away.

use crate::world::{SHOP, Shop, World};
use landfall_testkit::processes::Kind;
use std::io::Write as _;

#[test]
fn logs_show_what_instances_write() {
    let world = World::new();
    world.write(&Shop {
        command: "[sh, -c, 'for i in 1 2 3; do echo line $i; done; echo trouble >&2; exec ./shop serve']",
        ..SHOP
    });
    world.host.run(&["up"]).expect(0);
    let logs = world.host.run(&["logs"]).expect(0).stdout;
    for words in ["line 1", "line 3", "trouble", "shop 1 listens"] {
        assert!(logs.contains(words), "{words} in {logs}");
    }
    let two = world.host.run(&["logs", "web", "-n", "2"]).expect(0).stdout;
    assert_eq!(two.lines().count(), 2, "{two}");
    let json = world.host.run(&["logs", "--output", "json"]).expect(0).json();
    let trouble = json.iter().find(|it| it["text"] == "trouble").expect("the line");
    assert_eq!(trouble["error"], true);
    assert_eq!(trouble["group"], "web@1");
    let instance = trouble["instance"].as_str().expect("an instance");
    let own = world.host.run(&["logs", "--instance", instance, "--timestamps"]).expect(0).stdout;
    assert!(own.starts_with("20"), "{own}");
    world.host.run(&["logs", "nobody"]).expect(6);
}

#[test]
fn logs_can_be_followed() {
    use std::io::{BufRead as _, BufReader};
    let world = World::new();
    world.write(&Shop { command: "[sh, -c, './shop work & exec ./shop serve']", ..SHOP });
    world.host.run(&["up"]).expect(0);
    let mut child = world.host.spawn(&["logs", "-f", "-n", "0"]);
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    for _ in 0..2 {
        let line = lines.next().expect("a line").expect("text");
        assert!(line.ends_with("working"), "{line}");
    }
    crate::world::signal(&child, rustix::process::Signal::INT);
    assert_eq!(child.wait().expect("its end").code(), Some(0));
}

#[test]
fn exec_runs_beside_an_instance() {
    let world = World::up();
    let version = world.host.run(&["exec", "web", "--", "./shop", "version"]).expect(0);
    assert_eq!(version.stdout, "shop 1\n");
    let failed =
        world.host.run(&["exec", "web", "--", "sh", "-c", "echo bad >&2; exit 42"]).expect(42);
    assert_eq!(failed.stderr, "bad\n");
    let missing = world.host.run(&["exec", "nobody", "--", "true"]).expect(6).stderr;
    assert!(missing.contains("nobody"), "{missing}");
    let mut command = world.host.command(&["exec", "web", "--", "sh", "-c", "cat; echo end"]);
    let mut child = command.stdin(std::process::Stdio::piped()).spawn().expect("started");
    let typed = vec![b'x'; 300_000];
    child.stdin.take().expect("a keyboard").write_all(&typed).expect("typed");
    let output = child.wait_with_output().expect("its end");
    assert_eq!(output.stdout.len(), typed.len() + "end\n".len());
}

#[test]
fn doctor_says_what_runs_and_what_to_do() {
    let world = World::new();
    let none = world.host.run(&["doctor"]).expect(0).stdout;
    assert!(none.contains("no agent runs") && none.contains("landfall agent start"), "{none}");
    world.host.run(&["up"]).expect(0);
    let doctor = world.host.run(&["doctor"]).expect(0);
    assert!(doctor.stdout.contains("answers"), "{}", doctor.stdout);
    let json = world.answer(&["doctor"], "doctor");
    assert_eq!(json["pid"], world.host.agent().expect("an agent"));
}

#[test]
fn prune_keeps_what_is_needed() {
    let world = World::up();
    for version in 2..=5 {
        world.host.write("dist/marker", &version.to_string());
        world.write(&Shop::version(version));
        world.host.run(&["up"]).expect(0);
    }
    world.host.run(&["rollback", "--to", "1"]).expect(0);
    world.host.run(&["prune", "--keep", "2"]).expect(2);
    let would = world.host.run(&["prune", "--keep", "2", "--dry-run"]).expect(0).stdout;
    assert!(would.contains("would remove"), "{would}");
    assert_eq!(world.history().len(), 6, "nothing went yet");
    world.host.run(&["prune", "--keep", "2", "--yes"]).expect(0);
    let left = world.history();
    assert_eq!(left[0].0, 6, "{left:?}");
    assert!(left.len() < 6 && left.len() >= 2, "{left:?}");
    world.assert_serves("1");
    world.host.run(&["verify"]).expect(0);
    world.host.run(&["rollback", "--to", "5"]).expect(0);
    world.assert_serves("5");
}

#[test]
fn down_stops_and_purge_forgets() {
    let world = World::up();
    world.host.run(&["down"]).expect(0);
    assert!(world.serves().is_none());
    assert!(world.host.processes(Kind::Instance).is_empty());
    world.host.run(&["down"]).expect(0);
    assert_eq!(world.history().len(), 1, "the history stays");
    world.host.run(&["rollback", "--to", "1"]).expect(0);
    world.assert_serves("1");
    let refused = world.host.run(&["down", "--purge"]).expect(2).stderr;
    assert!(refused.contains("--yes"), "{refused}");
    world.assert_serves("1");
    world.host.run(&["down", "--purge", "--yes"]).expect(0);
    world.host.run(&["history"]).expect(6);
    world.host.run(&["up"]).expect(0);
    assert_eq!(world.history().len(), 1, "it starts anew");
}

#[test]
fn a_stack_that_asks_wants_yes() {
    let world = World::new();
    world.write(&Shop { more: "stacks: { prod: { confirm: true } }", ..SHOP });
    world.host.run(&["plan"]).expect(0);
    world.host.run(&["up"]).expect(2);
    assert!(world.serves().is_none());
    world.host.run(&["up", "--yes"]).expect(0);
    world.host.run(&["down"]).expect(2);
    world.assert_serves("1");
    world.host.run(&["down", "--yes"]).expect(0);
}

#[test]
fn the_schema_is_the_one_that_is_published() {
    let world = World::new();
    let printed = world.host.run(&["schema"]).expect(0).stdout;
    let published = include_str!("../../../config/landfall.schema.json");
    assert_eq!(printed.trim_end(), published.trim_end());
}

#[test]
fn completions_know_the_verbs() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = world.host.run(&["completions", shell]).expect(0).stdout;
        assert!(script.contains("rollback") && script.contains("idempotency-key"), "{shell}");
        assert!(!script.contains("shim-exec"), "hidden verbs stay hidden");
    }
    world.host.run(&["completions", "nonsense"]).expect(2);
}

#[test]
fn every_code_is_explained() {
    let world = World::new();
    let codes = world.host.run(&["explain", "exit-codes"]).expect(0).stdout;
    assert_eq!(codes.lines().count(), 13, "{codes}");
    for code in ["LF0102", "lf0802", "LF0903"] {
        world.host.run(&["explain", code]).expect(0);
    }
    let unknown = world.host.run(&["explain", "LF9999"]).expect(6).stderr;
    assert!(unknown.contains("help:"), "{unknown}");
}

#[test]
fn verify_finds_what_is_wrong() {
    let world = World::up();
    let good = world.answer(&["verify"], "verification");
    assert!(
        good["checks"].as_array().is_some_and(|it| it.iter().all(|check| check["good"] == true))
    );
    world.host.run(&["down"]).expect(0);
    world.host.run(&["verify"]).expect(4);
}
