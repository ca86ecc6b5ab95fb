//! Files that are made from the program: the reference and the JSON Schema.

use crate::run;
use anyhow::bail;
use std::process::Command;

const REFERENCE: &str = "docs/reference.md";

fn made() -> anyhow::Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["run", "--quiet", "--package", "landfall-cli", "--", "reference"]);
    // Environment variables show in help texts, and nobody's own should.
    for name in ["LANDFALL_STACK", "LANDFALL_FILE", "LANDFALL_OUTPUT"] {
        command.env_remove(name);
    }
    run::output(&mut command)
}

/// Writes them anew.
pub fn write() -> anyhow::Result<()> {
    std::fs::write(REFERENCE, made()?)?;
    println!("wrote {REFERENCE}");
    Ok(())
}

/// Holds them against the program.
pub fn check() -> anyhow::Result<()> {
    if std::fs::read_to_string(REFERENCE).unwrap_or_default() != made()? {
        bail!("{REFERENCE} is not what the program says: run `cargo xtask reference`");
    }
    println!("── reference: good");
    Ok(())
}
