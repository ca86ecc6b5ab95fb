//! The object stores, for as long as a bench needs them.

use crate::tests;
use std::path::PathBuf;
use std::process::Command;

/// Object stores that were started; stopped when dropped, unless they ran before.
pub struct Stores {
    variables: Vec<(String, String)>,
    ran: bool,
}

impl Stores {
    /// Starts those that can be had.
    pub fn start() -> Self {
        let ran = running();
        Self { variables: tests::stores(), ran }
    }

    /// Where they listen, as variables.
    pub fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    /// Where one listens.
    pub fn url(&self, variable: &str) -> Option<&str> {
        self.variables.iter().find(|(name, _)| name == variable).map(|(_, url)| url.as_str())
    }
}

impl Drop for Stores {
    fn drop(&mut self) {
        if !self.ran {
            // They listen on the loopback address only; the next start finds what is left.
            let _ = Command::new("scripts/stores.sh").arg("stop").status();
        }
    }
}

/// Whether somebody has started one before.
fn running() -> bool {
    let tools = std::env::var_os("LANDFALL_TOOLS").map(PathBuf::from).or_else(|| {
        Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache").join("landfall-tools"))
    });
    tools.is_some_and(|tools| tools.join("stores").join("moto.pid").exists())
}
