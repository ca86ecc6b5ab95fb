//! `landfall check`: everything that is wrong with the file, at once.

use crate::arguments::{Global, StackArgument, Values};
use crate::failure::Result;
use crate::output::Output;
use crate::project::Project;
use landfall_model::ExitCode;

pub fn run(
    global: &Global,
    stack: &StackArgument,
    values: &Values,
    output: &Output,
) -> Result<ExitCode> {
    let project = Project::open(global, output)?;
    let stacks = match &stack.stack {
        Some(named) => vec![project.stack(Some(named))?],
        None => project.stacks(),
    };
    for stack in &stacks {
        project.resolve(stack, values, output)?;
    }
    project.warn(output);
    let names: Vec<String> = stacks.iter().map(|it| it.stack.to_string()).collect();
    output.answer("check", &serde_json::json!({ "stacks": names }), || {
        format!("good: {}", names.join(", "))
    });
    output.done(ExitCode::Done);
    Ok(ExitCode::Done)
}
