//! The landfall program.
//!
//! It reads the file, plans, packs, signs and asks the agent; and, under hidden names, it is the
//! agent, the edge and the shim themselves, so that one binary is all there is to install.

mod arguments;
mod commands;
mod deploy;
mod failure;
mod output;
mod project;
mod render;
mod signals;

use arguments::Arguments;
use clap::Parser;
use landfall_model::ExitCode;
use output::Output;

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
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

fn exit(code: ExitCode) -> std::process::ExitCode {
    std::process::ExitCode::from(code.code())
}
