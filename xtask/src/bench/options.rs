//! What can be chosen about a bench.

use crate::run;
use anyhow::{Context, bail};
use std::path::PathBuf;
use std::time::Duration;

/// Where chance begins when nobody says.
const SEED: u64 = 20_261_124;

/// The choices.
pub struct Options {
    /// How often.
    pub count: Option<u32>,
    /// How many releases.
    pub releases: Option<u64>,
    /// No longer than this.
    pub time: Option<Duration>,
    /// Where chance begins.
    pub seed: u64,
    debug: bool,
}

impl Options {
    /// Reads them.
    pub fn parse(arguments: &[String]) -> anyhow::Result<Self> {
        let mut options =
            Self { count: None, releases: None, time: None, seed: SEED, debug: false };
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            if name == "--debug" {
                options.debug = true;
                continue;
            }
            let value = rest.next().with_context(|| format!("`{name}` wants a number"))?;
            let number: u64 = value.parse().with_context(|| format!("`{value}` is no number"))?;
            match name.as_str() {
                "--count" => options.count = Some(u32::try_from(number)?),
                "--releases" => options.releases = Some(number),
                "--minutes" => options.time = Some(Duration::from_secs(number * 60)),
                "--seed" => options.seed = number,
                _ => bail!("there is no option `{name}`"),
            }
        }
        Ok(options)
    }

    /// Builds the program and the shop, and says where the program is.
    pub fn program(&self) -> anyhow::Result<PathBuf> {
        let mut arguments =
            vec!["build", "--quiet", "--package", "landfall-cli", "--package", "shop"];
        if !self.debug {
            arguments.push("--release");
        }
        run::cargo("build", &arguments)?;
        let profile = if self.debug { "debug" } else { "release" };
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
        Ok(std::path::absolute(target.join(profile).join("landfall"))?)
    }
}
