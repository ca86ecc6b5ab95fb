//! The house: which crate may look at which, and which are pure.

use crate::run;
use anyhow::{Context, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Every crate with those it may use, lowest first. An arrow that is not here is an error; so is a
/// crate that is not here.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("tls-policy", &[]),
    ("protocol", &["model"]),
    ("config", &["model"]),
    ("plan", &["model", "tls-policy"]),
    ("store", &["model"]),
    ("registry", &["model"]),
    ("engine", &["model"]),
    ("aws", &["model"]),
    ("rollout", &["model", "plan", "engine", "store"]),
    ("engine-local", &["model", "engine", "protocol"]),
    ("engine-kubernetes", &["model", "engine"]),
    ("edge", &["model", "protocol", "tls-policy"]),
    (
        "agent",
        &[
            "model",
            "plan",
            "engine",
            "engine-local",
            "engine-kubernetes",
            "protocol",
            "rollout",
            "store",
        ],
    ),
    (
        "cli",
        &[
            "model",
            "config",
            "plan",
            "protocol",
            "store",
            "agent",
            "edge",
            "engine-local",
            "engine-kubernetes",
            "registry",
            "aws",
        ],
    ),
];

/// Crates for development only: nothing that is shipped may use them.
const DEVELOPMENT: &[&str] = &["testkit", "loadgen"];

/// Crates that do no input or output, and what would give them away.
const PURE: &[&str] = &["model", "tls-policy", "plan"];
const IMPURE: &[&str] =
    &["tokio", "rustix", "reqwest", "hyper", "tempfile", "object_store", "libc"];

/// Checks the arrows, the pure crates, and that every crate takes the workspace's lints.
pub fn check() -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1", "--no-deps"]);
    let metadata: Value = serde_json::from_str(&run::output(&mut command)?)?;
    let packages = metadata["packages"].as_array().context("packages")?;
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        ARROWS.iter().map(|(name, to)| (*name, to.iter().copied().collect())).collect();
    let mut mistakes = Vec::new();
    for package in packages {
        let full = package["name"].as_str().unwrap_or_default();
        lints(package, full, &mut mistakes)?;
        let Some(name) = full.strip_prefix("landfall-") else { continue };
        if DEVELOPMENT.contains(&name) {
            continue;
        }
        let Some(to) = allowed.get(name) else {
            mistakes.push(format!("{full} is not in the house: give it a place in xtask/src/house.rs and docs/architecture.md"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            // Tests may look at anything.
            if dependency["kind"].as_str() == Some("dev") {
                continue;
            }
            let used = dependency["name"].as_str().unwrap_or_default();
            match used.strip_prefix("landfall-") {
                Some(used) if !to.contains(used) => {
                    mistakes.push(format!("{name} → {used} is no arrow of the house"));
                }
                None if PURE.contains(&name) && IMPURE.contains(&used) => {
                    mistakes.push(format!("{name} is pure and uses {used}"));
                }
                _ => {}
            }
        }
    }
    for name in PURE {
        let rules = format!("crates/{name}/clippy.toml");
        if !Path::new(&rules).exists() {
            mistakes.push(format!("{name} is pure and has no {rules}"));
        }
    }
    if !mistakes.is_empty() {
        bail!("the house:\n  {}", mistakes.join("\n  "));
    }
    println!("── house: good ({} crates)", ARROWS.len());
    Ok(())
}

fn lints(package: &Value, name: &str, mistakes: &mut Vec<String>) -> anyhow::Result<()> {
    let manifest = package["manifest_path"].as_str().context("a manifest")?;
    let text = std::fs::read_to_string(manifest)?;
    if !text.contains("[lints]\nworkspace = true") {
        mistakes.push(format!("{name} does not take the workspace's lints"));
    }
    Ok(())
}
