//! Between agent and shim: files in the folder of one run, so that neither needs the other alive.
//!
//! The agent writes [`SPEC`] and starts `landfall shim FOLDER`. The shim takes the lock on
//! [`LOCK`], writes [`STARTED`] before it starts anything, [`MAIN`] once the main process exists,
//! and [`EXIT`] when all is over. A folder whose [`STARTED`] exists is never started again, so
//! any number of shims may be started for it by mistake. SIGTERM to the shim asks for a stop; it
//! enforces the grace by itself.
//!
//! Log files are `log/00000001.log` and so on, ascending, never renamed. Each record is a line
//! `MILLIS KIND TEXT`: the wall clock at which it was read, [`LogKind`] as one letter, the raw text.

use landfall_model::{GroupId, Health, JobId, Millis, StackId, Stop, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The version of these files.
pub const VERSION: u16 = 1;
/// What to run: [`Spec`].
pub const SPEC: &str = "spec.json";
/// The file that a shim locks for as long as it lives.
pub const LOCK: &str = "lock";
/// Written durably before anything is started: [`Started`].
pub const STARTED: &str = "started.json";
/// The main process: [`Main`].
pub const MAIN: &str = "main.json";
/// How it ended: [`Exit`].
pub const EXIT: &str = "exit.json";
/// The folder of log files.
pub const LOG: &str = "log";
/// The hidden verb of the program that holds a run.
pub const VERB_SHIM: &str = "shim";
/// The hidden verb of the program that becomes the main process.
pub const VERB_EXEC: &str = "shim-exec";
/// The variable by which every process of a run is found in `/proc`.
pub const MARKER: &str = "LANDFALL_INSTANCE";
/// The variable that marks commands that were started beside an instance.
pub const EXEC_MARKER: &str = "LANDFALL_EXEC";

/// A process, told apart from a later one with the same number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The process id.
    pub pid: u32,
    /// Its start in clock ticks since boot (`/proc/PID/stat`, field 22).
    pub start: u64,
    /// The boot it belongs to.
    pub boot: String,
}

/// Why a run exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Purpose {
    /// An instance of a group.
    Instance {
        /// Its place in the group, from 0.
        place: u16,
        /// How often this place had to be filled again before.
        restarts: u32,
        /// How long it may finish its connections when it is taken out.
        drain: Millis,
        /// When it counts as ready.
        health: Health,
        /// Whether another release of the service may run at the same time.
        overlap: bool,
    },
    /// A job.
    Job {
        /// Its name.
        job: JobId,
        /// How long it may take.
        timeout: Millis,
    },
}

/// A control group of a run. The shim makes it, so that there is none without a record of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    /// Its folder.
    pub folder: PathBuf,
    /// Files in it and what is written to them, in this order.
    #[serde(default)]
    pub limits: Vec<(String, String)>,
}

/// Everything that a shim needs to know. It holds secrets, so it is not printable and its file
/// is readable by its owner alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The version of this record.
    pub version: u16,
    /// The name of the run, unique on the host for ever.
    pub id: String,
    /// The stack.
    pub stack: StackId,
    /// The service and release.
    pub group: GroupId,
    /// Why it exists.
    pub purpose: Purpose,
    /// The program, absolute or looked up in `PATH`, and its arguments.
    pub command: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// The working folder.
    pub folder: PathBuf,
    /// The artifact's folder.
    pub artifact: PathBuf,
    /// Where an instance listens.
    pub address: Option<SocketAddr>,
    /// The user and group id to run as; none means the agent's own.
    pub user: Option<u32>,
    /// Control groups to make and join.
    #[serde(default)]
    pub cgroups: Vec<Cgroup>,
    /// How it is stopped.
    pub stop: Stop,
    /// When the record was made.
    pub created: Timestamp,
    /// The boot it is made for.
    pub boot: String,
    /// The size at which a log file is followed by the next, in bytes.
    pub log_size: u64,
    /// How many log files are kept.
    pub log_files: u32,
}

/// Written before anything is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The version of this record.
    pub version: u16,
    /// The shim; none when the run was given up before a shim took it.
    pub shim: Option<Identity>,
    /// When.
    pub at: Timestamp,
}

/// The main process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Main {
    /// The process; it leads a session of its own.
    pub process: Identity,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The version of this record.
    pub version: u16,
    /// The exit code, when it ended by itself.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// When.
    pub at: Timestamp,
    /// How long it ran.
    pub ran: Millis,
    /// Whether it had been asked to stop.
    pub stopped: bool,
    /// Whether it took longer than it may.
    pub timed_out: bool,
    /// Whether the kernel killed a process of it for want of memory; none when that is not known.
    pub out_of_memory: Option<bool>,
    /// Log bytes that could not be written, because the disk was full.
    pub lost_bytes: u64,
    /// Why it could not be started at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl Exit {
    /// The exit code as shells give it: 128 + signal when a signal ended it.
    #[must_use]
    pub fn shell_code(&self) -> i32 {
        self.code.or(self.signal.map(|signal| 128 + signal)).unwrap_or(255)
    }
}

/// Who wrote a log record, and whether its line goes on in the next record of the same kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogKind {
    /// Standard output.
    Out,
    /// Standard output, and the line goes on.
    OutPart,
    /// Standard error.
    Error,
    /// Standard error, and the line goes on.
    ErrorPart,
    /// Landfall itself.
    Landfall,
}

impl LogKind {
    /// Its letter in the file.
    #[must_use]
    pub const fn letter(self) -> u8 {
        match self {
            Self::Out => b'o',
            Self::OutPart => b'O',
            Self::Error => b'e',
            Self::ErrorPart => b'E',
            Self::Landfall => b'l',
        }
    }

    /// The kind with this letter.
    #[must_use]
    pub const fn from_letter(letter: u8) -> Option<Self> {
        match letter {
            b'o' => Some(Self::Out),
            b'O' => Some(Self::OutPart),
            b'e' => Some(Self::Error),
            b'E' => Some(Self::ErrorPart),
            b'l' => Some(Self::Landfall),
            _ => None,
        }
    }
}

/// The longest text of a log record in bytes; longer lines are split.
pub const LINE_MAXIMUM: usize = 64 << 10;

/// Appends one record to a buffer.
pub fn write_record(buffer: &mut Vec<u8>, at: Timestamp, kind: LogKind, text: &[u8]) {
    buffer.extend_from_slice(at.0.to_string().as_bytes());
    buffer.push(b' ');
    buffer.push(kind.letter());
    buffer.push(b' ');
    buffer.extend_from_slice(text);
    buffer.push(b'\n');
}

/// Reads one record without its line end; none when it is not one.
#[must_use]
pub fn read_record(line: &[u8]) -> Option<(Timestamp, LogKind, &[u8])> {
    let space = line.iter().position(|byte| *byte == b' ')?;
    let at = std::str::from_utf8(&line[..space]).ok()?.parse().ok()?;
    let kind = LogKind::from_letter(*line.get(space + 1)?)?;
    if *line.get(space + 2)? != b' ' {
        return None;
    }
    Some((Timestamp(at), kind, &line[space + 3..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_records_survive_their_bytes() {
        let mut buffer = Vec::new();
        write_record(&mut buffer, Timestamp(17), LogKind::Error, b"a b \xff");
        assert_eq!(buffer.pop(), Some(b'\n'));
        assert_eq!(read_record(&buffer), Some((Timestamp(17), LogKind::Error, &b"a b \xff"[..])));
        for broken in [&b""[..], b"17", b"17 o", b"x o t", b"17 z t", b"17 ot"] {
            assert_eq!(read_record(broken), None);
        }
    }

    #[test]
    fn an_exit_record_of_version_one_is_read() {
        let text = r#"{"version":1,"code":null,"signal":9,"at":5,"ran":3,"stopped":false,
            "timed_out":false,"out_of_memory":null,"lost_bytes":0}"#;
        let exit: Exit = serde_json::from_str(text).expect("a record of version 1");
        assert_eq!(exit.shell_code(), 137);
    }
}
