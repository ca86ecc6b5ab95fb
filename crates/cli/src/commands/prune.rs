//! `landfall prune`: old releases and what only they need.

use crate::arguments::{Global, StackArgument};
use crate::failure::Result;
use crate::output::Output;
use crate::project::target_here;
use crate::target::odd;
use landfall_model::{Bytes, ExitCode};
use landfall_protocol::agent::{Reply, Request};

pub async fn run(
    global: &Global,
    stack: &StackArgument,
    keep: usize,
    dry_run: bool,
    output: &Output,
) -> Result<ExitCode> {
    let target = target_here(global, output, stack.stack.as_deref()).await?;
    if !dry_run {
        output.confirm(&format!("Remove all but the newest {keep} releases of {target}?"))?;
    }
    let request = Request::Prune { stack: target.id.clone(), keep, dry_run };
    let Reply::Pruned { releases, blobs, bytes } = target.ask_running(&request).await? else {
        return Err(odd());
    };
    let value = serde_json::json!({
        "releases": releases, "blobs": blobs, "bytes": bytes, "dry_run": dry_run,
    });
    output.answer("pruned", &value, || {
        let word = if dry_run { "would remove" } else { "removed" };
        format!("{word} {} releases and {blobs} artifacts ({})", releases.len(), Bytes(bytes))
    });
    output.done(ExitCode::Done);
    Ok(ExitCode::Done)
}
