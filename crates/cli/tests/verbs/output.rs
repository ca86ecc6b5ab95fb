//! The contract with machines, and the words for people.

use crate::certificates::make;
use crate::world::{PATIENCE, SHOP, Shop, World};
use landfall_testkit::{Ran, until};

/// First the version, then anything, then exactly one summary with the exit code of the process.
#[track_caller]
fn holds(verb: &[&str], ran: &Ran) {
    let lines = ran.json();
    assert!(lines.len() >= 2, "{verb:?}: {}{}", ran.stdout, ran.stderr);
    assert_eq!(lines[0]["type"], "version", "{verb:?}: {}", ran.stdout);
    assert_eq!(lines[0]["schema"], "1.0", "{verb:?}");
    let kinds: Vec<&str> = lines.iter().map(|it| it["type"].as_str().unwrap_or("none")).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "version").count(), 1, "{verb:?}: {kinds:?}");
    assert_eq!(kinds.iter().filter(|kind| **kind == "summary").count(), 1, "{verb:?}: {kinds:?}");
    let last = lines.last().expect("a line");
    assert_eq!(last["type"], "summary", "{verb:?}: {kinds:?}");
    assert_eq!(last["exit_code"], ran.code, "{verb:?}: {last}");
    assert!(
        last["outcome"].is_string() && !last["serving_release"].is_string(),
        "{verb:?}: {last}"
    );
    assert!(!ran.stdout.contains('\u{1b}'), "{verb:?}: no colour in data");
}

#[track_caller]
fn json(world: &World, verb: &[&str], code: i32) -> Ran {
    let (own, command) =
        verb.split_at(verb.iter().position(|it| *it == "--").unwrap_or(verb.len()));
    let all = [own, &["--output", "json"], command].concat();
    let ran = world.host.run(&all).expect(code);
    holds(verb, &ran);
    ran
}

#[test]
fn every_verb_keeps_the_contract() {
    let world = World::new();
    world.write(&Shop { tls: true, ..SHOP });
    let made = make(&["localhost"], 3600);
    world.host.write("chain.pem", &made.chain);
    world.host.write("key.pem", &made.key);
    std::fs::create_dir(world.host.project().join("other")).expect("a folder");
    let verbs: &[(&[&str], i32)] = &[
        (&["init", "other"], 0),
        (&["schema"], 0),
        (&["completions", "bash"], 0),
        (&["explain", "LF0102"], 0),
        (&["explain", "exit-codes"], 0),
        (&["check"], 0),
        (&["doctor"], 0),
        (&["status"], 0),
        (&["agent", "unit"], 0),
        (&["agent", "start"], 0),
        (&["cert", "import", "shop", "--chain", "chain.pem", "--key", "key.pem"], 0),
        (&["cert", "list"], 0),
        (&["cert", "trust"], 0),
        (&["plan"], 0),
        (&["plan", "--detailed-exitcode"], 2),
        (&["plan", "--expect-no-changes"], 7),
        (&["up"], 0),
        (&["up"], 0),
        (&["up", "--set", "version=2"], 0),
        (&["status"], 0),
        (&["history"], 0),
        (&["show"], 0),
        (&["show", "1"], 0),
        (&["diff", "1", "2"], 0),
        (&["logs"], 0),
        (&["exec", "web", "--", "sh", "-c", "echo hello; echo there >&2; exit 9"], 9),
        (&["rollback"], 0),
        (&["forward"], 0),
        (&["verify"], 0),
        (&["resume"], 0),
        (&["agent", "restart"], 0),
        (&["prune", "--yes"], 0),
        (&["down"], 0),
        (&["down", "--purge", "--yes"], 0),
        (&["agent", "stop"], 0),
    ];
    for (verb, code) in verbs {
        json(&world, verb, *code);
    }
}

#[test]
fn failures_keep_the_contract_too() {
    let world = World::new();
    let early: &[(&[&str], i32)] = &[
        (&["up", "--bogus"], 2),
        (&["nonsense"], 2),
        (&["explain", "LF9999"], 6),
        (&["history", "shop/local"], 6),
        (&["logs"], 6),
        (&["verify"], 6),
        (&["exec", "web", "--", "true"], 6),
        (&["up", "nowhere"], 6),
        (&["up", "--set", "version"], 2),
        (&["up", "--set", "colour=red"], 2),
        (&["up", "--file", "gone.yaml"], 6),
        (&["init"], 2),
    ];
    for (verb, code) in early {
        json(&world, verb, *code);
    }
    world.host.run(&["up"]).expect(0);
    let late: &[(&[&str], i32)] = &[
        (&["show", "99"], 6),
        (&["show", "x"], 2),
        (&["diff", "1", "99"], 6),
        (&["rollback"], 6),
        (&["forward"], 2),
        (&["exec", "nobody", "--", "true"], 6),
        (&["down", "--purge"], 2),
        (&["prune"], 2),
        (&["resume", "--hook", "migrate=done"], 2),
        (&["cert", "import", "shop", "--chain", "no", "--key", "no"], 6),
    ];
    for (verb, code) in late {
        let ran = json(&world, verb, *code);
        let message = ran.typed("summary")["message"].as_str().unwrap_or_default().to_owned();
        assert!(!message.is_empty(), "{verb:?} says why");
    }
    world.write(&Shop { command: "[sh, -c, 'exit 1']", ..SHOP });
    let failed = json(&world, &["up"], 4);
    assert_eq!(failed.typed("summary")["serving_release"], 1);
}

#[test]
fn events_say_what_they_are_about() {
    let world = World::new();
    let up = json(&world, &["up"], 0);
    let lines = up.json();
    let events = &lines[1..lines.len() - 1];
    assert!(!events.is_empty());
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event["sequence"], index + 1, "{event}");
        for field in ["time", "run", "stack", "release", "step", "level", "type", "message"] {
            assert!(!event[field].is_null(), "{field} of {event}");
        }
    }
    assert!(events.iter().any(|it| it["message"] == "start 1 × web@1 and wait until healthy"));
    let summary = up.typed("summary");
    assert!(summary["took"].as_u64().is_some_and(|took| took > 0), "{summary}");
    assert_eq!(summary["measured"]["lost"], 0);
}

#[test]
fn mistakes_in_the_file_name_place_value_and_next_step() {
    let world = World::new();
    world.host.write(
        "landfall.yaml",
        "landfall: v1\napp: shop\nservices:\n  web: { artifact: ./dist, comand: [./shop], replicas: many }\n",
    );
    let check = world.host.run(&["check"]).expect(2);
    let text = &check.stderr;
    assert!(check.stdout.is_empty(), "talk is on standard error");
    assert!(text.contains("landfall.yaml:4:"), "the place: {text}");
    assert!(text.contains("`comand`") && text.contains("`command`"), "the nearest key: {text}");
    assert!(text.contains("many"), "the value: {text}");
    assert!(text.contains("landfall.yaml has 2 mistakes") || text.contains("mistakes"), "{text}");
    let finding = json(&world, &["check"], 2).json()[1].clone();
    assert_eq!(finding["type"], "finding");
    assert_eq!(finding["line"], 4, "{finding}");
    let code = finding["code"].as_str().expect("a code");
    let explained = world.host.run(&["explain", code]).expect(0).stdout;
    assert!(explained.starts_with(&format!("{code}: ")), "{explained}");
}

#[test]
fn colour_is_for_terminals_and_those_who_ask() {
    let mut world = World::new();
    let plain = world.host.run(&["up"]).expect(0);
    assert!(!(plain.stdout + &plain.stderr).contains('\u{1b}'));
    let painted = world.host.run(&["status", "--color", "always"]).expect(0);
    assert!(painted.stdout.contains('\u{1b}'));
    world.host.set("NO_COLOR", "1");
    let plain = world.host.run(&["status"]).expect(0);
    assert!(!plain.stdout.contains('\u{1b}'));
}

#[test]
fn up_ends_with_where_it_is_and_what_to_try_next() {
    let world = World::new();
    let [plain] = landfall_testkit::free_ports();
    world.write(&Shop { tls: true, ..SHOP });
    let yaml = std::fs::read_to_string(world.host.project().join("landfall.yaml")).expect("a file");
    let more = format!(
        "listeners:\n  plain: {{ listen: \"127.0.0.1:{plain}\", protocol: http, redirect: https }}\n"
    );
    world.host.write("landfall.yaml", &yaml.replace("listeners:\n", &more));
    let up = world.host.run(&["up"]).expect(0);
    let https = up.stderr.find(&format!("https://localhost:{}/", world.port)).expect("the address");
    let http = up.stderr.find(&format!("http://127.0.0.1:{plain}/")).expect("the other one");
    assert!(https < http, "{}", up.stderr);
    assert!(up.stderr.contains("cert trust") && up.stderr.contains("next:"), "{}", up.stderr);
    assert!(up.stdout.contains("release 1 serves"), "{}", up.stdout);
    let redirect = crate::client::get(plain, "/somewhere").expect("an answer");
    assert_eq!(redirect.status / 100, 3, "{redirect:?}");
}

#[test]
fn one_that_is_no_longer_read_goes_on() {
    use std::io::Read as _;
    let world = World::new();
    let mut child = world.host.spawn(&["up", "--output", "json"]);
    let mut first = [0; 8];
    child.stdout.take().expect("a pipe").read_exact(&mut first).expect("a line");
    drop(child.stderr.take());
    let status = until("the end", PATIENCE, || child.try_wait().ok().flatten());
    assert_eq!(status.code(), Some(0));
    world.assert_serves("1");
}
