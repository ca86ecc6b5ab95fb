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
    program: Option<PathBuf>,
}

impl Options {
    /// Reads them.
    pub fn parse(arguments: &[String]) -> anyhow::Result<Self> {
        let (count, releases, time, program) = (None, None, None, None);
        let mut options = Self { count, releases, time, seed: SEED, debug: false, program };
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            if name == "--debug" {
                options.debug = true;
                continue;
            }
            let value = rest.next().with_context(|| format!("`{name}` wants a value"))?;
            if name == "--program" {
                options.program = Some(std::path::absolute(value)?);
                continue;
            }
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

    /// Where the program is. It and the shop are built first, unless somebody named one; the shop
    /// is beside it then.
    pub fn program(&self) -> anyhow::Result<PathBuf> {
        if let Some(program) = &self.program {
            return Ok(program.clone());
        }
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
