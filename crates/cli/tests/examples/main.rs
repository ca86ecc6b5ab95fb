//! Programs that none of us wrote: `examples/python` and `examples/node`, with what `pip` and
//! `npm` install, live by the file that `landfall init` writes and by the one that is checked in.

mod client;
mod example;

use client::{Load, get, get_tls};
use example::Example;
use landfall_testkit::processes::Kind;
use serde_json::Value;

/// `httpbin` under gunicorn: what only it answers.
const PYTHON: Example = Example {
    name: "python",
    programs: &["python3"],
    installs: "vendor",
    path: "/anything/landfall?by=httpbin",
    says: "\"by\": \"httpbin\"",
};

/// npm's `http-server`: it signs its listings.
const NODE: Example = Example {
    name: "node",
    programs: &["node", "npm"],
    installs: "node_modules",
    path: "/",
    says: "http-server</a> server running @ localhost",
};

#[test]
fn python_lives_by_the_file_that_init_writes() {
    life(&PYTHON);
}

#[test]
fn node_lives_by_the_file_that_init_writes() {
    life(&NODE);
}

/// `init`, `up`, a change and the way back under load, `verify`, `down`.
fn life(example: &Example) {
    let Some(world) = example.world() else { return };
    let host = &world.host;
    std::fs::remove_file(world.file()).expect("the file was copied");
    host.run(&["init"]).expect(0);
    let written = world.text();
    host.run(&["init"]).expect(2);
    assert_eq!(world.text(), written, "never overwritten");
    if !world.install(example) {
        return;
    }
    world.replace("127.0.0.1:8080", &format!("127.0.0.1:{}", world.port));
    host.run(&["check"]).expect(0);
    let up = host.run(&["up", "--output", "json"]).expect(0);
    assert_eq!(up.typed("summary")["serving_release"], 1);
    example.assert_is(&get(world.port, example.path).expect("an answer"));

    world.replace("# replicas: 2", "replicas: 2");
    let plan = host.run(&["plan", "--detailed-exitcode"]).expect(2);
    let said = plan.stdout + &plan.stderr;
    assert!(said.contains("services.web.replicas"), "{said}");
    assert!(!said.contains("services.web.artifact"), "the file itself is not packed: {said}");
    let load = Load::start(world.port, example.path, example.says);
    assert_changed(&host.run(&["up", "--output", "json"]).expect(0).typed("summary"), 2);
    let status = host.run(&["status", "--output", "json"]).expect(0).stdout;
    assert_eq!(instances(&status), 2, "{status}");
    assert_changed(&host.run(&["rollback", "--output", "json"]).expect(0).typed("summary"), 3);
    load.assert_nothing_lost();
    let status = host.run(&["status", "--output", "json"]).expect(0).stdout;
    assert_eq!(instances(&status), 1, "{status}");
    host.run(&["verify"]).expect(0);
    example.assert_is(&get(world.port, example.path).expect("an answer"));
    host.run(&["down"]).expect(0);
    assert_eq!(host.processes(Kind::Instance), []);
}

#[track_caller]
fn assert_changed(summary: &Value, serving: u64) {
    assert_eq!(summary["serving_release"], serving, "{summary}");
    assert_eq!(summary["measured"]["lost"], 0, "{summary}");
    assert_eq!(summary["measured"]["errors"], 0, "{summary}");
}

fn instances(status: &str) -> usize {
    status.matches("127.0.0.1:2").count()
}

#[test]
fn python_lives_by_its_own_file() {
    checked_in(&PYTHON, 8444, "workers=2", |world| {
        let logs = world.host.run(&["logs", "web"]).expect(0).stdout;
        // One at first, then two, in each of two instances.
        assert_eq!(logs.matches("Booting worker").count(), 2 + 4, "{logs}");
    });
}

#[test]
fn node_lives_by_its_own_file() {
    checked_in(&NODE, 8445, "cache=5", |world| {
        let answer = get_tls(&world.authority(), world.port, "/notes/hello.txt").expect("answered");
        assert!(answer.contains("max-age=5\r\n"), "{answer}");
    });
}

/// The file as it is checked in, with another port: `up`, a changed option, `rollback`, `down`.
fn checked_in(example: &Example, port: u16, set: &str, look: impl Fn(&example::World)) {
    let Some(world) = example.world() else { return };
    let host = &world.host;
    host.run(&["check"]).expect(0);
    if !world.install(example) {
        return;
    }
    world.replace(&format!("listen: {port}"), &format!("listen: \"127.0.0.1:{}\"", world.port));
    let answers = || {
        let answer = get_tls(&world.authority(), world.port, example.path).expect("an answer");
        example.assert_is(&answer);
    };
    host.run(&["up"]).expect(0);
    answers();
    host.run(&["up", "--set", set]).expect(0);
    answers();
    look(&world);
    host.run(&["rollback"]).expect(0);
    answers();
    host.run(&["verify"]).expect(0);
    host.run(&["down"]).expect(0);
    assert_eq!(host.processes(Kind::Instance), []);
}
