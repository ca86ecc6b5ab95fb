//! Benches: what is promised about time and loss, measured with the program as it is shipped.
//!
//! Each prints what it did, its figures with the spread, and whether the goal was met; a goal that
//! was not met is an error. `docs/benchmarks.md` keeps what was measured.

mod deploys;
mod figures;
mod kills;
mod logs;
mod options;
mod overhead;
mod races;
mod releases;
mod rollouts;
mod seeded;
mod status;
mod stores;

use options::Options;

const HELP: &str = "\
cargo xtask bench NAME [options]

  rollouts   1,000 alternating `up` and `rollback` under load: lost requests     --count --minutes
  logs       100 kills of the agent while a service writes 10 MiB/s: lost lines  --count
  overhead   20 times `up`: what it takes beyond the service's own start         --count
  status     100 times `landfall status`, at 1 and at 10,000 releases            --count --releases
  releases   requests to an S3 store at 10 and at 10,000 releases                --releases
  races      1,000 rounds of 8 writers on every store                            --count
  deploys    a deploy to a cluster against kubectl and Helm: time and requests   --count
  kills      500 kills of anybody at any instant                                 --count

  --seed N        where chance begins
  --debug         the debug build in place of the release build
  --program PATH  this build, with the shop beside it
";

/// Runs the bench of this name.
pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    let Some((name, rest)) = arguments.split_first() else {
        print!("{HELP}");
        return Ok(());
    };
    let options = Options::parse(rest)?;
    match name.as_str() {
        "rollouts" => rollouts::run(&options),
        "logs" => logs::run(&options),
        "overhead" => overhead::run(&options),
        "status" => status::run(&options),
        "releases" => releases::run(&options),
        "races" => races::run(&options),
        "deploys" => deploys::run(&options),
        "kills" => kills::run(&options),
        other => anyhow::bail!("there is no bench `{other}`\n\n{HELP}"),
    }
}
