//! The file, the stack and the host that a verb is about.

use crate::arguments::{Global, Values};
use crate::failure::{Failure, Result, file, unexpected, usage};
use crate::output::Output;
use crate::target::{Target, odd};
use landfall_agent::Home;
use landfall_agent::client;
use landfall_config::{Config, Diagnostics, EngineChoice, Overrides, Resolved, SourceFile};
use landfall_engine_kubernetes::Address;
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

/// The folder of the file; paths in it start there.
fn folder_of(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).to_owned();
    std::fs::canonicalize(&folder).unwrap_or(folder)
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
        let source = SourceFile { name, text };
        let config =
            landfall_config::parse(&source).map_err(|found| diagnosed(&found, &source, output))?;
        Ok(Self { folder: folder_of(&path), source, config })
    }

    /// The file, when there is a sound one; nothing is said otherwise.
    pub fn open_quietly(global: &Global) -> Option<Self> {
        let path = find(global).ok()?;
        let text = std::fs::read_to_string(&path).ok()?;
        let source = SourceFile { name: path.display().to_string(), text };
        let config = landfall_config::parse(&source).ok()?;
        Some(Self { folder: folder_of(&path), source, config })
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

    /// A stack and where it is.
    pub fn target(&self, stack: &StackId) -> Target {
        match self.config.engine(&stack.stack) {
            Some(EngineChoice::Kubernetes) => {
                let chosen = self.config.cluster(&stack.stack);
                let kubeconfig = chosen.kubeconfig.map(|path| self.folder.join(path));
                let address = Address {
                    kubeconfig,
                    context: chosen.context,
                    namespace: chosen.namespace,
                    eks_token: crate::target::program().ok(),
                };
                Target::cluster(stack.clone(), address, chosen.registry)
            }
            _ => Target::host(stack.clone()),
        }
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

/// `APP/STACK`.
pub fn app_and_stack(text: &str) -> Result<StackId> {
    let bad = |error: landfall_model::NameError| usage(error.to_string());
    let (app, stack) = text
        .split_once('/')
        .ok_or_else(|| usage(format!("`{text}` is not written as APP/STACK")))?;
    Ok(StackId { app: app.parse().map_err(bad)?, stack: stack.parse().map_err(bad)? })
}

/// The stack of a verb that needs no file when it is told everything: by the file if there is one,
/// otherwise from what is on the host.
pub async fn target_here(global: &Global, output: &Output, named: Option<&str>) -> Result<Target> {
    if let Some(named) = named.filter(|named| named.contains('/')) {
        let id = app_and_stack(named)?;
        // The file may know that it is elsewhere.
        let project = find(global).ok().and_then(|_| Project::open(global, output).ok());
        return Ok(match project.filter(|it| it.stacks().contains(&id)) {
            Some(project) => project.target(&id),
            None => Target::host(id),
        });
    }
    if global.file.is_some() || find(global).is_ok() {
        let project = Project::open(global, output)?;
        let id = project.stack(named)?;
        return Ok(project.target(&id));
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
        [only] => Ok(Target::host((*only).clone())),
        [] => Err(Failure::new(ExitCode::NotFound, "no such stack is on this host")
            .help("`landfall status` lists them")),
        several => Err(usage("which stack?").help(format!(
            "name it as APP/STACK: {}",
            several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        ))),
    }
}
