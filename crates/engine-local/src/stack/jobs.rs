//! Jobs: which are to be started, which are to be stopped.

use super::Stack;
use crate::job::{self, JobKeeper, JobNews};
use crate::{disk, run::Run};
use landfall_model::{Job, JobId, JobState};
use landfall_protocol::shim::Purpose;
use std::sync::Arc;
use tokio::sync::watch;

/// A job in memory.
pub(crate) struct JobEntry {
    pub state: JobState,
    pub trouble: Option<String>,
    over: bool,
    stop: watch::Sender<bool>,
}

impl JobEntry {
    /// Whether something of it may be left.
    pub const fn runs(&self) -> bool {
        !self.over
    }
}

impl Stack {
    /// Takes over jobs of an earlier life; those that are still wanted are found again when they
    /// are started.
    pub(super) fn adopt_jobs(&mut self) {
        job::prune(&self.folder, disk::now());
        for spec in job::unfinished(&self.folder) {
            if let Purpose::Job { job, .. } = &spec.purpose
                && !self.desired.jobs.contains_key(job)
            {
                self.spawn_job(job.clone(), None);
            }
        }
    }

    /// Starts jobs that are wanted, and stops those that are not.
    pub(super) fn start_jobs(&mut self) {
        let missing: Vec<(JobId, Job)> = self
            .desired
            .jobs
            .iter()
            .filter(|(id, _)| !self.jobs.contains_key(*id))
            .map(|(id, job)| (id.clone(), job.clone()))
            .collect();
        for (id, job) in missing {
            self.spawn_job(id, Some(Box::new(job)));
        }
        let wanted = &self.desired.jobs;
        let folder = &self.folder;
        self.jobs.retain(|id, entry| {
            if wanted.contains_key(id) {
                return true;
            }
            if entry.over {
                let place = job::folder(folder, id);
                if Run::is_buried(&place) {
                    job::shrink(&place);
                }
                return false;
            }
            entry.stop.send_replace(true);
            true
        });
    }

    fn spawn_job(&mut self, id: JobId, job: Option<Box<Job>>) {
        let (stop, stopped) = watch::channel(false);
        let keeper = JobKeeper {
            host: Arc::clone(&self.host),
            folder: self.folder.clone(),
            stack: self.id.clone(),
            id: id.clone(),
            job,
            materials: self.materials.clone(),
            stop: stopped,
            news: self.job_news.clone(),
        };
        self.tasks.spawn(keeper.keep());
        let entry = JobEntry { state: JobState::Running, trouble: None, over: false, stop };
        self.jobs.insert(id, entry);
    }

    /// Takes note of what happened to a job.
    pub(super) fn hear_of_job(&mut self, id: &JobId, news: JobNews) {
        let Some(entry) = self.jobs.get_mut(id) else { return };
        match news {
            JobNews::Trouble(why) => entry.trouble = Some(why),
            JobNews::Running => entry.trouble = None,
            JobNews::Over(state) => {
                entry.trouble = None;
                entry.state = state;
                entry.over = true;
            }
        }
    }
}
