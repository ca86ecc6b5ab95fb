//! `landfall up`: plan, seal, roll out.

use crate::arguments::{Global, UpArguments};
use crate::deploy::{self, Looking, Prepared, Wanted};
use crate::failure::{Failure, Result, file, usage};
use crate::follow;
use crate::output::Output;
use crate::project::Project;
use crate::render;
use crate::target::{Target, odd};
use landfall_model::{CertificateSource, ExitCode, Outcome, Summary, Verb};
use landfall_plan::{PLAN_FORMAT, Plan, changes};
use landfall_protocol::agent::{Base, Reply, Request};
use std::path::{Path, PathBuf};

/// How many releases are searched for one with the same content.
const REMEMBERED: usize = 20;
/// How many of them in a cluster, where each is a request or two.
const REMEMBERED_FAR: usize = 5;

pub async fn run(global: &Global, up: &UpArguments, output: &Output) -> Result<ExitCode> {
    if let Some(path) = &up.plan {
        return planned(global, up, path, output).await;
    }
    let project = Project::open(global, output)?;
    let target = project.target(&project.stack(up.stack.stack.as_deref())?);
    let target = target.taking_ownership(up.run.take_ownership);
    if up.run.idempotency_key.is_some()
        && let Some(code) =
            follow::repeated(&target, &up.run, &deploy::base(output, &target).await?, output)
                .await?
    {
        return Ok(code);
    }
    let looking = Looking { issue: !up.expect_no_changes, live: false };
    let prepared = deploy::prepare(&project, &target, &up.values, looking, output).await?;
    if let Some(code) = in_progress(&target, &prepared.plan, &prepared.base, output).await? {
        return Ok(code);
    }
    let prepared = if follow::finish_what_was_left(&target, &prepared.base, output).await? {
        deploy::prepare(&project, &target, &up.values, looking, output).await?
    } else {
        prepared
    };
    let Prepared { plan, base, packed, confirm } = &prepared;
    deploy::report(plan, output)?;
    let write_again = target.is_driven_here() && (up.again || up.run.take_ownership);
    if plan.changes.is_empty() && base.serving.is_some() && !write_again {
        return Ok(unchanged(base, output));
    }
    output.note(&render::plan(plan, output));
    if up.expect_no_changes {
        let summary = Summary {
            message: Some("there are changes, and none were expected".into()),
            ..Summary::new(ExitCode::Changes, base.serving)
        };
        output.summary(&summary, || render::summary(&summary, output));
        return Ok(ExitCode::Changes);
    }
    if !up.again {
        refuse_failed(&target, plan, output).await?;
    }
    if *confirm {
        output.confirm(&format!("Change {target}?"))?;
    }
    deploy::send(&target, packed, output).await?;
    let wanted = Wanted {
        verb: Verb::Up,
        content: plan.content.clone(),
        source: deploy::source(&project.folder).await,
        restores: None,
        substitutions: Vec::new(),
    };
    let code = deploy::roll_out(&target, wanted, base, &up.run, output).await?;
    if code == ExitCode::Done && !output.json() {
        next_steps(&target, plan, output).await;
    }
    Ok(code)
}

/// What is being brought about is just this: join it.
async fn in_progress(
    target: &Target,
    plan: &Plan,
    base: &Base,
    output: &Output,
) -> Result<Option<ExitCode>> {
    let Some(run) = &base.run else { return Ok(None) };
    let Some(number) = run.to else { return Ok(None) };
    let request = Request::Show { stack: target.id.clone(), number };
    let Reply::Release { release, .. } = target.ask(output, &request).await? else {
        return Err(odd());
    };
    let release: landfall_model::Release = serde_json::from_str(&release)
        .map_err(|error| crate::failure::unexpected("read the release in progress", &error))?;
    if !changes(Some(&release.content), Some(&plan.content)).is_empty() {
        return Ok(None);
    }
    output.note(&format!("· joining the {} in progress", run.verb));
    let attach = Request::Attach { stack: target.id.clone() };
    follow::follow(target, &attach, output).await.map(Some)
}

fn unchanged(base: &Base, output: &Output) -> ExitCode {
    let summary = Summary {
        message: Some("nothing to do: it serves just this".into()),
        ..Summary::new(ExitCode::Done, base.serving)
    };
    output.summary(&summary, || render::summary(&summary, output));
    ExitCode::Done
}

/// The same content as a release that failed or was rolled back wants to be asked for again.
async fn refuse_failed(target: &Target, plan: &Plan, output: &Output) -> Result<()> {
    if plan.head.is_none() {
        return Ok(());
    }
    let limit = if target.is_driven_here() { REMEMBERED_FAR } else { REMEMBERED };
    let request = Request::History { stack: target.id.clone(), before: None, limit };
    let entries = match target.ask(output, &request).await {
        Ok(Reply::History { entries }) => entries,
        Ok(_) => return Err(odd()),
        // An old release that is damaged does not keep a new one from coming.
        Err(failure) if failure.exit == ExitCode::Integrity => {
            output.note(&format!("! cannot look whether this failed before: {}", failure.message));
            return Ok(());
        }
        Err(failure) => return Err(failure),
    };
    for entry in entries {
        let Some(outcome) = &entry.outcome else { continue };
        let back = outcome.verb == Verb::Rollback && outcome.outcome == Outcome::Succeeded;
        let suspect = match (back, outcome.from) {
            (true, Some(from)) => from,
            _ if outcome.outcome != Outcome::Succeeded && outcome.outcome != Outcome::Cancelled => {
                entry.number
            }
            _ => continue,
        };
        let request = Request::Show { stack: target.id.clone(), number: suspect };
        let Ok(Reply::Release { release, .. }) = target.ask(output, &request).await else {
            continue;
        };
        let Ok(release) = serde_json::from_str::<landfall_model::Release>(&release) else {
            continue;
        };
        if changes(Some(&release.content), Some(&plan.content)).is_empty() {
            let what = if back { "was rolled back" } else { "failed" };
            return Err(usage(format!("this is release {suspect} again, which {what}"))
                .help("`landfall up --again` tries it once more"));
        }
    }
    Ok(())
}

/// Applies a saved plan, exactly, or says what moved since it was made.
async fn planned(
    global: &Global,
    up: &UpArguments,
    path: &Path,
    output: &Output,
) -> Result<ExitCode> {
    let text = std::fs::read(path).map_err(|error| file("read", path, &error))?;
    let plan: Plan = serde_json::from_slice(&text)
        .map_err(|error| usage(format!("{} is no saved plan: {error}", path.display())))?;
    if plan.format > PLAN_FORMAT {
        return Err(usage(format!("{} was saved by a newer landfall", path.display())));
    }
    if let Some(named) = &up.stack.stack
        && *named != plan.stack.stack.as_str()
    {
        return Err(usage(format!("the plan is for {}, not for {named}", plan.stack)));
    }
    let project = Project::open_quietly(global);
    let target = match &project {
        Some(project) if project.stacks().contains(&plan.stack) => project.target(&plan.stack),
        _ => Target::host(plan.stack.clone()),
    };
    let base = deploy::base(output, &target).await?;
    if let Some(code) = follow::repeated(&target, &up.run, &base, output).await? {
        return Ok(code);
    }
    moved(&plan, &base)?;
    if plan.changes.is_empty() && base.serving.is_some() {
        return Ok(unchanged(&base, output));
    }
    deploy::report(&plan, output)?;
    let folder = match project {
        Some(project) => {
            if project.resolve(&plan.stack, &up.values, output).is_ok_and(|it| it.confirm) {
                output.confirm(&format!("Change {}?", plan.stack))?;
            }
            project.folder
        }
        None => PathBuf::from("."),
    };
    let wanted = Wanted {
        verb: plan.verb,
        content: plan.content.clone(),
        source: deploy::source(&folder).await,
        restores: None,
        substitutions: Vec::new(),
    };
    let code = deploy::roll_out(&target, wanted, &base, &up.run, output).await?;
    if code == ExitCode::Done && !output.json() {
        next_steps(&target, &plan, output).await;
    }
    Ok(code)
}

fn moved(plan: &Plan, base: &Base) -> Result<()> {
    let number = |head: Option<(landfall_model::ReleaseNumber, landfall_model::Digest)>| {
        head.map_or_else(
            || "none".to_owned(),
            |(number, digest)| format!("{number} ({})", digest.short()),
        )
    };
    let what = if plan.head != base.head {
        format!("the newest release was {} and is {} now", number(plan.head), number(base.head))
    } else if plan.serving != base.serving {
        let words = |it: Option<landfall_model::ReleaseNumber>| {
            it.map_or_else(|| "nothing".to_owned(), |number| format!("release {number}"))
        };
        format!("{} served and {} does now", words(plan.serving), words(base.serving))
    } else {
        return Ok(());
    };
    Err(Failure::new(ExitCode::Stale, format!("the plan is stale: {what}"))
        .help("plan again with `landfall plan -o`"))
}

/// Where it is, and what to try next.
async fn next_steps(target: &Target, plan: &Plan, output: &Output) {
    let request = Request::Status { stack: Some(plan.stack.clone()) };
    let Ok(Reply::Status { stacks }) = target.ask(output, &request).await else { return };
    let Some(status) = stacks.first() else { return };
    let mut urls: Vec<&str> = status.listeners.iter().filter_map(|it| it.url.as_deref()).collect();
    urls.sort_by_key(|url| !url.starts_with("https:"));
    for url in urls {
        output.note(&format!("  {url}"));
    }
    let local = |it: &landfall_model::Certificate| it.source == CertificateSource::LocalCa;
    if plan.serving.is_none() {
        if plan.content.certificates.values().any(local) {
            output.note("  `landfall cert trust` says how a browser trusts it");
        }
        output.note("  next: `landfall status`, `landfall logs -f`; change something, then `landfall plan` and `landfall up`");
    } else {
        output.note("  next: `landfall status`, `landfall logs -f`; `landfall rollback` goes back");
    }
}
