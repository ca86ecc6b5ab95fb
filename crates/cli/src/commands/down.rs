//! `landfall down`: stop everything that runs.

use crate::arguments::{Global, StackArgument, Values};
use crate::deploy;
use crate::failure::Result;
use crate::follow;
use crate::output::Output;
use crate::project::{Project, target_here};
use landfall_model::ExitCode;
use landfall_protocol::agent::Request;

pub async fn run(
    global: &Global,
    stack: &StackArgument,
    purge: bool,
    output: &Output,
) -> Result<ExitCode> {
    let target = target_here(global, output, stack.stack.as_deref()).await?;
    let asks = Project::open(global, output)
        .and_then(|project| project.resolve(&target.id, &Values::default(), output))
        .is_ok_and(|resolved| resolved.confirm);
    if purge {
        output.confirm(&format!(
            "Stop {target} and remove its history, volumes and logs for ever?"
        ))?;
    } else if asks {
        output.confirm(&format!("Stop {target}?"))?;
    }
    follow::settled_base(&target, output).await?;
    let request = Request::Down { stack: target.id.clone(), by: deploy::who() };
    let summary = follow::watch(&target, &request, output).await?;
    if purge && summary.exit_code == ExitCode::Done.code() {
        target.ask(output, &Request::Purge { stack: target.id.clone() }).await?;
        output.note(&format!("removed the history, volumes and logs of {target}"));
    }
    Ok(follow::conclude(&summary, output))
}
