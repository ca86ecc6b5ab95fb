//! Jobs: each is started at most once for its name, for ever.
//!
//! A job's folder is named by the job. Its shim says durably that it starts before it starts; so
//! a folder that says so and has neither a living shim nor an end is a job of which nobody knows
//! the outcome, and it is never started again.

use crate::disk;
use crate::flag::raised;
use crate::host::{Host, Offer, StackFolder};
use crate::log;
use crate::run::{Run, RunState};
use crate::workplace;
use landfall_model::{Job, JobId, JobState, Millis, StackId, Stop, Timestamp};
use landfall_protocol::shim::{self, Exit, Purpose, Spec, Started};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How long records of jobs are kept, in milliseconds: 90 days.
const KEPT: Millis = Millis(90 * 86_400_000);
/// How long a job that is told to stop may take before it is killed, at most.
const GRACE: Millis = Millis(5000);
/// How much of a job's output is reported.
const OUTPUT_LINES: usize = 40;
/// The same in bytes.
const OUTPUT_BYTES: usize = 8 << 10;
/// The longest wait before a job that could not be prepared is prepared again.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The name of a job's folder: safe, and different for different jobs.
fn folder_name(job: &JobId) -> String {
    use std::fmt::Write as _;
    let mut name = String::new();
    for byte in job.0.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "%{byte:02x}");
        }
    }
    if name.len() > 120 {
        name.truncate(80);
        let _ = write!(name, "+{:032x}", fingerprint(job.0.as_bytes()));
    }
    name
}

/// FNV-1a with 128 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>): names, not security.
fn fingerprint(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash, byte| {
        (hash ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    })
}

/// The folder of a job.
pub(crate) fn folder(stack: &StackFolder, job: &JobId) -> PathBuf {
    stack.jobs().join(folder_name(job))
}

/// What is known of a job without asking anybody: for jobs that are not running.
pub(crate) fn outcome(folder: &Path, exit: Option<&Exit>) -> JobState {
    let Some(exit) = exit else { return JobState::Unknown };
    let output = log::last_words(&folder.join(shim::LOG), OUTPUT_LINES, OUTPUT_BYTES);
    if exit.timed_out {
        return JobState::TimedOut { output };
    }
    let output = match &exit.failure {
        Some(why) => {
            format!("{output}{}landfall: {why}", if output.is_empty() { "" } else { "\n" })
        }
        None => output,
    };
    JobState::Exited { code: exit.shell_code(), output }
}

/// Jobs in the folder that may still run, with their records.
pub(crate) fn unfinished(stack: &StackFolder) -> Vec<Arc<Spec>> {
    folders(stack)
        .into_iter()
        .filter(|folder| !Run::is_buried(folder))
        .filter_map(|folder| match disk::read_record::<Spec>(&folder.join(shim::SPEC)) {
            Ok(spec) => spec.map(Arc::new),
            Err(error) => {
                tracing::warn!(%error, "the record of a job cannot be read");
                None
            }
        })
        .collect()
}

fn folders(stack: &StackFolder) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(stack.jobs()) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).collect()
}

/// Removes records of jobs that ended long ago.
pub(crate) fn prune(stack: &StackFolder, now: Timestamp) {
    for folder in folders(stack) {
        let started = disk::read_record::<Started>(&folder.join(shim::STARTED)).ok().flatten();
        let old = started.is_some_and(|started| now.since(started.at) > KEPT);
        if old
            && Run::is_buried(&folder)
            && let Err(error) = disk::remove_folder(&folder)
        {
            tracing::warn!(%error, "the record of an old job stays");
        }
    }
}

/// What happens to a job.
#[derive(Debug)]
pub(crate) enum JobNews {
    /// It could not be prepared yet.
    Trouble(String),
    /// It runs.
    Running,
    /// Nothing is left of it.
    Over(JobState),
}

/// Holds one job.
pub(crate) struct JobKeeper {
    pub host: Arc<Host>,
    pub folder: StackFolder,
    pub stack: StackId,
    pub id: JobId,
    /// What to run, when it is wanted; none for a job of an earlier life.
    pub job: Option<Box<Job>>,
    pub materials: Offer,
    pub stop: watch::Receiver<bool>,
    pub news: mpsc::UnboundedSender<(JobId, JobNews)>,
}

impl JobKeeper {
    fn tell(&self, news: JobNews) {
        let _ = self.news.send((self.id.clone(), news));
    }

    /// Brings it to its end.
    pub async fn keep(self) {
        let folder = folder(&self.folder, &self.id);
        if Run::is_buried(&folder) {
            let exit = disk::read_record::<Exit>(&folder.join(shim::EXIT)).ok().flatten();
            return self.tell(JobNews::Over(outcome(&folder, exit.as_ref())));
        }
        let Some(spec) = self.prepare(&folder).await else {
            return self.tell(JobNews::Over(JobState::Unknown));
        };
        let run = Run { host: Arc::clone(&self.host), folder: folder.clone(), spec };
        let mut wait = Duration::from_millis(200);
        loop {
            match self.hold(&run).await {
                Ok(()) => break,
                Err(error) => self.tell(JobNews::Trouble(format!("job {}: {error}", self.id))),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        let exit = run.bury().await;
        self.tell(JobNews::Over(outcome(&folder, exit.as_ref())));
    }

    async fn hold(&self, run: &Run) -> Result<(), crate::run::RunError> {
        let mut stop = self.stop.clone();
        let wanted = self.job.is_some() && !*stop.borrow();
        let mut state = if wanted {
            run.ensure_taken().await?
        } else {
            run.give_up("it was not wanted any more").await?
        };
        while let RunState::Held(shim) = &state {
            self.tell(JobNews::Running);
            run.wait(shim, &mut stop).await;
            state = run.state()?;
        }
        Ok(())
    }

    /// The record of the job: the one that is there, or a new one. None when it is not wanted.
    async fn prepare(&self, folder: &Path) -> Option<Arc<Spec>> {
        let mut stop = self.stop.clone();
        let mut wait = Duration::from_millis(200);
        loop {
            let trouble = match disk::read_record::<Spec>(&folder.join(shim::SPEC)) {
                Ok(Some(spec)) => return Some(Arc::new(spec)),
                // Started, and what it was is gone: never again.
                Ok(None) if folder.join(shim::STARTED).exists() => return None,
                Ok(None) => {
                    let job = self.job.as_ref()?;
                    tokio::select! {
                        made = self.make(job, folder) => match made {
                            Ok(spec) => return Some(spec),
                            Err(why) => why,
                        },
                        () = raised(&mut stop) => return None,
                    }
                }
                Err(error) => error.to_string(),
            };
            self.tell(JobNews::Trouble(format!("job {}: {trouble}", self.id)));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = raised(&mut stop) => return None,
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn make(&self, job: &Job, folder: &Path) -> Result<Arc<Spec>, String> {
        let digest = &crate::instance::digest(&job.service)?;
        let got = self.host.artifacts.get(digest, self.materials.newest()).await;
        let artifact = got.map_err(|error| error.to_string())?;
        self.place(job, folder, &artifact).map_err(|error| error.to_string()).map(Arc::new)
    }

    fn place(&self, job: &Job, folder: &Path, artifact: &Path) -> Result<Spec, disk::DiskError> {
        let id = format!("job-{}-{}", job.group.service, disk::random_name()?);
        self.host.folder(folder)?;
        let user = self.host.users.of(&self.stack, &job.group.service)?;
        let workplace = workplace::make(
            &self.host,
            &workplace::Request {
                stack: &self.stack,
                group: &job.group,
                service: &job.service,
                run: folder,
                id: &id,
                artifact,
                address: None,
                user,
            },
        )?;
        let cgroups = self.host.cgroups.plan(&id, &job.service.resources);
        let spec = Spec {
            version: shim::VERSION,
            id,
            stack: self.stack.clone(),
            group: job.group.clone(),
            purpose: Purpose::Job { job: self.id.clone(), timeout: job.timeout },
            command: job.command.clone(),
            env: workplace.env,
            folder: workplace.folder,
            artifact: artifact.to_owned(),
            address: None,
            user,
            cgroups,
            stop: Stop { grace: job.service.stop.grace.min(GRACE), ..job.service.stop.clone() },
            created: disk::now(),
            boot: self.host.boot.clone(),
            log_size: self.host.log_size,
            log_files: self.host.log_files,
        };
        disk::write_record(&folder.join(shim::SPEC), &spec)?;
        // The folder's own name too: the promise to start once hangs on it.
        disk::sync_folder(&self.folder.jobs())?;
        Ok(spec)
    }
}

/// What stays of a job that nobody asks about any more: that it was, and how it ended.
pub(crate) fn shrink(folder: &Path) {
    if let Err(error) = disk::remove_folder(&folder.join(shim::LOG)) {
        tracing::warn!(%error, "the log of an old job stays");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_jobs_are_safe_and_told_apart() {
        let name = |text: &str| folder_name(&JobId(text.to_owned()));
        assert_eq!(name("12/migrate.1"), "12%2fmigrate%2e1");
        assert_ne!(name("a/b"), name("a%2fb"));
        let long = "x".repeat(300);
        assert!(name(&long).len() <= 120);
        assert_ne!(name(&long), name(&"x".repeat(301)));
    }
}
