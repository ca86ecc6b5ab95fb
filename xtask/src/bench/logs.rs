//! Lost lines while the agent is killed.

use super::figures::goal;
use super::options::Options;
use landfall_loadgen::Logs;

pub fn run(options: &Options) -> anyhow::Result<()> {
    let kills = options.count.unwrap_or(100);
    let (program, seed) = (options.program()?, options.seed);
    let logged = Logs { program, kills, bytes_per_second: 10 << 20, seed }.run();
    println!("{kills} kills of the agent: {logged}");
    goal("no line lost, and the exit status is true", logged.is_whole())
}
