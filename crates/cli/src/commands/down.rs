//! `landfall down`: stop everything that runs.

use crate::arguments::{Global, StackArgument, Values};
use crate::deploy;
use crate::failure::Result;
use crate::output::Output;
use crate::project::{Project, agent, stack_here};
use landfall_model::ExitCode;
use landfall_protocol::agent::Request;

pub async fn run(
    global: &Global,
    stack: &StackArgument,
    purge: bool,
    output: &Output,
) -> Result<ExitCode> {
    let stack = stack_here(global, output, stack.stack.as_deref()).await?;
    let asks = Project::open(global, output)
        .and_then(|project| project.resolve(&stack, &Values::default(), output))
        .is_ok_and(|resolved| resolved.confirm);
    if purge {
        output
            .confirm(&format!("Stop {stack} and remove its history, volumes and logs for ever?"))?;
    } else if asks {
        output.confirm(&format!("Stop {stack}?"))?;
    }
    let request = Request::Down { stack: stack.clone(), by: deploy::who() };
    let summary = deploy::watch(&stack, &request, output).await?;
    if purge && summary.exit_code == ExitCode::Done.code() {
        agent(output).await?.request(&Request::Purge { stack: stack.clone() }).await?;
        output.note(&format!("removed the history, volumes and logs of {stack}"));
    }
    Ok(deploy::conclude(&summary, output))
}
