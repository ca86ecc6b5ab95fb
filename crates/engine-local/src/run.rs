//! The outside of a shim: starts it for a run's folder, finds it again, waits for its end, and
//! leaves nothing behind. Everything it does can be interrupted at any instant and done again.

use crate::disk::{self, DiskError};
use crate::flag::raised;
use crate::host::Host;
use crate::process::{self, Family};
use crate::{cgroup, workplace};
use landfall_protocol::shim::{self, Exit, Identity, Main, Spec, Started};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::time::Instant;

/// How often files are looked at while a shim starts.
const LOOK: Duration = Duration::from_millis(4);
/// How long a shim may take to take its run.
const TAKE: Duration = Duration::from_secs(20);
/// How much longer than the grace a shim may take to end what it holds.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long killing what is left may take.
const SWEEP: Duration = Duration::from_secs(10);
/// The file that says that nothing of the run is left.
const BURIED: &str = "buried";

/// Why a run could not be held.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("cannot start `{program} {verb}`: {source}")]
    Shim { program: String, verb: &'static str, source: std::io::Error },
    #[error("its shim ended with {0} before it started anything")]
    Untaken(std::process::ExitStatus),
    #[error("its shim did not start within {} s", TAKE.as_secs())]
    Late,
}

/// The state of a run's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RunState {
    /// Nobody has started it.
    New,
    /// A shim holds it.
    Held(Identity),
    /// Its shim died and said nothing.
    Lost,
    /// It ended.
    Over(Exit),
}

/// One run.
#[derive(Clone)]
pub(crate) struct Run {
    pub host: Arc<Host>,
    pub folder: PathBuf,
    pub spec: Arc<Spec>,
}

impl Run {
    /// Whether a folder's run was buried.
    pub fn is_buried(folder: &Path) -> bool {
        folder.join(BURIED).exists()
    }

    /// What the folder says.
    pub fn state(&self) -> Result<RunState, DiskError> {
        if let Some(exit) = disk::read_record::<Exit>(&self.folder.join(shim::EXIT))? {
            return Ok(RunState::Over(exit));
        }
        let Some(started) = disk::read_record::<Started>(&self.folder.join(shim::STARTED))? else {
            return Ok(RunState::New);
        };
        Ok(match started.shim {
            Some(identity) if process::is_alive(&identity, &self.host.boot) => {
                RunState::Held(identity)
            }
            // It may have written its last word between the two looks.
            _ => match disk::read_record::<Exit>(&self.folder.join(shim::EXIT))? {
                Some(exit) => RunState::Over(exit),
                None => RunState::Lost,
            },
        })
    }

    /// The main process, once there is one.
    pub fn main(&self) -> Option<Identity> {
        let main = disk::read_record::<Main>(&self.folder.join(shim::MAIN)).ok()??;
        Some(main.process)
    }

    /// How its processes are recognised.
    pub fn family(&self, shim: Option<Identity>) -> Family {
        Family {
            id: self.spec.id.clone(),
            main: self.main().filter(|main| main.boot == self.host.boot),
            shim,
            cgroups: self.spec.cgroups.iter().map(|group| group.folder.clone()).collect(),
        }
    }

    /// Makes sure that a shim has taken the run: starts one when none has. Any number of shims may
    /// be started for a run; one at most holds it, once at most.
    pub async fn ensure_taken(&self) -> Result<RunState, RunError> {
        let state = self.state()?;
        if state != RunState::New {
            return Ok(state);
        }
        let mut child = self.start_shim()?;
        let deadline = Instant::now() + TAKE;
        loop {
            let ended = child.try_wait().ok().flatten();
            let state = self.state()?;
            if state != RunState::New {
                // The runtime reaps it whenever it ends.
                return Ok(state);
            }
            if let Some(status) = ended {
                // Another shim may hold the lock and be about to say so.
                if disk::try_lock(&self.folder.join(shim::LOCK))?.is_some() {
                    return Err(RunError::Untaken(status));
                }
            }
            if Instant::now() > deadline {
                return Err(RunError::Late);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn start_shim(&self) -> Result<tokio::process::Child, RunError> {
        let failed = |source| RunError::Shim {
            program: self.host.program.display().to_string(),
            verb: shim::VERB_SHIM,
            source,
        };
        let complaints = std::fs::File::create(self.folder.join("shim.err")).map_err(failed)?;
        tokio::process::Command::new(&self.host.program)
            .arg(shim::VERB_SHIM)
            .arg(&self.folder)
            .env_clear()
            .env(shim::MARKER, &self.spec.id)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(complaints)
            .spawn()
            .map_err(failed)
    }

    /// Makes sure that no shim ever starts the run.
    pub async fn give_up(&self, why: &str) -> Result<RunState, RunError> {
        let deadline = Instant::now() + TAKE;
        loop {
            let state = self.state()?;
            if state != RunState::New {
                return Ok(state);
            }
            if let Some(lock) = disk::try_lock(&self.folder.join(shim::LOCK))? {
                // Looked at again under the lock: a shim may have come and gone.
                if self.state()? == RunState::New {
                    let started = Started { version: shim::VERSION, shim: None, at: disk::now() };
                    disk::write_record(&self.folder.join(shim::STARTED), &started)?;
                    let exit = crate::shim::failed(why.to_owned());
                    disk::write_record(&self.folder.join(shim::EXIT), &exit)?;
                }
                drop(lock);
                continue;
            }
            if Instant::now() > deadline {
                return Err(RunError::Late);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until the shim has ended; asks it to stop when `stop` becomes true, and ends it when
    /// it does not obey.
    pub async fn wait(&self, shim: &Identity, stop: &mut watch::Receiver<bool>) {
        let handle = process::open(shim, &self.host.boot);
        let end = ended(handle, shim, &self.host.boot);
        tokio::pin!(end);
        tokio::select! {
            () = &mut end => return,
            () = raised(stop) => {}
        }
        if let Err(error) = process::send(shim, &self.host.boot, Signal::TERM) {
            tracing::warn!(id = %self.spec.id, %error, "cannot ask a shim to stop");
        }
        let limit = self.spec.stop.grace.duration() + PATIENCE;
        if tokio::time::timeout(limit, &mut end).await.is_ok() {
            return;
        }
        tracing::warn!(id = %self.spec.id, "a shim did not end, and is killed");
        if let Err(error) = process::send(shim, &self.host.boot, Signal::KILL) {
            tracing::warn!(id = %self.spec.id, %error, "cannot kill a shim");
        }
        let _ = tokio::time::timeout(PATIENCE, end).await;
    }

    /// Kills whatever is left of a run whose shim has ended, and removes what only a living run
    /// needs. Says how it ended, if anybody knows.
    pub async fn bury(&self) -> Option<Exit> {
        let run = self.clone();
        let buried = tokio::task::spawn_blocking(move || {
            let left = process::sweep(&run.family(None), &BTreeSet::new(), SWEEP);
            if left > 0 {
                tracing::error!(id = %run.spec.id, left, "processes could not be killed");
            }
            cgroup::remove(&run.spec.cgroups);
            workplace::clear(&run.folder);
            let exit = disk::read_record::<Exit>(&run.folder.join(shim::EXIT)).ok().flatten();
            run.close();
            exit
        });
        buried.await.ok().flatten()
    }

    /// What stays says who it was and how it ended, and holds no secret.
    fn close(&self) {
        let mut spec = Spec::clone(&self.spec);
        spec.env.clear();
        let path = self.folder.join(shim::SPEC);
        if let Err(error) = disk::write_passing_record(&path, &spec) {
            tracing::warn!(%error, "the record of an ended run stays as it was");
        }
        if let Err(error) = std::fs::write(self.folder.join(BURIED), "") {
            tracing::warn!(id = %self.spec.id, %error, "an ended run could not be marked");
        }
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe for types that may change their descriptor, which an owned one does not"
)]
fn watch_handle(handle: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(handle, Interest::READABLE)
}

/// Resolves when a process has ended.
pub(crate) async fn ended(
    handle: std::io::Result<Option<OwnedFd>>,
    identity: &Identity,
    boot: &str,
) {
    let watched = match handle {
        Ok(None) => return,
        Ok(Some(handle)) => watch_handle(handle),
        Err(error) => Err(error),
    };
    match watched {
        // A handle on a process becomes readable when the process ends.
        Ok(watched) if watched.readable().await.is_ok() => {}
        _ => {
            while process::is_alive(identity, boot) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
