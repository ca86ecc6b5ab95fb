//! `landfall status`, `history`, `show`, `diff`: verbs that only look.

use crate::arguments::{Global, StackArgument, StackOption};
use crate::failure::{Failure, Result, unexpected, usage};
use crate::output::Output;
use crate::project::target_here;
use crate::render;
use crate::target::{Target, ask_running_host, odd};
use landfall_agent::now;
use landfall_model::{Digest, ExitCode, Release, ReleaseNumber};
use landfall_plan::changes;
use landfall_protocol::agent::{ReleaseOutcome, Reply, Request};
use serde::Serialize;
use std::fmt::Write as _;

pub async fn status(global: &Global, stack: &StackArgument, output: &Output) -> Result<ExitCode> {
    let target = match &stack.stack {
        Some(named) => Some(target_here(global, output, Some(named)).await?),
        None => elsewhere(global),
    };
    let reply = match &target {
        Some(target) => {
            target.ask_running(&Request::Status { stack: Some(target.id.clone()) }).await
        }
        None => ask_running_host(&Request::Status { stack: None }).await,
    };
    let stacks = match reply {
        Ok(Reply::Status { stacks }) => stacks,
        Ok(_) => return Err(odd()),
        Err(failure) if failure.exit == ExitCode::NotFound => {
            output.note(&format!("{}; {}", failure.message, failure.help.unwrap_or_default()));
            Vec::new()
        }
        Err(failure) => return Err(failure),
    };
    if let (Some(target), true) = (&target, stacks.is_empty()) {
        return Err(Failure::new(ExitCode::NotFound, format!("nothing of {target} is here"))
            .help("`landfall up` brings it here"));
    }
    let value = serde_json::json!({ "stacks": stacks });
    output.answer("status", &value, || {
        if stacks.is_empty() {
            "nothing is here".into()
        } else {
            render::status(&stacks, now(), output)
        }
    });
    output.done(ExitCode::Done);
    Ok(ExitCode::Done)
}

/// The only stack of the file, when it is not on this machine: its status is the one that is meant.
fn elsewhere(global: &Global) -> Option<Target> {
    let project = crate::project::Project::open_quietly(global)?;
    let [only] = &project.stacks()[..] else { return None };
    let target = project.target(only);
    target.is_driven_here().then_some(target)
}

pub fn number(text: &str) -> Result<ReleaseNumber> {
    text.parse().map_err(|_| {
        usage(format!("`{text}` is no release"))
            .help("releases are numbers; `landfall history` lists them")
    })
}

pub async fn history(
    global: &Global,
    stack: &StackArgument,
    limit: usize,
    before: Option<&str>,
    output: &Output,
) -> Result<ExitCode> {
    let target = target_here(global, output, stack.stack.as_deref()).await?;
    let before = before.map(number).transpose()?;
    let request = Request::History { stack: target.id.clone(), before, limit };
    let Reply::History { entries } = target.ask_running(&request).await? else {
        return Err(odd());
    };
    let value = serde_json::json!({ "releases": entries });
    output.answer("history", &value, || render::history(&entries, output));
    output.done(ExitCode::Done);
    Ok(ExitCode::Done)
}

/// One release as it is shown.
#[derive(Serialize)]
pub struct Shown {
    /// Its digest.
    pub digest: Digest,
    /// It.
    pub release: Release,
    /// How its rollout ended.
    pub outcome: Option<ReleaseOutcome>,
}

/// Fetches one release.
pub async fn fetch(target: &Target, number: ReleaseNumber) -> Result<Shown> {
    let request = Request::Show { stack: target.id.clone(), number };
    let Reply::Release { release, digest, outcome } = target.ask_running(&request).await? else {
        return Err(odd());
    };
    let release = serde_json::from_str(&release)
        .map_err(|error| unexpected(&format!("read release {number}"), &error))?;
    Ok(Shown { digest, release, outcome })
}

/// The release that serves.
async fn serving(target: &Target) -> Result<ReleaseNumber> {
    let request = Request::Base { stack: target.id.clone() };
    let Reply::Base(base) = target.ask_running(&request).await? else { return Err(odd()) };
    base.serving
        .ok_or_else(|| Failure::new(ExitCode::NotFound, format!("nothing of {target} serves")))
}

pub async fn show(
    global: &Global,
    stack: &StackOption,
    release: Option<&str>,
    output: &Output,
) -> Result<ExitCode> {
    let target = target_here(global, output, stack.stack.as_deref()).await?;
    let wanted = match release {
        Some(text) => number(text)?,
        None => serving(&target).await?,
    };
    let shown = fetch(&target, wanted).await?;
    output.answer("release", &shown, || {
        let Shown { digest, release, outcome } = &shown;
        let mut text = format!(
            "release {} of {target}\n  digest: {digest}\n  sealed: {} by {}\n",
            release.number,
            render::time(release.sealed_at),
            release.sealed_by
        );
        if let Some(restores) = release.restores {
            let _ = writeln!(text, "  restores: {restores}");
        }
        for it in &release.substitutions {
            let _ = writeln!(
                text,
                "  {}: {} in place of {}, because {}",
                it.path, it.to, it.from, it.because
            );
        }
        if let Some(outcome) = outcome {
            let measured = outcome.measured.as_ref().map(render::measured);
            let measured = measured.map_or_else(String::new, |it| format!(", {it}"));
            let _ = writeln!(text, "  {}: {}{measured}", outcome.verb, outcome.outcome);
        }
        let all = changes(None, Some(&release.content));
        text.push('\n');
        for change in all {
            let _ = writeln!(text, "  {}: {}", change.path, change.to.unwrap_or_default());
        }
        text
    });
    output.done(ExitCode::Done);
    Ok(ExitCode::Done)
}

pub async fn diff(
    global: &Global,
    stack: &StackOption,
    from: &str,
    to: Option<&str>,
    output: &Output,
) -> Result<ExitCode> {
    let target = target_here(global, output, stack.stack.as_deref()).await?;
    let from = fetch(&target, number(from)?).await?;
    let to = match to {
        Some(to) => number(to)?,
        None => serving(&target).await?,
    };
    let to = fetch(&target, to).await?;
    let found = changes(Some(&from.release.content), Some(&to.release.content));
    let value = serde_json::json!({
        "from": from.release.number, "to": to.release.number, "changes": found,
    });
    output.answer("diff", &value, || {
        if found.is_empty() {
            format!("releases {} and {} are the same", from.release.number, to.release.number)
        } else {
            render::changes(&found, output)
        }
    });
    output.done(ExitCode::Done);
    Ok(ExitCode::Done)
}

/// What was written for the release that serves, against what stands in the cluster.
pub async fn drift(global: &Global, stack: &StackOption, output: &Output) -> Result<ExitCode> {
    let target = target_here(global, output, stack.stack.as_deref()).await?;
    if !target.is_driven_here() {
        return Err(usage(format!(
            "{target} is on this machine, which has no objects of a cluster"
        ))
        .help("`landfall verify` looks for drift here"));
    }
    output.working("comparing with what stands in the cluster");
    let request = Request::Objects { stack: target.id.clone(), content: None, live: true };
    let Reply::Objects { differences, release, .. } = target.ask_running(&request).await? else {
        return Err(odd());
    };
    let release = release
        .ok_or_else(|| Failure::new(ExitCode::NotFound, format!("nothing of {target} serves")))?;
    let value = serde_json::json!({ "release": release, "differences": differences });
    output.answer("drift", &value, || {
        if differences.is_empty() {
            format!("the cluster is as release {release} wrote it")
        } else {
            render::drift(&differences, output).trim_start_matches('\n').to_owned()
        }
    });
    let code = if differences.is_empty() { ExitCode::Done } else { ExitCode::Changes };
    output.done(code);
    Ok(code)
}
