//! `landfall setup`: a cluster's namespace, ready for a stack.

use crate::arguments::{Global, StackArgument};
use crate::failure::{Failure, Result, usage};
use crate::output::Output;
use crate::project::target_here;
use landfall_engine_kubernetes::setup;
use landfall_model::ExitCode;

pub async fn run(global: &Global, stack: &StackArgument, output: &Output) -> Result<ExitCode> {
    let target = target_here(global, output, stack.stack.as_deref()).await?;
    let reached = target.reach().await?.ok_or_else(|| {
        usage(format!("{target} is on this machine, which needs no setup"))
            .help("`landfall up` starts what it needs")
    })?;
    output.working(&format!("preparing the namespace {}", reached.namespace));
    let made = setup::prepare(&reached.client, &reached.namespace)
        .await
        .map_err(|error| Failure::new(ExitCode::Permission, error.to_string()))?;
    let keys = target.enrol().await?;
    let value = serde_json::json!({
        "namespace": reached.namespace, "server": reached.server, "objects": made, "keys": keys,
    });
    output.answer("setup", &value, || {
        let mut text =
            format!("{} at {} is ready for {target}\n", reached.namespace, reached.server);
        for object in &made {
            text.push_str(&format!("  {object}\n"));
        }
        text.push_str("  keys that may deploy:\n");
        for key in &keys {
            text.push_str(&format!("    {key}\n"));
        }
        text.push_str(&format!(
            "next: `landfall up {}`; a pipeline uses the account `{}` of the namespace",
            target.id.stack,
            setup::ACCOUNT
        ));
        text
    });
    output.done(ExitCode::Done);
    Ok(ExitCode::Done)
}
