//! One verb, one file.

mod agent;
mod cert;
mod check;
mod doctor;
mod down;
mod exec;
mod explain;
mod export;
mod init;
mod logs;
mod look;
mod plan;
mod prune;
mod reference;
mod restore;
mod resume;
mod setup;
mod up;
mod verify;

use crate::arguments::{Arguments, Command};
use crate::failure::{Result, unexpected};
use crate::output::Output;
use clap::CommandFactory;
use landfall_model::ExitCode;
use tokio::runtime::{Builder, Runtime};

/// A client waits for one thing at a time; agent and edge use every processor.
fn runtime(processors: bool) -> Result<Runtime> {
    let mut builder =
        if processors { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    builder.enable_all().build().map_err(|error| unexpected("start", &error))
}

/// What the program is under a hidden name: a part of the house with a life of its own.
pub fn hidden(command: &Command) -> Option<std::process::ExitCode> {
    match command {
        Command::Shim { folder } => Some(landfall_engine_local::shim::run(folder)),
        Command::ShimExec { arguments } => {
            Some(landfall_engine_local::shim::exec(arguments.clone()))
        }
        Command::Edge { socket, metrics } => Some(agent::edge(socket.clone(), *metrics)),
        _ => None,
    }
}

/// Does what the command line says.
pub fn run(arguments: Arguments, output: &Output) -> Result<ExitCode> {
    if let Command::Agent(crate::arguments::AgentCommand::Run {
        session, in_cluster: None, ..
    }) = arguments.command
    {
        return agent::be(session);
    }
    runtime(false)?.block_on(client(arguments, output))
}

async fn client(arguments: Arguments, output: &Output) -> Result<ExitCode> {
    let global = &arguments.global;
    match arguments.command {
        Command::Init { folder } => init::run(&folder, output),
        Command::Check { stack, values } => check::run(global, &stack, &values, output),
        Command::Plan { stack, values, out, detailed_exitcode, expect_no_changes } => {
            let wanted = plan::Wanted { out, detailed_exitcode, expect_no_changes };
            plan::run(global, &stack, &values, &wanted, output).await
        }
        Command::Up(up) => up::run(global, &up, output).await,
        Command::Status { stack } => look::status(global, &stack, output).await,
        Command::History { stack, limit, before } => {
            look::history(global, &stack, limit, before.as_deref(), output).await
        }
        Command::Show { release, stack } => {
            look::show(global, &stack, release.as_deref(), output).await
        }
        Command::Diff { live: true, stack, .. } => look::drift(global, &stack, output).await,
        Command::Diff { from, to, stack, .. } => {
            look::diff(global, &stack, &from.unwrap_or_default(), to.as_deref(), output).await
        }
        Command::Setup { stack } => setup::run(global, &stack, output).await,
        Command::Export(command) => export::run(global, command, output).await,
        Command::Logs { service, stack, follow, lines, instance, timestamps } => {
            let wanted = logs::Wanted { service, instance, lines, follow, timestamps };
            logs::run(global, &stack, wanted, output).await
        }
        Command::Exec { service, stack, command } => {
            exec::run(global, &stack, &service, command, output).await
        }
        Command::Rollback { stack, to, run } => {
            restore::rollback(global, &stack, to.as_deref(), &run, output).await
        }
        Command::Forward { stack, run } => restore::forward(global, &stack, &run, output).await,
        Command::Verify { stack } => verify::run(global, &stack, output).await,
        Command::Resume { stack, hook, cancel } => {
            resume::run(global, &stack, hook.as_deref(), cancel, output).await
        }
        Command::Down { stack, purge } => down::run(global, &stack, purge, output).await,
        Command::Prune { stack, keep, dry_run } => {
            prune::run(global, &stack, keep, dry_run, output).await
        }
        Command::Cert(command) => cert::run(global, command, output).await,
        Command::Agent(command) => agent::run(command, output).await,
        Command::Doctor => doctor::run(output).await,
        Command::Explain { topic } => explain::run(&topic, output),
        Command::Schema => {
            let schema = landfall_config::schema();
            output.answer("schema", &serde_json::json!({ "json_schema": schema }), || {
                format!("{schema:#}")
            });
            output.done(ExitCode::Done);
            Ok(ExitCode::Done)
        }
        Command::Completions { shell } => {
            let mut command = offered();
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, "landfall", &mut script);
            output.text("completions", &String::from_utf8_lossy(&script));
            Ok(ExitCode::Done)
        }
        Command::EksToken { cluster_name, region, profile } => {
            crate::acm::eks_token(&cluster_name, region.as_deref(), profile).await
        }
        Command::Reference => {
            output.text("reference", &reference::markdown());
            Ok(ExitCode::Done)
        }
        Command::Shim { .. } | Command::ShimExec { .. } | Command::Edge { .. } => {
            Ok(ExitCode::Unexpected)
        }
    }
}

/// The command line without what is hidden, which completions for some shells offer all the same.
fn offered() -> clap::Command {
    let whole = Arguments::command();
    let shown = whole.get_subcommands().filter(|it| !it.is_hide_set()).cloned();
    clap::Command::new("landfall").args(whole.get_arguments().cloned()).subcommands(shown)
}
