//! Lost requests while releases go out and back.

use super::figures::goal;
use super::options::Options;
use landfall_loadgen::{Rollouts, Scale};
use std::time::Duration;

pub fn run(options: &Options) -> anyhow::Result<()> {
    let rollouts = Rollouts {
        program: options.program()?,
        count: options.count.unwrap_or(1_000) as usize,
        time: options.time,
        drain: Duration::from_millis(1_500),
        seed: options.seed,
        scale: Scale::default(),
    };
    let finished = rollouts.run(|line| println!("{line}"));
    println!("{finished}");
    goal("no request lost", finished.report.total().lost == 0)?;
    goal("answered is what was served, id by id", finished.comparison.is_equal())
}
