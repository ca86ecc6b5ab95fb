//! `landfall resume`: follow a run in progress, answer it, or end it.

use crate::arguments::{Global, StackArgument};
use crate::deploy;
use crate::failure::{Result, usage};
use crate::follow;
use crate::output::Output;
use crate::project::target_here;
use landfall_model::ExitCode;
use landfall_protocol::agent::Request;

pub async fn run(
    global: &Global,
    stack: &StackArgument,
    hook: Option<&str>,
    cancel: bool,
    output: &Output,
) -> Result<ExitCode> {
    let target = target_here(global, output, stack.stack.as_deref()).await?;
    let (hook, done) = match hook {
        None => (None, None),
        Some(text) => match text.rsplit_once('=') {
            Some((name, "done")) => (Some(name.to_owned()), Some(true)),
            Some((name, "again")) => (Some(name.to_owned()), Some(false)),
            _ => {
                return Err(usage(format!("`--hook {text}` is no answer"))
                    .help("write it like `--hook migrate=done` or `--hook migrate=again`"));
            }
        },
    };
    if cancel {
        let why = format!("by {}", deploy::who());
        target.ask(output, &Request::Cancel { stack: target.id.clone(), why }).await?;
        return follow::follow(&target, &Request::Attach { stack: target.id.clone() }, output)
            .await;
    }
    let request = Request::Resume { stack: target.id.clone(), done, hook };
    follow::follow(&target, &request, output).await
}
