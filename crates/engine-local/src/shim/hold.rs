//! The shim's one loop.

use super::log::{Lines, Log};
use crate::process::{self, Family};
use crate::{cgroup, disk};
use landfall_model::{Millis, Signal as StopSignal};
use landfall_protocol::shim::{self, Exit, LogKind, Main, Purpose, Spec, Started};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::signal::unix::{Signal as UnixSignal, SignalKind, signal};
use tokio::time::Instant;

/// How long pipes may stay open after everything has been killed.
const DRAIN_PIPES: Duration = Duration::from_secs(2);
/// How long killing what is left may take.
const SWEEP: Duration = Duration::from_secs(3);
/// The size that is asked for a pipe, so that bursts do not stop the application.
const PIPE_SIZE: usize = 1 << 20;

/// Why a shim could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// The main process could not be started.
    #[error("cannot start the program: {0}")]
    Start(#[source] io::Error),
    /// The shim itself could not be set up.
    #[error("cannot set up the shim: {0}")]
    Setup(#[source] io::Error),
    /// A record could not be written.
    #[error(transparent)]
    Disk(#[from] disk::DiskError),
}

/// The signals that a shim listens to.
pub struct Signals {
    children: UnixSignal,
    stop: UnixSignal,
    ignored: [UnixSignal; 2],
}

impl Signals {
    /// Listens from now on.
    pub fn listen() -> Result<Self, HoldError> {
        let listen = |kind| signal(kind).map_err(HoldError::Setup);
        Ok(Self {
            children: listen(SignalKind::child())?,
            stop: listen(SignalKind::terminate())?,
            ignored: [listen(SignalKind::interrupt())?, listen(SignalKind::hangup())?],
        })
    }
}

/// Runs it to its end.
pub async fn hold(
    folder: &Path,
    spec: &Spec,
    started: &Started,
    signals: Signals,
) -> Result<Exit, HoldError> {
    // Orphans of the run become our children, so that they are seen, killed and reaped.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|error| HoldError::Setup(error.into()))?;
    Hold::start(folder, spec, started)?.run(signals).await
}

struct Hold<'a> {
    spec: &'a Spec,
    family: Family,
    pid: Pid,
    begin: Instant,
    status: Option<WaitStatus>,
    stopped: bool,
    timed_out: bool,
    /// When whatever runs is killed: the end of a grace.
    kill_at: Option<Instant>,
    /// When a job is told to stop.
    timeout_at: Option<Instant>,
    /// When the pipes are given up.
    drain_until: Option<Instant>,
    log: Log,
    streams: [Stream; 2],
}

#[derive(Default)]
struct Stream {
    pipe: Option<OwnedFd>,
    lines: Lines,
}

impl<'a> Hold<'a> {
    fn start(folder: &Path, spec: &'a Spec, started: &Started) -> Result<Self, HoldError> {
        let log_folder = folder.join(shim::LOG);
        disk::make_folder(&log_folder, 0o700)?;
        let mut log = Log::new(&log_folder, spec.log_size, spec.log_files);
        for problem in cgroup::make(&spec.cgroups) {
            log.say(&format!("limits are not enforced: {problem}"));
        }
        let mut child = spawn(folder, spec).map_err(HoldError::Start)?;
        let begin = Instant::now();
        let main = process::identify(child.id(), &spec.boot);
        if let Some(process) = main.clone() {
            disk::write_passing_record(&folder.join(shim::MAIN), &Main { process })?;
        }
        let raw = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = raw.ok_or_else(|| HoldError::Start(io::ErrorKind::InvalidData.into()))?;
        let timeout_at = match &spec.purpose {
            Purpose::Job { timeout, .. } => Some(begin + timeout.duration()),
            Purpose::Instance { .. } => None,
        };
        let out = child.stdout.take().map(OwnedFd::from);
        let error = child.stderr.take().map(OwnedFd::from);
        Ok(Self {
            spec,
            family: Family {
                id: spec.id.clone(),
                main,
                shim: started.shim.clone(),
                cgroups: spec.cgroups.iter().map(|group| group.folder.clone()).collect(),
            },
            pid,
            begin,
            status: None,
            stopped: false,
            timed_out: false,
            kill_at: None,
            timeout_at,
            drain_until: None,
            log,
            streams: [
                Stream { pipe: out, lines: Lines::new(LogKind::Out, LogKind::OutPart) },
                Stream { pipe: error, lines: Lines::new(LogKind::Error, LogKind::ErrorPart) },
            ],
        })
    }

    async fn run(mut self, signals: Signals) -> Result<Exit, HoldError> {
        let Signals { mut children, mut stop, ignored: [mut interrupt, mut hang_up] } = signals;
        let [mut out, mut error] = std::mem::take(&mut self.streams);
        let mut out_pipe = receiver(&mut out).map_err(HoldError::Setup)?;
        let mut error_pipe = receiver(&mut error).map_err(HoldError::Setup)?;
        let mut out_bytes = vec![0_u8; LINES_AT_ONCE];
        let mut error_bytes = vec![0_u8; LINES_AT_ONCE];
        // It may have ended before the signal was listened to.
        self.reap();
        while !self.is_over(out_pipe.is_none() && error_pipe.is_none()) {
            let alarm = self.next_alarm();
            tokio::select! {
                read = read(&mut out_pipe, &mut out_bytes) => {
                    self.take(&mut out, &mut out_pipe, &read, &out_bytes);
                }
                read = read(&mut error_pipe, &mut error_bytes) => {
                    self.take(&mut error, &mut error_pipe, &read, &error_bytes);
                }
                _ = children.recv() => self.reap(),
                _ = stop.recv() => self.begin_stop(),
                _ = interrupt.recv() => {}
                _ = hang_up.recv() => {}
                () = sleep_until(alarm) => self.ring(),
            }
        }
        self.finish(&mut [out, error]);
        Ok(self.exit())
    }

    fn is_over(&self, pipes_closed: bool) -> bool {
        self.status.is_some()
            && (pipes_closed || self.drain_until.is_some_and(|until| Instant::now() >= until))
    }

    fn next_alarm(&self) -> Option<Instant> {
        if self.status.is_some() {
            return self.drain_until;
        }
        [self.kill_at, self.timeout_at].into_iter().flatten().min()
    }

    fn take(
        &mut self,
        stream: &mut Stream,
        pipe: &mut Option<Receiver>,
        read: &io::Result<usize>,
        bytes: &[u8],
    ) {
        match read {
            Ok(0) | Err(_) => *pipe = None,
            Ok(count) => {
                let mut records = Vec::with_capacity(count + 64);
                stream.lines.feed(&bytes[..*count], &mut records);
                self.log.write(&records);
            }
        }
    }

    /// Reaps everything that has ended; when the main process is among it, the rest is killed.
    fn reap(&mut self) {
        let ended_before = self.status.is_some();
        self.reap_all();
        if self.status.is_some() && !ended_before {
            let ours = BTreeSet::from([std::process::id()]);
            let left = process::sweep(&self.family, &ours, SWEEP);
            if left > 0 {
                self.log.say(&format!("{left} processes could not be killed"));
            }
            self.reap_all();
            self.drain_until = Some(Instant::now() + DRAIN_PIPES);
        }
    }

    fn reap_all(&mut self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if pid == self.pid && !status.stopped() && !status.continued() {
                self.status = Some(status);
            }
        }
    }

    fn begin_stop(&mut self) {
        if self.stopped || self.status.is_some() {
            return;
        }
        self.stopped = true;
        self.signal_group(number(self.spec.stop.signal));
        self.kill_at = Some(Instant::now() + self.spec.stop.grace.duration());
    }

    fn ring(&mut self) {
        let now = Instant::now();
        if self.status.is_some() {
            return;
        }
        if self.kill_at.is_some_and(|at| now >= at) {
            self.kill_at = Some(now + Duration::from_secs(1));
            self.signal_group(Signal::KILL);
        } else if self.timeout_at.is_some_and(|at| now >= at) {
            self.timeout_at = None;
            self.timed_out = true;
            self.log.say("took longer than it may, and is stopped");
            self.signal_group(number(self.spec.stop.signal));
            self.kill_at = Some(now + self.spec.stop.grace.duration());
        }
    }

    /// To the main process and its group. It is our child and not reaped, so the number is its own.
    fn signal_group(&self, signal: Signal) {
        if rustix::process::kill_process_group(self.pid, signal).is_err() {
            // Before it has made its own session, it has no group of its own.
            let _ = rustix::process::kill_process(self.pid, signal);
        }
    }

    fn finish(&mut self, streams: &mut [Stream; 2]) {
        let mut records = Vec::new();
        for stream in streams {
            stream.lines.finish(&mut records);
        }
        self.log.write(&records);
    }

    fn exit(&self) -> Exit {
        let status = self.status;
        Exit {
            version: shim::VERSION,
            code: status.and_then(WaitStatus::exit_status),
            signal: status.and_then(WaitStatus::terminating_signal),
            at: disk::now(),
            ran: Millis(u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX)),
            stopped: self.stopped,
            timed_out: self.timed_out,
            out_of_memory: cgroup::out_of_memory(&self.spec.cgroups),
            lost_bytes: self.log.lost,
            failure: None,
        }
    }
}

/// How many bytes are read at once.
const LINES_AT_ONCE: usize = 256 << 10;

fn spawn(folder: &Path, spec: &Spec) -> io::Result<Child> {
    // The same program even when its file was replaced by a newer one meanwhile.
    let mut command = Command::new("/proc/self/exe");
    command
        .arg(shim::VERB_EXEC)
        .arg(folder)
        .arg(std::process::id().to_string())
        .env_clear()
        .env(shim::MARKER, &spec.id)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

fn receiver(stream: &mut Stream) -> io::Result<Option<Receiver>> {
    let Some(pipe) = stream.pipe.take() else { return Ok(None) };
    let _ = rustix::pipe::fcntl_setpipe_size(&pipe, PIPE_SIZE);
    Receiver::from_owned_fd(pipe).map(Some)
}

async fn read(pipe: &mut Option<Receiver>, bytes: &mut [u8]) -> io::Result<usize> {
    match pipe {
        Some(pipe) => pipe.read(bytes).await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(alarm: Option<Instant>) {
    match alarm {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

const fn number(signal: StopSignal) -> Signal {
    match signal {
        StopSignal::Term => Signal::TERM,
        StopSignal::Int => Signal::INT,
        StopSignal::Quit => Signal::QUIT,
        StopSignal::Hup => Signal::HUP,
        StopSignal::Usr1 => Signal::USR1,
        StopSignal::Usr2 => Signal::USR2,
    }
}
