//! The landfall program.
//!
//! It reads the file, plans, packs, signs and asks the agent; and, under hidden names, it is the
//! agent, the edge and the shim themselves, so that one binary is all there is to install.

mod acm;
mod arguments;
mod certificates;
mod commands;
mod deploy;
mod failure;
mod follow;
mod images;
mod output;
mod project;
mod render;
mod signals;
mod target;

use arguments::Arguments;
use clap::Parser;
use landfall_model::ExitCode;
use output::Output;

fn main() -> std::process::ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return not_understood(&error),
    };
    if let Some(code) = commands::hidden(&arguments.command) {
        return code;
    }
    let output = Output::new(&arguments.global);
    let code = match commands::run(arguments, &output) {
        Ok(code) => code,
        Err(failure) => {
            output.failure(&failure);
            failure.exit
        }
    };
    exit(code)
}

/// Help and version are answers; everything else is a usage error, which those who asked for JSON
/// read as a summary too.
fn not_understood(error: &clap::Error) -> std::process::ExitCode {
    let _ = error.print();
    if !error.use_stderr() {
        return exit(ExitCode::Done);
    }
    let output = Output::before_parsing();
    if output.json() {
        let rendered = error.render().to_string();
        let first = rendered.lines().next().unwrap_or_default();
        output.failure(&failure::usage(first.trim_start_matches("error: ")));
    }
    exit(ExitCode::Usage)
}

fn exit(code: ExitCode) -> std::process::ExitCode {
    std::process::ExitCode::from(code.code())
}
