//! `landfall init`: a landfall.yaml for the program in a folder.

use crate::failure::{Failure, Result, file, usage};
use crate::output::Output;
use crate::project::FILE;
use landfall_config::init::{DiskFolder, propose};
use landfall_model::ExitCode;
use std::io::Write;
use std::path::Path;

pub fn run(folder: &Path, output: &Output) -> Result<ExitCode> {
    let target = folder.join(FILE);
    if target.exists() {
        return Err(usage(format!(
            "{} is there already, and is never overwritten",
            target.display()
        ))
        .help("edit it, or move it away first"));
    }
    if !folder.is_dir() {
        return Err(usage(format!("{} is no folder", folder.display())));
    }
    let proposal = propose(&DiskFolder::new(folder));
    let mut created = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&target)
        .map_err(|error| file("write", &target, &error))?;
    created
        .write_all(proposal.yaml.as_bytes())
        .and_then(|()| created.sync_all())
        .map_err(|error| file("write", &target, &error))?;
    output.note(&format!("wrote {}", target.display()));
    for note in &proposal.notes {
        output.note(&format!("· {note}"));
    }
    let next = "next: look through it, then `landfall check` and `landfall up`";
    output.answer("init", &serde_json::json!({ "file": target, "notes": proposal.notes }), || {
        next.into()
    });
    output.done(ExitCode::Done);
    Ok::<_, Failure>(ExitCode::Done)
}
