//! `landfall export`: what other tools take.

use crate::arguments::{ExportCommand, Global};
use crate::commands::look::{fetch, number};
use crate::failure::{Failure, Result, usage};
use crate::output::Output;
use crate::project::target_here;
use crate::target::{Target, odd};
use landfall_engine_kubernetes::setup;
use landfall_model::ExitCode;
use landfall_protocol::agent::{Reply, Request};
use serde_json::Value;

pub async fn run(global: &Global, command: ExportCommand, output: &Output) -> Result<ExitCode> {
    let (kind, manifests) = match command {
        ExportCommand::Rbac { stack } => {
            let target = target_here(global, output, stack.stack.as_deref()).await?;
            let namespace = reach(&target).await?.namespace;
            ("rbac", setup::account(&namespace))
        }
        ExportCommand::Manifests { stack, release } => {
            let target = target_here(global, output, stack.stack.as_deref()).await?;
            ("manifests", manifests(&target, release.as_deref()).await?)
        }
        ExportCommand::Agent { stack, image } => {
            let target = target_here(global, output, stack.stack.as_deref()).await?;
            let namespace = reach(&target).await?.namespace;
            ("agent", vec![setup::agent(&target.id, &namespace, &image)])
        }
    };
    let value = serde_json::json!({ "manifests": manifests });
    output.answer(kind, &value, || documents(&manifests));
    output.done(ExitCode::Done);
    Ok(ExitCode::Done)
}

async fn reach(target: &Target) -> Result<landfall_engine_kubernetes::Reached> {
    target.reach().await?.ok_or_else(|| {
        usage(format!("{target} is on this machine, not in a cluster"))
            .help("name a stack with `engine: kubernetes`")
    })
}

async fn manifests(target: &Target, release: Option<&str>) -> Result<Vec<Value>> {
    let namespace = reach(target).await?.namespace;
    let content = match release {
        None => None,
        Some(text) => {
            let shown = fetch(target, number(text)?).await?;
            Some((Box::new(shown.release.content), shown.release.number))
        }
    };
    let request = Request::Objects { stack: target.id.clone(), content, live: false };
    let Reply::Objects { objects, release, .. } = target.ask_running(&request).await? else {
        return Err(odd());
    };
    if release.is_none() {
        return Err(Failure::new(ExitCode::NotFound, format!("nothing of {target} serves"))
            .help("`--release N` names one; `landfall history` lists them"));
    }
    let placed = objects.into_iter().map(|object| {
        let mut manifest = object.manifest;
        manifest["metadata"]["namespace"] = Value::from(namespace.clone());
        manifest
    });
    Ok(placed.collect())
}

/// Manifests as documents of one YAML file. JSON is YAML, and needs no other writer.
fn documents(manifests: &[Value]) -> String {
    manifests.iter().map(|manifest| format!("---\n{manifest:#}\n")).collect()
}
