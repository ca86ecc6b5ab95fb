//! No request is lost while releases go out and back, whatever kind of client asks, and whatever the
//! service does when it is told to end.

use landfall_loadgen::{Rollouts, Scale};

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
