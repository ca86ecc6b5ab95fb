//! Eight writers of one object, one winner, on every store.

use super::options::Options;
use super::stores::Stores;
use crate::run;
use std::process::Command;

pub fn run(options: &Options) -> anyhow::Result<()> {
    let rounds = options.count.unwrap_or(1_000).to_string();
    let stores = Stores::start();
    for (name, url) in stores.variables() {
        println!("{name}: {url}");
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["test", "--package", "landfall-store", "--test", "races", "--test", "clouds"]);
    command.args(["--", "--nocapture"]);
    command.envs(stores.variables().iter().cloned()).env("LANDFALL_RACE_ROUNDS", rounds);
    run::run("races", &mut command)
}
