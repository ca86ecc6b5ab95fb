//! The file, the stack and the host that a verb is about.

use crate::arguments::{Global, Values};
use crate::failure::{Failure, Result, file, unexpected, usage};
use crate::output::Output;
use landfall_agent::Home;
use landfall_agent::client::{self, Connection};
use landfall_config::{Config, Diagnostics, Overrides, Resolved, SourceFile};
use landfall_model::{ExitCode, StackId, StackName};
use landfall_protocol::agent::{Reply, Request};
use std::path::{Path, PathBuf};

/// The file, read.
pub struct Project {
    /// The folder the file is in; paths in it start here.
    pub folder: PathBuf,
    source: SourceFile,
    config: Config,
}

/// The name of the file.
pub const FILE: &str = "landfall.yaml";

/// The file that was named, or the first one here or above.
fn find(global: &Global) -> Result<PathBuf> {
    if let Some(path) = &global.file {
        return Ok(path.clone());
    }
    let here = std::env::current_dir().map_err(|error| unexpected("find this folder", &error))?;
    here.ancestors().map(|folder| folder.join(FILE)).find(|path| path.is_file()).ok_or_else(|| {
        usage(format!("there is no {FILE} here or in a folder above"))
            .help("`landfall init` writes one, `--file` names one")
    })
}

fn diagnosed(found: &Diagnostics, source: &SourceFile, output: &Output) -> Failure {
    output.diagnostics(found, source);
    let count = found.0.len();
    let word = if count == 1 { "mistake" } else { "mistakes" };
    usage(format!("{} has {count} {word}", source.name))
}

impl Project {
    /// Reads and checks the file.
    pub fn open(global: &Global, output: &Output) -> Result<Self> {
        let path = find(global)?;
        let text = std::fs::read_to_string(&path).map_err(|error| file("read", &path, &error))?;
        let name = std::env::current_dir()
            .ok()
            .and_then(|here| path.strip_prefix(here).ok())
            .unwrap_or(&path)
            .display()
            .to_string();
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).to_owned();
        let folder = std::fs::canonicalize(&folder).unwrap_or(folder);
        let source = SourceFile { name, text };
        let config =
            landfall_config::parse(&source).map_err(|found| diagnosed(&found, &source, output))?;
        Ok(Self { folder, source, config })
    }

    /// Says what is no mistake and still worth a look.
    pub fn warn(&self, output: &Output) {
        let warnings = self.config.warnings();
        if !warnings.0.is_empty() {
            output.diagnostics(warnings, &self.source);
        }
    }

    /// The stack that is meant.
    pub fn stack(&self, named: Option<&str>) -> Result<StackId> {
        let stacks = self.config.stacks();
        let list = || stacks.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(", ");
        let stack: StackName = match (named, stacks.as_slice()) {
            (Some(named), _) => {
                stacks.iter().find(|stack| stack.as_str() == named).copied().cloned().ok_or_else(
                    || {
                        Failure::new(ExitCode::NotFound, format!("there is no stack `{named}`"))
                            .help(format!("{} has {}", self.source.name, list()))
                    },
                )?
            }
            (None, [only]) => (*only).clone(),
            (None, _) => {
                return Err(usage("which stack?")
                    .help(format!("name one of {}, or set LANDFALL_STACK", list())));
            }
        };
        Ok(StackId { app: self.config.app().clone(), stack })
    }

    /// All of them.
    pub fn stacks(&self) -> Vec<StackId> {
        let app = self.config.app();
        let stack = |stack: &StackName| StackId { app: app.clone(), stack: stack.clone() };
        self.config.stacks().into_iter().map(stack).collect()
    }

    /// Everything the file says about a stack, with every value known.
    pub fn resolve(&self, stack: &StackId, values: &Values, output: &Output) -> Result<Resolved> {
        let mut set = Vec::new();
        for pair in &values.set {
            let (name, value) = pair.split_once('=').ok_or_else(|| {
                usage(format!("`--set {pair}` has no `=`")).help("write it like `--set replicas=3`")
            })?;
            set.push((name.to_owned(), value.to_owned()));
        }
        let environment =
            std::env::vars().filter(|(name, _)| name.starts_with("LANDFALL_OPTION_")).collect();
        let overrides = Overrides { set, environment };
        let files = landfall_config::FolderFiles::new(&self.folder);
        self.config
            .resolve(&stack.stack, &overrides, &files)
            .map_err(|found| diagnosed(&found, &self.source, output))
    }
}

/// The stack of a verb that needs no file when it is told everything: by the file if there is one,
/// otherwise from what is on the host.
pub async fn stack_here(global: &Global, output: &Output, named: Option<&str>) -> Result<StackId> {
    if let Some((app, stack)) = named.and_then(|named| named.split_once('/')) {
        let bad = |error: landfall_model::NameError| usage(error.to_string());
        return Ok(StackId { app: app.parse().map_err(bad)?, stack: stack.parse().map_err(bad)? });
    }
    if global.file.is_some() || find(global).is_ok() {
        return Project::open(global, output)?.stack(named);
    }
    let Reply::Status { stacks } =
        client::connect(&Home::find()).await?.request(&Request::Status { stack: None }).await?
    else {
        return Err(odd());
    };
    let fitting: Vec<_> = stacks
        .iter()
        .map(|status| &status.stack)
        .filter(|id| named.is_none_or(|named| id.stack.as_str() == named))
        .collect();
    match fitting.as_slice() {
        [only] => Ok((*only).clone()),
        [] => Err(Failure::new(ExitCode::NotFound, "no such stack is on this host")
            .help("`landfall status` lists them")),
        several => Err(usage("which stack?").help(format!(
            "name it as APP/STACK: {}",
            several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        ))),
    }
}

/// The agent answered something else than was asked.
pub fn odd() -> Failure {
    Failure::new(ExitCode::Unexpected, "the agent answered something that was not asked")
        .help("`landfall agent restart` lets this program take its place")
}

/// This program.
pub fn program() -> Result<PathBuf> {
    // The link stays good when the file was replaced by an upgrade; its target then says so.
    let path = std::env::current_exe().map_err(|error| unexpected("find this program", &error))?;
    let text = path.to_string_lossy();
    Ok(text.strip_suffix(" (deleted)").map_or_else(|| path.clone(), PathBuf::from))
}

/// Connects to the agent, and starts it when it is first needed.
pub async fn agent(output: &Output) -> Result<Connection> {
    let home = Home::find();
    let (connection, started) = client::connect_or_start(&home, &program()?).await?;
    if started {
        output.note(&format!("started the agent for {}", home.path().display()));
        if !output.interactive() {
            output.note(
                "it lasts until the next reboot; `landfall agent unit` prints a unit that lasts",
            );
        }
    }
    Ok(connection)
}

/// Asks the agent one thing.
pub async fn ask(output: &Output, request: &Request) -> Result<Reply> {
    agent(output).await?.request(request).await
}

/// Asks the agent one thing; where no agent was ever started, nothing is here. One that is gone
/// since a reboot is started again, and so everything comes back.
pub async fn ask_running(request: &Request) -> Result<Reply> {
    let home = Home::find();
    let connection = if home.is_used() {
        client::connect_or_start(&home, &program()?).await?.0
    } else {
        client::connect(&home).await?
    };
    connection.request(request).await
}
