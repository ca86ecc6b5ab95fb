//! Every test, after what they need was built and started.

use crate::run;
use std::process::Command;

/// Builds the program and the shop, starts the object stores that can be had, runs the tests.
pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    run::cargo("build", &["build", "--package", "landfall-cli", "--package", "shop"])?;
    if arguments.is_empty() {
        // The tests would build it as well, but silently. Without Go they say that they are skipped.
        let _ = Command::new("scripts/kubernetes.sh").arg("build").status();
    }
    let stores = stores();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["test", "--workspace", "--no-fail-fast"]).args(arguments);
    command.envs(stores);
    let tested = run::run("tests", &mut command);
    let _ = Command::new("scripts/stores.sh").arg("stop").status();
    tested
}

/// Where the object stores listen, as variables; none when they cannot be installed here. The
/// tests that need one then say that they are skipped.
pub fn stores() -> Vec<(String, String)> {
    println!("── object stores: scripts/stores.sh start");
    let started = Command::new("scripts/stores.sh").arg("start").output();
    let Ok(output) = started else { return Vec::new() };
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.trim().trim_start_matches("export ").split_once('='))
        .map(|(name, value)| (name.to_owned(), value.trim_matches(['\'', '"', ';']).to_owned()))
        .collect()
}
