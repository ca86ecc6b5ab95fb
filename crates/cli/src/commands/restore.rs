//! `landfall rollback` and `landfall forward`: going back is going out again.

use crate::arguments::{Global, RunArguments, StackArgument};
use crate::commands::look::{Shown, fetch, number};
use crate::deploy::{self, Wanted, make_plan};
use crate::failure::{Failure, Result, usage};
use crate::follow;
use crate::output::Output;
use crate::project::{Project, target_here};
use crate::render;
use crate::target::{Target, odd};
use landfall_agent::now;
use landfall_model::{ExitCode, Outcome, ReleaseNumber, Verb};
use landfall_plan::restore;
use landfall_protocol::agent::{Base, HistoryEntry, Reply, Request};

/// How many releases are read at a time while looking back.
const PAGE: usize = 20;

pub async fn rollback(
    global: &Global,
    stack: &StackArgument,
    to: Option<&str>,
    run: &RunArguments,
    output: &Output,
) -> Result<ExitCode> {
    let target = target_here(global, output, stack.stack.as_deref()).await?;
    let target = target.taking_ownership(run.take_ownership);
    let base = follow::settled_base(&target, output).await?;
    if let Some(code) = follow::repeated(&target, run, &base, output).await? {
        return Ok(code);
    }
    let wanted = match to {
        Some(to) => number(to)?,
        None => healthy_before(&target, &base).await?,
    };
    bring_back(global, &target, (Verb::Rollback, wanted), &base, run, output).await
}

pub async fn forward(
    global: &Global,
    stack: &StackArgument,
    run: &RunArguments,
    output: &Output,
) -> Result<ExitCode> {
    let target = target_here(global, output, stack.stack.as_deref()).await?;
    let target = target.taking_ownership(run.take_ownership);
    let base = follow::settled_base(&target, output).await?;
    if let Some(code) = follow::repeated(&target, run, &base, output).await? {
        return Ok(code);
    }
    let wanted = undone(&target, &base).await?;
    bring_back(global, &target, (Verb::Forward, wanted), &base, run, output).await
}

fn nothing_serves(target: &Target) -> Failure {
    Failure::new(ExitCode::NotFound, format!("nothing of {target} serves"))
        .help("`landfall rollback --to N` brings a release back all the same")
}

/// What a release really is: itself, or what it restores.
fn real(shown: &Shown) -> ReleaseNumber {
    shown.release.restores.unwrap_or(shown.release.number)
}

async fn page(target: &Target, before: Option<ReleaseNumber>) -> Result<Vec<HistoryEntry>> {
    let request = Request::History { stack: target.id.clone(), before, limit: PAGE };
    match target.ask_running(&request).await? {
        Reply::History { entries } => Ok(entries),
        _ => Err(odd()),
    }
}

/// The newest release older than the one that serves that was healthy.
async fn healthy_before(target: &Target, base: &Base) -> Result<ReleaseNumber> {
    let serving = base.serving.ok_or_else(|| nothing_serves(target))?;
    let mut before = real(&fetch(target, serving).await?);
    loop {
        let entries = page(target, Some(before)).await?;
        let healthy = entries.iter().find(|entry| {
            entry.outcome.as_ref().is_some_and(|it| it.outcome == Outcome::Succeeded)
        });
        if let Some(entry) = healthy {
            return Ok(entry.restores.unwrap_or(entry.number));
        }
        match entries.last() {
            Some(last) if last.number.0 > 1 => before = last.number,
            _ => {
                return Err(Failure::new(
                    ExitCode::NotFound,
                    format!("no release of {target} older than {before} was healthy"),
                )
                .help("`landfall history` lists them; `landfall rollback --to N` takes any"));
            }
        }
    }
}

/// What the rollbacks since the last `up` have undone and `forward` has not brought back: replayed
/// like the undo and redo of an editor.
async fn undone(target: &Target, base: &Base) -> Result<ReleaseNumber> {
    let serving = base.serving.ok_or_else(|| nothing_serves(target))?;
    let mut since_up = Vec::new();
    let mut before = Some(serving.next());
    'pages: loop {
        let entries = page(target, before).await?;
        let Some(last) = entries.last().map(|entry| entry.number) else { break };
        for entry in entries {
            let Some(outcome) = entry.outcome else { continue };
            if outcome.outcome != Outcome::Succeeded {
                continue;
            }
            let up = outcome.verb == Verb::Up;
            since_up.push((outcome.verb, entry.restores.unwrap_or(entry.number)));
            if up {
                break 'pages;
            }
        }
        if last.0 <= 1 {
            break;
        }
        before = Some(last);
    }
    let mut undone = Vec::new();
    let mut current = None;
    for (verb, release) in since_up.into_iter().rev() {
        match verb {
            Verb::Rollback => undone.extend(current.replace(release)),
            Verb::Forward => {
                undone.pop();
                current = Some(release);
            }
            Verb::Up | Verb::Down => current = Some(release),
        }
    }
    undone.pop().ok_or_else(|| {
        usage("there is no rollback to undo: the last change was an `up`, or everything was undone")
            .help("`landfall rollback --to N` brings back any release, newer ones too")
    })
}

/// A release comes back only while everything it needs is there.
async fn whole(target: &Target, wanted: ReleaseNumber, old: &Shown) -> Result<()> {
    let content = &old.release.content;
    if let Some(image) = crate::images::gone(content).await? {
        let message =
            format!("release {wanted} of {target} is not whole: {image} is gone from its registry");
        return Err(Failure::new(ExitCode::NotFound, message)
            .help("push it again, or take another release: `landfall rollback --to N`"));
    }
    let digests: Vec<_> = content.blobs().into_iter().collect();
    if digests.is_empty() {
        return Ok(());
    }
    let Reply::Missing { digests } = target.ask_running(&Request::Missing { digests }).await?
    else {
        return Err(odd());
    };
    let Some(digest) = digests.first() else { return Ok(()) };
    let message = format!(
        "release {wanted} of {target} is not whole: the artifact {} is gone",
        digest.short()
    );
    Err(Failure::new(ExitCode::NotFound, message)
        .help("`landfall history` marks such releases; `landfall rollback --to N` takes another"))
}

async fn bring_back(
    global: &Global,
    target: &Target,
    (verb, number): (Verb, ReleaseNumber),
    base: &Base,
    run: &RunArguments,
    output: &Output,
) -> Result<ExitCode> {
    let old = fetch(target, number).await?;
    whole(target, number, &old).await?;
    let (content, substitutions) = restore(&old.release, &base.certificates, now());
    let plan = make_plan(&target.id, verb, content, base)?;
    output.note(&format!("{verb} to release {number}"));
    output.note(&render::changes(&plan.changes, output));
    for it in &substitutions {
        output.note(&format!(
            "! {}: {} in place of {}, because {}",
            it.path, it.to, it.from, it.because
        ));
    }
    deploy::report(&plan, output)?;
    if let Ok(project) = Project::open(global, output)
        && project
            .resolve(&target.id, &crate::arguments::Values::default(), output)
            .is_ok_and(|it| it.confirm)
    {
        output.confirm(&format!("Bring back release {number} of {target}?"))?;
    }
    let wanted = Wanted {
        verb,
        content: plan.content,
        source: old.release.source.clone(),
        restores: Some(real(&old)),
        substitutions,
    };
    deploy::roll_out(target, wanted, base, run, output).await
}
