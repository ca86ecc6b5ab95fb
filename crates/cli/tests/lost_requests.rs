//! No request is lost while releases go out and back, whatever kind of client asks, and whatever the
//! service does when it is told to end.

use landfall_loadgen::{
    Comparison, Connection, Failure, Kind, Load, Request, Rollouts, Scale, Shape, World,
};
use landfall_testkit::{processes as process, until};
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
        seed: 20,
        scale: Scale::default(),
    };
    let finished = rollouts.run(|line| eprintln!("{line}"));
    eprintln!("{finished}");
    assert_eq!(finished.rollouts, 20);
    assert_eq!(finished.report.total().lost, 0, "lost requests");
    assert!(finished.comparison.is_equal(), "what was answered is what was served");
    assert_eq!(finished.report.idle_ends, 0, "idle connections are left alone");
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
