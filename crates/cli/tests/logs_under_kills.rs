//! What a service writes and how it ends is kept, however often the agent dies.

use landfall_loadgen::Logs;

#[test]
fn no_line_is_lost_by_five_kills_of_the_agent() {
    let logs = Logs {
        program: env!("CARGO_BIN_EXE_landfall").into(),
        kills: 5,
        bytes_per_second: 10 << 20,
        seed: 5,
    };
    let logged = logs.run();
    eprintln!("{logged}");
    assert!(logged.is_whole(), "{logged:?}");
    assert!(logged.written > 10_000, "enough was written");
}
