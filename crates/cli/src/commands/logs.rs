//! `landfall logs`: what instances write.

use crate::arguments::{Global, StackOption};
use crate::failure::{Result, usage};
use crate::output::Output;
use crate::project::target_here;
use crate::render;
use crate::target::odd;
use landfall_model::ExitCode;
use landfall_protocol::agent::{Reply, Request};

/// Which lines are wanted.
pub struct Wanted {
    pub service: Option<String>,
    pub instance: Option<String>,
    pub lines: usize,
    pub follow: bool,
    pub timestamps: bool,
}

pub async fn run(
    global: &Global,
    stack: &StackOption,
    wanted: Wanted,
    output: &Output,
) -> Result<ExitCode> {
    let target = target_here(global, output, stack.stack.as_deref()).await?;
    let service = wanted
        .service
        .map(|service| service.parse())
        .transpose()
        .map_err(|error: landfall_model::NameError| usage(error.to_string()))?;
    let mut connection = target.running().await?;
    let request = Request::Logs {
        stack: target.id.clone(),
        service,
        instance: wanted.instance,
        tail: wanted.lines,
        follow: wanted.follow,
    };
    connection.ask(&request).await?;
    loop {
        let reply = tokio::select! {
            reply = connection.reply() => reply?,
            _ = tokio::signal::ctrl_c() => {
                output.done(ExitCode::Done);
                return Ok(ExitCode::Done);
            }
        };
        match reply {
            Reply::Log { at, group, instance, error, text } => {
                let value = serde_json::json!({
                    "time": at, "group": group, "instance": instance, "error": error, "text": text,
                });
                output.answer("log", &value, || {
                    let when = if wanted.timestamps {
                        format!("{} ", render::time(at))
                    } else {
                        String::new()
                    };
                    format!("{when}{} {text}", output.paint(&instance, "36"))
                });
            }
            Reply::End => {
                output.done(ExitCode::Done);
                return Ok(ExitCode::Done);
            }
            _ => return Err(odd()),
        }
    }
}
