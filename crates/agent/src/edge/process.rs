//! One edge process: started, found again, asked.

use crate::durable;
use landfall_engine::EngineError;
use landfall_model::Timestamp;
use landfall_protocol::edge::Stats;
use landfall_protocol::edge::client::EdgeClient;
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

/// How long an edge may take to listen on its control socket.
const START: Duration = Duration::from_secs(10);

/// One edge process.
pub(super) struct Edge {
    pub(super) client: EdgeClient,
    pub(super) number: u64,
    pub(super) pid: u32,
    /// The sockets it was given.
    pub(super) given: BTreeSet<SocketAddr>,
    /// What it last said it had counted.
    pub(super) counted: Stats,
    /// Whether it was told to retire.
    pub(super) retiring: bool,
}

impl Edge {
    /// Asks what it has counted, and keeps that for when it is gone.
    pub(super) async fn ask(&mut self) -> bool {
        match self.client.stats().await {
            Ok(stats) => {
                self.counted = stats;
                true
            }
            Err(_) => false,
        }
    }
}

/// Where edges of this host are started and found: one control socket each.
pub(super) struct Place {
    pub(super) folder: PathBuf,
    pub(super) program: PathBuf,
    pub(super) metrics: Option<SocketAddr>,
}

/// What is written down about an edge that was started.
#[derive(serde::Serialize, serde::Deserialize)]
struct Note {
    pid: u32,
    /// The program it was started from, as a file of the system.
    program: String,
    /// Whether it was told to retire, so that nobody takes it for the one that accepts.
    #[serde(default)]
    retiring: bool,
}

pub(super) fn failed(operation: &str, why: impl std::fmt::Display) -> EngineError {
    EngineError::Failed { operation: operation.to_owned(), why: why.to_string() }
}

impl Place {
    /// The numbers of the edges that may still run, ascending.
    pub(super) fn numbers(&self) -> Vec<u64> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut numbers: Vec<u64> = entries
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                name.strip_prefix("edge-")?.strip_suffix(".sock")?.parse().ok()
            })
            .collect();
        numbers.sort_unstable();
        numbers
    }

    fn socket(&self, number: u64) -> PathBuf {
        self.folder.join(format!("edge-{number}.sock"))
    }

    fn note_file(&self, number: u64) -> PathBuf {
        self.folder.join(format!("edge-{number}.json"))
    }

    /// Removes what an edge that is gone has left.
    pub(super) fn forget(&self, number: u64) {
        let _ = std::fs::remove_file(self.socket(number));
        let _ = std::fs::remove_file(self.note_file(number));
    }

    /// The edges that answer, newest first, each with duplicates of its sockets.
    pub(super) async fn find(&self) -> Vec<(Edge, Vec<(SocketAddr, OwnedFd)>)> {
        let mut found = Vec::new();
        for number in self.numbers().into_iter().rev() {
            let mut client = match EdgeClient::connect(&self.socket(number)).await {
                Ok(client) => client,
                Err(error) => {
                    tracing::debug!(number, %error, "an edge is gone");
                    self.forget(number);
                    continue;
                }
            };
            let (sockets, counted) = match (client.sockets().await, client.stats().await) {
                (Ok(sockets), Ok(counted)) => (sockets, counted),
                (Err(error), _) | (_, Err(error)) => {
                    tracing::warn!(number, %error, "an edge does not answer");
                    continue;
                }
            };
            let given = sockets.iter().map(|(address, _)| *address).collect();
            let note = self.note(number);
            let pid = note.as_ref().map_or(0, |note| note.pid);
            let retiring = note.is_some_and(|note| note.retiring);
            found.push((Edge { client, number, pid, given, counted, retiring }, sockets));
        }
        found
    }

    fn mark(&self) -> String {
        std::fs::metadata(&self.program).map_or_else(
            |_| String::new(),
            |it| format!("{}:{}:{}:{}", it.dev(), it.ino(), it.mtime(), it.mtime_nsec()),
        )
    }

    fn note(&self, number: u64) -> Option<Note> {
        serde_json::from_slice(&std::fs::read(self.note_file(number)).ok()?).ok()
    }

    /// Whether an edge was started from the very program that we are, and still accepts.
    pub(super) fn fits(&self, edge: &Edge) -> bool {
        !edge.retiring && self.note(edge.number).is_some_and(|note| note.program == self.mark())
    }

    fn write(&self, number: u64, note: &Note) -> Result<(), EngineError> {
        let bytes = serde_json::to_vec(note).map_err(|error| failed("describe the edge", error))?;
        durable::write(&self.note_file(number), &bytes)
            .map_err(|error| failed("write down the edge's process", error))
    }

    /// Tells an edge to stop accepting and to finish what it has until then. Once is enough.
    pub(super) async fn retire(&self, edge: &mut Edge, until: Timestamp) -> bool {
        if edge.retiring {
            return true;
        }
        let note = Note { pid: edge.pid, program: self.mark(), retiring: true };
        if let Err(error) = self.write(edge.number, &note) {
            tracing::warn!(%error, "an edge stays until it can be written down that it goes");
            return true;
        }
        edge.retiring = edge.client.retire(until).await.is_ok();
        edge.retiring
    }

    /// Starts an edge and waits until it listens on its control socket.
    pub(super) async fn start(&self) -> Result<Edge, EngineError> {
        let number = self.numbers().last().map_or(1, |last| last + 1);
        let socket = self.socket(number);
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(self.folder.join("edge.log"))
            .map_err(|error| failed("open the edge's log", error))?;
        let mut child = tokio::process::Command::new(&self.program)
            .arg("edge")
            .arg("--socket")
            .arg(&socket)
            .args(self.metrics.iter().flat_map(|it| ["--metrics".to_owned(), it.to_string()]))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .kill_on_drop(false)
            .spawn()
            .map_err(|error| failed("start the edge", error))?;
        let pid = child.id().unwrap_or(0);
        self.write(number, &Note { pid, program: self.mark(), retiring: false })?;
        let deadline = tokio::time::Instant::now() + START;
        loop {
            if let Ok(client) = EdgeClient::connect(&socket).await {
                // It outlives us; while we are there it is reaped, so that it never stays a zombie.
                tokio::spawn(async move { child.wait().await });
                let (given, counted) = (BTreeSet::new(), Stats::default());
                return Ok(Edge { client, number, pid, given, counted, retiring: false });
            }
            if let Ok(Some(status)) = child.try_wait() {
                let why = format!("it ended with {status}; see edge.log");
                return Err(failed("start the edge", why));
            }
            if tokio::time::Instant::now() >= deadline {
                let _ = child.start_kill();
                return Err(failed("start the edge", "it does not listen on its control socket"));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
