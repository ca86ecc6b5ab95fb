//! Eight writers of one object, one winner, on every store.

use super::options::Options;
use crate::{run, tests};
use std::process::Command;

pub fn run(options: &Options) -> anyhow::Result<()> {
    let rounds = options.count.unwrap_or(1_000).to_string();
    let stores = tests::stores();
    for (name, url) in &stores {
        println!("{name}: {url}");
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["test", "--package", "landfall-store", "--test", "races", "--test", "clouds"]);
    command.args(["--", "--nocapture"]);
    command.envs(stores).env("LANDFALL_RACE_ROUNDS", rounds);
    let raced = run::run("races", &mut command);
    Command::new("scripts/stores.sh").arg("stop").status()?;
    raced
}
