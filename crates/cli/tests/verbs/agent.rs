//! The agent: there is one, it belongs to its owner, and what serves does not need it.

use crate::client;
use crate::world::{PATIENCE, World};
use landfall_protocol::frame;
use landfall_protocol::{Hello, MAJOR};
use landfall_testkit::processes::{self, Kind};
use landfall_testkit::until;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};

/// Asks again and again while something is done, and returns what did not succeed.
fn meanwhile(world: &World, work: impl FnOnce()) -> Vec<String> {
    /// Ends the load also when the work panics.
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (port, stop) = (world.port, AtomicBool::new(false));
    std::thread::scope(|scope| {
        let ends = Stop(&stop);
        let load = scope.spawn(|| {
            let mut failures = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                match client::get(port, "/version") {
                    Ok(answer) if answer.status == 200 => {}
                    other => failures.push(format!("{other:?}")),
                }
            }
            failures
        });
        work();
        drop(ends);
        load.join().expect("the load")
    })
}

#[test]
fn what_serves_does_not_need_it() {
    let world = World::up();
    let before = world.host.processes(Kind::Instance);
    let failures = meanwhile(&world, || {
        world.host.run(&["agent", "restart"]).expect(0);
        world.host.run(&["agent", "stop"]).expect(0);
        assert!(world.host.agent().is_none());
        for _ in 0..20 {
            world.assert_serves("1");
        }
        world.host.run(&["status"]).expect(0);
        assert!(world.host.agent().is_some(), "who looks brings it back");
        world.host.run(&["agent", "stop"]).expect(0);
        world.host.run(&["agent", "start"]).expect(0);
        world.host.run(&["agent", "start"]).expect(0);
        processes::kill(world.host.agent().expect("an agent"));
        until("its end", PATIENCE, || world.host.agent().is_none().then_some(()));
        world.host.run(&["up", "--set", "version=1"]).expect(0);
    });
    assert_eq!(failures, Vec::<String>::new());
    assert_eq!(world.host.processes(Kind::Instance), before, "the same processes");
    world.host.run(&["verify"]).expect(0);
}

#[test]
fn there_is_only_one() {
    let world = World::new();
    world.host.run(&["agent", "start"]).expect(0);
    let second = world.host.run(&["agent", "run"]).expect(10);
    assert!(second.stderr.contains("another agent already runs"), "{}", second.stderr);
    world.host.run(&["agent", "stop"]).expect(0);
    world.host.run(&["agent", "stop"]).expect(0);
}

#[test]
fn its_folder_is_its_own() {
    let world = World::up();
    world.host.run(&["cert", "trust"]).expect(0);
    let home = world.host.home();
    let mode = |path: &std::path::Path| {
        std::fs::symlink_metadata(path).expect("there").permissions().mode() & 0o777
    };
    let root = rustix::process::geteuid().is_root();
    assert_eq!(mode(&home), if root { 0o711 } else { 0o700 });
    assert_eq!(mode(&home.join("agent.sock")), 0o600);
    for entry in std::fs::read_dir(&home).expect("a folder").flatten() {
        let path = entry.path();
        let expected = match (path.is_dir(), entry.file_name().to_str()) {
            (true, Some("engine")) if root => 0o711,
            (true, _) => 0o700,
            (false, _) => 0o600,
        };
        assert_eq!(mode(&path), expected, "{}", path.display());
    }
}

#[test]
fn a_unit_brings_it_back_after_a_reboot() {
    let world = World::new();
    let unit = world.host.run(&["agent", "unit"]).expect(0).stdout;
    let home = world.host.home().display().to_string();
    for line in [
        format!("ExecStart={} agent run", world.host.program().display()),
        format!("Environment=LANDFALL_HOME={home}"),
        "KillMode=process".to_owned(),
        "Delegate=yes".to_owned(),
        "Restart=always".to_owned(),
    ] {
        assert!(unit.lines().any(|it| it == line), "{line} in\n{unit}");
    }
}

fn say(socket: &mut impl Write, message: &impl serde::Serialize) {
    let bytes = frame::encode(message).expect("a frame");
    socket.write_all(&bytes).expect("written");
}

/// The payload of the next frame.
fn hear(socket: &mut impl Read) -> String {
    let mut head = [0; 5];
    socket.read_exact(&mut head).expect("a head");
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    let mut payload = vec![0; usize::try_from(length).expect("a length")];
    socket.read_exact(&mut payload).expect("a payload");
    String::from_utf8(payload).expect("text")
}

#[test]
fn a_newer_client_is_refused_in_words() {
    let world = World::new();
    world.host.run(&["agent", "start"]).expect(0);
    let mut socket = std::os::unix::net::UnixStream::connect(world.host.home().join("agent.sock"))
        .expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    say(&mut socket, &Hello { major: MAJOR + 98, minor: 0, program: "99.0.0".into() });
    assert!(hear(&mut socket).contains("\"major\":1"));
    let refused = hear(&mut socket);
    assert!(refused.contains("99.0.0") && refused.contains("upgrade"), "{refused}");
}

#[test]
fn an_agent_that_is_newer_or_older_is_refused_in_words() {
    for (major, words) in
        [(MAJOR + 1, "upgrade this program"), (MAJOR - 1, "landfall agent restart")]
    {
        let world = World::new();
        std::fs::create_dir(world.host.home()).expect("a home");
        let socket = world.host.home().join("agent.sock");
        let listener = std::os::unix::net::UnixListener::bind(socket).expect("a socket");
        let agent = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            say(&mut stream, &Hello { major, minor: 0, program: "7.7.7".into() });
            let _ = hear(&mut stream);
        });
        let status = world.host.run(&["status"]).expect(2);
        assert!(
            status.stderr.contains("7.7.7") && status.stderr.contains(words),
            "{}",
            status.stderr
        );
        agent.join().expect("the other agent");
    }
}

#[test]
fn after_a_reboot_the_same_release_serves_again() {
    let mut world = World::up();
    world.host.run(&["up", "--set", "version=2"]).expect(0);
    let home = world.host.home();
    until("nothing to run", PATIENCE, || {
        let left = processes::of(&home);
        left.iter().for_each(|it| processes::kill(it.pid));
        left.is_empty().then_some(())
    });
    assert!(world.serves().is_none());
    world.host.set("LANDFALL_TEST_BOOT_ID", "another-boot");
    world.host.run(&["agent", "start"]).expect(0);
    until("version 2", PATIENCE, || (world.serves().as_deref() == Some("2")).then_some(()));
    until("everything to be well", PATIENCE, || {
        (world.host.run(&["verify"]).code == 0).then_some(())
    });
    assert_eq!(world.history().len(), 2, "nothing was sealed for it");
    world.host.run(&["rollback"]).expect(0);
    world.assert_serves("1");
}

#[test]
fn an_agent_that_cannot_start_says_why() {
    let world = World::new();
    std::fs::create_dir(world.host.home()).expect("a home");
    std::fs::write(world.host.home().join("epoch"), "many").expect("written");
    let failed = world.host.run(&["up"]);
    assert_ne!(failed.code, 0);
    assert!(failed.stderr.contains("the agent does not start"), "{}", failed.stderr);
    assert!(failed.stderr.contains("`many` is no number"), "{}", failed.stderr);
}
