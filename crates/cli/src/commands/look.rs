//! `landfall status`, `history`, `show`, `diff`: verbs that only look.

use crate::arguments::{Global, StackArgument, StackOption};
use crate::failure::{Failure, Result, unexpected, usage};
use crate::output::Output;
use crate::project::{ask_running, odd, stack_here};
use crate::render;
use landfall_agent::now;
use landfall_model::{Digest, ExitCode, Release, ReleaseNumber, StackId};
use landfall_plan::changes;
use landfall_protocol::agent::{ReleaseOutcome, Reply, Request};
use serde::Serialize;
use std::fmt::Write as _;

pub async fn status(global: &Global, stack: &StackArgument, output: &Output) -> Result<ExitCode> {
    let stack = match &stack.stack {
        Some(named) => Some(stack_here(global, output, Some(named)).await?),
        None => None,
    };
    let reply = ask_running(&Request::Status { stack: stack.clone() }).await;
    let stacks = match reply {
        Ok(Reply::Status { stacks }) => stacks,
        Ok(_) => return Err(odd()),
        Err(failure) if failure.exit == ExitCode::NotFound => {
            output.note(&format!("{}; {}", failure.message, failure.help.unwrap_or_default()));
            Vec::new()
        }
        Err(failure) => return Err(failure),
    };
    if let (Some(stack), true) = (&stack, stacks.is_empty()) {
        return Err(Failure::new(ExitCode::NotFound, format!("nothing of {stack} is here"))
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
    let stack = stack_here(global, output, stack.stack.as_deref()).await?;
    let before = before.map(number).transpose()?;
    let request = Request::History { stack, before, limit };
    let Reply::History { entries } = ask_running(&request).await? else { return Err(odd()) };
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
pub async fn fetch(stack: &StackId, number: ReleaseNumber) -> Result<Shown> {
    let request = Request::Show { stack: stack.clone(), number };
    let Reply::Release { release, digest, outcome } = ask_running(&request).await? else {
        return Err(odd());
    };
    let release = serde_json::from_str(&release)
        .map_err(|error| unexpected(&format!("read release {number}"), &error))?;
    Ok(Shown { digest, release, outcome })
}

/// The release that serves.
async fn serving(stack: &StackId) -> Result<ReleaseNumber> {
    let Reply::Base(base) = ask_running(&Request::Base { stack: stack.clone() }).await? else {
        return Err(odd());
    };
    base.serving
        .ok_or_else(|| Failure::new(ExitCode::NotFound, format!("nothing of {stack} serves")))
}

pub async fn show(
    global: &Global,
    stack: &StackOption,
    release: Option<&str>,
    output: &Output,
) -> Result<ExitCode> {
    let stack = stack_here(global, output, stack.stack.as_deref()).await?;
    let wanted = match release {
        Some(text) => number(text)?,
        None => serving(&stack).await?,
    };
    let shown = fetch(&stack, wanted).await?;
    output.answer("release", &shown, || {
        let Shown { digest, release, outcome } = &shown;
        let mut text = format!(
            "release {} of {stack}\n  digest: {digest}\n  sealed: {} by {}\n",
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
            let _ = writeln!(
                text,
                "  {}: {}, {}",
                outcome.verb,
                outcome.outcome,
                render::measured(&outcome.measured)
            );
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
    let stack = stack_here(global, output, stack.stack.as_deref()).await?;
    let from = fetch(&stack, number(from)?).await?;
    let to = match to {
        Some(to) => number(to)?,
        None => serving(&stack).await?,
    };
    let to = fetch(&stack, to).await?;
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
