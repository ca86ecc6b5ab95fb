//! `landfall plan`: what `up` would change, and why.

use crate::arguments::{Global, StackArgument, Values};
use crate::deploy::{self, Looking};
use crate::failure::{Result, file, unexpected};
use crate::output::Output;
use crate::project::Project;
use crate::render;
use landfall_model::ExitCode;
use landfall_plan::Plan;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What is wanted of a plan.
pub struct Wanted {
    /// Where it is saved.
    pub out: Option<PathBuf>,
    /// Terraform's exit codes: 0, 1, 2.
    pub detailed_exitcode: bool,
    /// Changes are an error.
    pub expect_no_changes: bool,
}

pub async fn run(
    global: &Global,
    stack: &StackArgument,
    values: &Values,
    wanted: &Wanted,
    output: &Output,
) -> Result<ExitCode> {
    match planned(global, stack, values, wanted, output).await {
        Ok(changed) => {
            let code = match (changed, wanted) {
                // Terraform's 2 is our usage error; the option asks for Terraform's meaning.
                (true, Wanted { detailed_exitcode: true, .. }) => ExitCode::Usage,
                (true, Wanted { expect_no_changes: true, .. }) => ExitCode::Changes,
                _ => ExitCode::Done,
            };
            output.done(code);
            Ok(code)
        }
        Err(mut failure) => {
            if wanted.detailed_exitcode {
                failure.exit = ExitCode::Unexpected;
            }
            Err(failure)
        }
    }
}

async fn planned(
    global: &Global,
    stack: &StackArgument,
    values: &Values,
    wanted: &Wanted,
    output: &Output,
) -> Result<bool> {
    let project = Project::open(global, output)?;
    let target = project.target(&project.stack(stack.stack.as_deref())?);
    // A plan that is kept must be whole, so what `up` would issue is issued now.
    let looking = Looking { issue: wanted.out.is_some(), live: true };
    let prepared = deploy::prepare(&project, &target, values, looking, output).await?;
    let plan = &prepared.plan;
    output.answer("plan", plan, || render::plan(plan, output));
    deploy::report(plan, output)?;
    if let Some(path) = &wanted.out {
        deploy::send(&target, &prepared.packed, output).await?;
        save(plan, path)?;
        output.note(&format!(
            "saved; `landfall up {} --plan {}` applies just this",
            target.id.stack,
            path.display()
        ));
    }
    Ok(!plan.changes.is_empty())
}

/// Writes a plan; it may hold what the environment of a service holds, so only the owner reads it.
fn save(plan: &Plan, path: &Path) -> Result<()> {
    let text =
        serde_json::to_vec_pretty(plan).map_err(|error| unexpected("write the plan", &error))?;
    let mut target = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| file("write", path, &error))?;
    target.write_all(&text).map_err(|error| file("write", path, &error))
}
