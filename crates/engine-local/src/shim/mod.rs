//! The tiny process that holds one run: its pipes, its log, its end.
//!
//! A shim needs nobody while it lives. It takes the lock of the run's folder, so that there is one
//! at most; it says durably that it starts before it starts, so that a run is started once at
//! most; it adopts orphans, enforces the grace of a stop and the timeout of a job, kills what the
//! main process leaves behind, and says durably how it ended.

mod exec;
mod hold;
mod log;

pub use exec::exec;
pub(crate) use log::file_name as log_file_name;

use crate::disk::{self, DiskError};
use crate::process;
use landfall_protocol::shim::{self, Exit, Spec, Started};
use std::path::Path;
use std::process::ExitCode;

/// Holds the run in this folder until its end: what `landfall shim FOLDER` does.
///
/// A run that was started before, or that another shim holds, is left alone. To be called from
/// the first thread of a process, outside any runtime: the main process dies with that thread.
#[must_use]
pub fn run(folder: &Path) -> ExitCode {
    let held = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(hold::HoldError::Setup)
        .and_then(|runtime| runtime.block_on(take_and_hold(folder)));
    match held {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("landfall shim: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn take_and_hold(folder: &Path) -> Result<(), hold::HoldError> {
    // Before anybody can know of this shim, so that a request to stop is never fatal to it.
    let signals = hold::Signals::listen()?;
    let Some((spec, started, lock)) = take(folder)? else { return Ok(()) };
    let exit = match hold::hold(folder, &spec, &started, signals).await {
        Ok(exit) => exit,
        Err(error) => failed(error.to_string()),
    };
    disk::write_record(&folder.join(shim::EXIT), &exit)?;
    drop(lock);
    Ok(())
}

/// Takes the run, unless it is or was somebody's.
fn take(folder: &Path) -> Result<Option<(Spec, Started, std::fs::File)>, DiskError> {
    let Some(lock) = disk::try_lock(&folder.join(shim::LOCK))? else { return Ok(None) };
    if disk::read_record::<Started>(&folder.join(shim::STARTED))?.is_some() {
        return Ok(None);
    }
    let Some(spec) = disk::read_record::<Spec>(&folder.join(shim::SPEC))? else { return Ok(None) };
    // A session of its own: the terminal and the signals of whoever started the agent are not ours.
    let _ = rustix::process::setsid();
    let started = Started {
        version: shim::VERSION,
        shim: process::identify(std::process::id(), &spec.boot),
        at: disk::now(),
    };
    disk::write_record(&folder.join(shim::STARTED), &started)?;
    Ok(Some((spec, started, lock)))
}

/// The record of a run that could not be started.
pub(crate) fn failed(why: String) -> Exit {
    Exit {
        version: shim::VERSION,
        code: None,
        signal: None,
        at: disk::now(),
        ran: landfall_model::Millis(0),
        stopped: false,
        timed_out: false,
        out_of_memory: None,
        lost_bytes: 0,
        failure: Some(why),
    }
}
