//! No request is lost while releases go out and back, whatever kind of client asks, and whatever the
//! service does when it is told to end.

use landfall_loadgen::{
    Comparison, Connection, Failure, Kind, Load, Request, Rollouts, Scale, Shape, Target, World,
};
use landfall_testkit::{processes as process, shop, until};
use std::path::Path;
use std::time::Duration;
use std::{fs, thread};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn no_request_is_lost_by_twenty_rollouts() {
    let rollouts = Rollouts {
        program: env!("CARGO_BIN_EXE_landfall").into(),
        count: 20,
        time: None,
        // Much longer than the slowest answer: the machine may have other things to do.
        drain: Duration::from_secs(3),
        seed: 20,
        scale: Scale::default(),
    };
    let finished = rollouts.run(|line| eprintln!("{line}"));
    eprintln!("{finished}");
    assert_eq!(finished.rollouts, 20);
    assert_eq!(finished.report.total().lost, 0, "lost requests");
    assert!(finished.comparison.is_equal(), "what was answered is what was served");
    assert_eq!(finished.report.idle_ends, 0, "idle connections are left alone");
    assert_eq!(finished.report.turned_away, 0, "so are those of HTTP/2");
    assert_eq!(finished.measured["lost"], 0, "the load balancer agrees");
}

/// The clients would notice: what an instance has in hand when it is killed is lost.
#[test]
fn what_a_killed_instance_had_in_hand_is_found_missing() {
    let world = World::new(Path::new(env!("CARGO_BIN_EXE_landfall")), Shape::default());
    world.host.run(&["up"]).expect(0);
    let (target, slowest) = (world.target(), Duration::from_secs(1));
    let (seed, scale) = (1, Scale::default());
    let load = Load { target, drain: world.shape.drain, slowest, seed, scale }.start();
    for _ in 0..3 {
        // Some are in hand at every instant: slow answers begin six times a second.
        let before = load.so_far().kinds.get(&Kind::Slow).map_or(0, |figures| figures.requests);
        until("slow answers", PATIENCE, || {
            (load.so_far().kinds.get(&Kind::Slow)?.requests > before + 5).then_some(())
        });
        world.host.processes(process::Kind::Instance).iter().for_each(|it| process::kill(it.pid));
    }
    let report = load.stop();
    assert!(report.total().lost > 0, "{report}");
    assert!(!Comparison::of(&report, &world.served()).is_equal());
}

/// Neither a new certificate nor another policy nor a new Landfall costs a request.
#[test]
fn no_request_is_lost_by_changes_of_certificate_policy_and_program() {
    // A copy, which can be replaced as packages are.
    let folder = tempfile::tempdir().expect("a folder");
    let built = Path::new(env!("CARGO_BIN_EXE_landfall"));
    let program = folder.path().join("landfall");
    fs::copy(built, &program).expect("a copy");
    fs::copy(shop(built), folder.path().join("shop")).expect("a copy");
    let shape = Shape { drain: Duration::from_secs(3), ..Shape::default() };
    let mut world = World::new(&program, shape);
    world.host.run(&["up"]).expect(0);
    let imported = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a pair");
    world.host.write("new.pem", &imported.cert.pem());
    world.host.write("new.key", &imported.signing_key.serialize_pem());
    let trusted = world.authority() + &imported.cert.pem();
    let target = Target::new(world.address, "localhost", &trusted);
    let (drain, slowest) = (world.shape.drain, Duration::from_secs(1));
    let load = Load { target, drain, slowest, seed: 3, scale: Scale::default() }.start();
    let some_requests = || {
        let before = load.so_far().total().requests;
        until("requests", PATIENCE, || {
            (load.so_far().total().requests > before + 100).then_some(())
        });
    };
    some_requests();
    world.host.run(&["cert", "import", "shop", "--chain", "new.pem", "--key", "new.key"]).expect(0);
    world.host.run(&["up"]).expect(0);
    assert_eq!(world.status()["listeners"][0]["certificate"][1], 2, "the new certificate serves");
    some_requests();
    world.shape.policy = "ELBSecurityPolicy-TLS13-1-3-2021-06";
    world.write();
    world.host.run(&["up"]).expect(0);
    some_requests();
    for _ in 0..3 {
        let new = folder.path().join("landfall.new");
        fs::copy(built, &new).expect("a copy");
        fs::rename(&new, &program).expect("an upgrade");
        let old = world.host.processes(process::Kind::Edge);
        world.host.run(&["agent", "restart"]).expect(0);
        until("another edge", PATIENCE, || {
            let edges = world.host.processes(process::Kind::Edge);
            edges.iter().any(|edge| !old.contains(edge)).then_some(())
        });
        some_requests();
    }
    let report = load.stop();
    let comparison = Comparison::of(&report, &world.served());
    eprintln!("{report}{comparison}");
    assert_eq!(report.total().lost, 0, "lost requests");
    assert!(comparison.is_equal(), "what was answered is what was served");
}

/// A connection without an end in sight is cut at the end of the drain, and counted as that.
#[test]
fn a_connection_that_outlives_the_drain_is_cut_and_counted() {
    for protocol in ["https", "tls"] {
        let drain = Duration::from_millis(500);
        let shape = Shape { protocol, drain, ..Shape::default() };
        let world = World::new(Path::new(env!("CARGO_BIN_EXE_landfall")), shape);
        world.host.run(&["up"]).expect(0);
        let target = world.target();
        let asked = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let mut connection = Connection::open(&target).await?;
                connection.exchange(&Request::get("/drip?pieces=100", "endless")).await
            })
        });
        until("the endless answer", PATIENCE, || {
            let served = fs::read_to_string(world.served()).ok()?;
            served.contains("endless").then_some(())
        });
        world.host.run(&["up", "--set", "version=2"]).expect(0);
        let answer = asked.join().expect("the client");
        assert!(matches!(answer, Err(Failure::Truncated(_))), "{protocol}: {answer:?}");
        let measured = until("the count", PATIENCE, || {
            let measured = world.status()["measured"].clone();
            (measured["cut"] == 1).then_some(measured)
        });
        assert_eq!(measured["lost"], 0, "{protocol}");
    }
}
