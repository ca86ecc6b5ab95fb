//! The edge as a process: started, handed the sockets, configured for all stacks, watched.
//!
//! The edge outlives the agent. A new agent finds the one that runs, takes duplicates of its
//! sockets, and says nothing to it until every stack has told what it wants, so that no stack
//! loses its listeners for a moment. When the program was upgraded, a new edge gets the same
//! sockets and serves before the old one is asked to retire.

use crate::sockets::{Sockets, conflicts};
use crate::{Home, clock, durable};
use async_trait::async_trait;
use landfall_engine::EngineError;
use landfall_engine_local::{LoadBalancer, StackPart, StackStats};
use landfall_model::{Content, Finding, Listener, ListenerName, Millis, Severity, StackId};
use landfall_protocol::edge::client::EdgeClient;
use landfall_protocol::edge::{self, Config, Stats};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};

/// How long an edge may take to listen on its control socket.
const START: Duration = Duration::from_secs(10);
/// How often a silent edge is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How long connections of an old edge may finish when the program was upgraded.
const RETIRE: Millis = Millis(60_000);
/// How long a restarted agent waits for every stack to say what it wants.
const GATHER: Duration = Duration::from_secs(10);

/// The edge of this host.
pub(crate) struct EdgeProcess {
    folder: PathBuf,
    program: PathBuf,
    metrics: Option<SocketAddr>,
    inner: Mutex<Inner>,
    released: watch::Sender<bool>,
}

#[derive(Default)]
struct Inner {
    /// What each stack wants, in the order in which they came.
    parts: Vec<(String, StackPart)>,
    sockets: Sockets,
    edge: Option<Edge>,
    /// The edge of another program version, until its successor serves.
    predecessor: Option<Edge>,
    revision: u64,
}

struct Edge {
    client: EdgeClient,
    number: u64,
    pid: u32,
    /// The sockets it was given.
    given: BTreeSet<SocketAddr>,
}

/// What is written down about an edge that was started.
#[derive(serde::Serialize, serde::Deserialize)]
struct Note {
    pid: u32,
    /// The program it was started from, as a file of the system.
    program: String,
}

fn error(code: &str, message: String) -> Finding {
    Finding { severity: Severity::Error, code: code.to_owned(), message, help: None }
}

/// A listener that is not served yet, as far as its claim to an address goes.
fn claim(stack: &StackId, (name, listener): (&ListenerName, &Listener)) -> edge::Listener {
    edge::Listener {
        stack: stack.to_string(),
        name: name.to_string(),
        listen: listener.listen,
        protocol: listener.protocol,
        hosts: listener.hosts.clone(),
        policy: None,
        chain_pem: None,
        key_pem: None,
        action: edge::Action::Forward(BTreeMap::new()),
    }
}

fn failed(operation: &str, why: impl std::fmt::Display) -> EngineError {
    EngineError::Failed { operation: operation.to_owned(), why: why.to_string() }
}

impl EdgeProcess {
    pub(crate) fn open(home: &Home, program: &Path, metrics: Option<SocketAddr>) -> Arc<Self> {
        Arc::new(Self {
            folder: home.edge(),
            program: program.to_owned(),
            // Beside the agent's own.
            metrics: metrics.map(|it| SocketAddr::new(it.ip(), it.port().saturating_add(1))),
            inner: Mutex::default(),
            released: watch::Sender::new(false),
        })
    }

    /// Lets configurations through once all these stacks have given theirs, or after a while.
    pub(crate) async fn release(&self, expected: &[StackId]) {
        let deadline = tokio::time::Instant::now() + GATHER;
        loop {
            let all = {
                let inner = self.inner.lock().await;
                expected.iter().all(|id| {
                    let name = id.to_string();
                    inner.parts.iter().any(|(stack, _)| *stack == name)
                })
            };
            if all || tokio::time::Instant::now() >= deadline {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.released.send_replace(true);
    }

    /// Looks after the edge for ever: whatever ends it, another takes its place.
    pub(crate) async fn watch(self: Arc<Self>) {
        let mut released = self.released.subscribe();
        let _ = released.wait_for(|released| *released).await;
        loop {
            tokio::time::sleep(LOOK).await;
            let mut inner = self.inner.lock().await;
            if inner.parts.iter().all(|(_, part)| part.listeners.is_empty()) && inner.edge.is_none()
            {
                continue;
            }
            let alive = match inner.edge.as_mut() {
                Some(edge) => edge.client.stats().await.is_ok(),
                None => false,
            };
            if alive {
                continue;
            }
            inner.edge = None;
            tracing::warn!("the edge is gone; starting another with the same sockets");
            if let Err(error) = self.push(&mut inner).await {
                tracing::error!(%error, "cannot start the edge");
            }
        }
    }

    /// The edge's process and whether it answers, when there is one.
    pub(crate) async fn state(&self) -> Option<(u32, bool)> {
        let mut inner = self.inner.lock().await;
        let edge = inner.edge.as_mut()?;
        let answers = edge.client.stats().await.is_ok();
        Some((edge.pid, answers))
    }

    /// What stands in the way of a stack's listeners: ports that cannot be had, and hosts that
    /// another stack has.
    pub(crate) async fn check(&self, stack: &StackId, content: &Content) -> Vec<Finding> {
        let inner = self.inner.lock().await;
        let name = stack.to_string();
        let mut found = Vec::new();
        let addresses: BTreeSet<SocketAddr> =
            content.listeners.values().map(|listener| listener.listen).collect();
        for why in addresses.iter().filter_map(|address| inner.sockets.refused(*address)) {
            found.push(error("LF0805", why));
        }
        let theirs = inner.parts.iter().filter(|(owner, _)| *owner != name);
        let mut claims: Vec<_> =
            theirs.map(|(owner, part)| (owner.clone(), part.listeners.clone())).collect();
        claims.push((name, content.listeners.iter().map(|it| claim(stack, it)).collect()));
        found.extend(conflicts(&claims).into_values().map(|why| error("LF0806", why)));
        found
    }

    /// Makes the edge serve what all stacks want, and says what it cannot serve.
    async fn push(
        &self,
        inner: &mut Inner,
    ) -> Result<BTreeMap<(String, String), String>, EngineError> {
        self.connect(inner).await?;
        let listeners: Vec<_> = inner
            .parts
            .iter()
            .map(|(stack, part)| (stack.clone(), part.listeners.clone()))
            .collect();
        let mut problems = conflicts(&listeners);
        let wanted: BTreeSet<SocketAddr> =
            listeners.iter().flat_map(|(_, it)| it).map(|it| it.listen).collect();
        let closed = inner.sockets.ensure(&wanted);
        for listener in listeners.iter().flat_map(|(_, it)| it) {
            if let Some(why) = closed.get(&listener.listen) {
                problems.insert((listener.stack.clone(), listener.name.clone()), why.clone());
            }
        }
        inner.revision = inner.revision.max(clock::now().0) + 1;
        let config = Config {
            revision: inner.revision,
            listeners: listeners
                .into_iter()
                .flat_map(|(_, it)| it)
                .filter(|it| !problems.contains_key(&(it.stack.clone(), it.name.clone())))
                .collect(),
            groups: inner.parts.iter().flat_map(|(_, part)| part.groups.clone()).collect(),
        };
        let refused = send(inner, config).await?;
        self.retire(inner).await;
        for (name, why) in refused {
            if let Some((stack, listener)) = name.split_once(' ') {
                problems.insert((stack.to_owned(), listener.to_owned()), why);
            }
        }
        Ok(problems)
    }

    /// Finds the edge that runs, or starts one.
    async fn connect(&self, inner: &mut Inner) -> Result<(), EngineError> {
        if inner.edge.is_some() {
            return Ok(());
        }
        durable::private_folder(&self.folder)
            .map_err(|error| failed("make the edge's folder", error))?;
        let found = self.find(inner).await;
        let fit = found.as_ref().is_some_and(|edge| self.fits(edge.number));
        if fit {
            inner.edge = found;
            return Ok(());
        }
        let number = self.numbers().into_iter().max().unwrap_or(0) + 1;
        inner.edge = Some(self.start(number).await?);
        if let Some(old) = found {
            tracing::info!(old = old.number, new = number, "the program was upgraded: handing over");
            inner.predecessor = Some(old);
        }
        Ok(())
    }

    /// Lets the edge of the old program go, now that the new one serves.
    async fn retire(&self, inner: &mut Inner) {
        let Some(mut old) = inner.predecessor.take() else { return };
        if let Err(error) = old.client.retire(clock::now().after(RETIRE)).await {
            tracing::warn!(%error, "cannot retire the old edge");
        }
        let _ = std::fs::remove_file(self.folder.join(format!("edge-{}.json", old.number)));
    }

    fn numbers(&self) -> Vec<u64> {
        std::fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                name.strip_prefix("edge-")?.strip_suffix(".sock")?.parse().ok()
            })
            .collect()
    }

    fn socket(&self, number: u64) -> PathBuf {
        self.folder.join(format!("edge-{number}.sock"))
    }

    /// The newest edge that answers; what is left of dead ones is removed.
    async fn find(&self, inner: &mut Inner) -> Option<Edge> {
        let mut numbers = self.numbers();
        numbers.sort_unstable();
        while let Some(number) = numbers.pop() {
            let socket = self.socket(number);
            let mut client = match EdgeClient::connect(&socket).await {
                Ok(client) => client,
                Err(error) => {
                    tracing::debug!(number, %error, "an edge is gone");
                    let _ = std::fs::remove_file(&socket);
                    continue;
                }
            };
            match client.sockets().await {
                Ok(sockets) => {
                    let given = sockets.iter().map(|(address, _)| *address).collect();
                    inner.sockets.adopt(sockets);
                    if let Ok(stats) = client.stats().await {
                        inner.revision = inner.revision.max(stats.revision);
                    }
                    let pid = self.note(number).map_or(0, |note| note.pid);
                    return Some(Edge { client, number, pid, given });
                }
                Err(error) => tracing::warn!(number, %error, "an edge does not answer"),
            }
        }
        None
    }

    fn mark(&self) -> String {
        std::fs::metadata(&self.program).map_or_else(
            |_| String::new(),
            |it| format!("{}:{}:{}:{}", it.dev(), it.ino(), it.mtime(), it.mtime_nsec()),
        )
    }

    fn note(&self, number: u64) -> Option<Note> {
        let text = std::fs::read(self.folder.join(format!("edge-{number}.json"))).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Whether an edge was started from the very program that we are.
    fn fits(&self, number: u64) -> bool {
        self.note(number).is_some_and(|note| note.program == self.mark())
    }

    async fn start(&self, number: u64) -> Result<Edge, EngineError> {
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
        let note = serde_json::to_vec(&Note { pid, program: self.mark() }).unwrap_or_default();
        durable::write(&self.folder.join(format!("edge-{number}.json")), &note)
            .map_err(|error| failed("write down the edge's process", error))?;
        let deadline = tokio::time::Instant::now() + START;
        loop {
            if let Ok(client) = EdgeClient::connect(&socket).await {
                tokio::spawn(async move {
                    // Reaped here, so that it never stays as a zombie.
                    let _ = child.wait().await;
                });
                return Ok(Edge { client, number, pid, given: BTreeSet::new() });
            }
            if let Ok(Some(status)) = child.try_wait() {
                return Err(failed("start the edge", format!("it ended with {status}; see edge.log")));
            }
            if tokio::time::Instant::now() >= deadline {
                let _ = child.start_kill();
                return Err(failed("start the edge", "it does not listen on its control socket"));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Everything that was counted.
    pub(crate) async fn all_stats(&self) -> Result<Stats, EngineError> {
        let mut inner = self.inner.lock().await;
        let Some(edge) = inner.edge.as_mut() else { return Ok(Stats::default()) };
        edge.client.stats().await.map_err(|error| failed("ask the edge", error))
    }
}

/// Sends a configuration with the sockets that the edge does not have yet.
async fn send(inner: &mut Inner, config: Config) -> Result<BTreeMap<String, String>, EngineError> {
    let Some(edge) = inner.edge.as_mut() else { return Err(failed("configure the edge", "it is gone")) };
    let mut new = Vec::new();
    for (address, socket) in inner.sockets.open() {
        if !edge.given.contains(address) {
            new.push((*address, socket.as_fd()));
        }
    }
    match edge.client.configure(config, &new).await {
        Ok(configured) => {
            edge.given = inner.sockets.open().keys().copied().collect();
            Ok(configured.problems)
        }
        Err(error) => {
            inner.edge = None;
            Err(failed("configure the edge", error))
        }
    }
}

#[async_trait]
impl LoadBalancer for EdgeProcess {
    async fn configure(
        &self,
        stack: &StackId,
        part: StackPart,
    ) -> Result<BTreeMap<ListenerName, String>, EngineError> {
        let name = stack.to_string();
        {
            let mut inner = self.inner.lock().await;
            match inner.parts.iter_mut().find(|(owner, _)| *owner == name) {
                Some((_, old)) => *old = part,
                None => inner.parts.push((name.clone(), part)),
            }
        }
        let mut released = self.released.subscribe();
        released
            .wait_for(|released| *released)
            .await
            .map_err(|error| failed("configure the edge", error))?;
        let mut inner = self.inner.lock().await;
        let nothing = inner.parts.iter().all(|(_, part)| part.listeners.is_empty());
        if nothing && inner.edge.is_none() && self.numbers().is_empty() {
            return Ok(BTreeMap::new());
        }
        let problems = match self.push(&mut inner).await {
            Ok(problems) => problems,
            // The edge may have died just now: another one gets the same sockets.
            Err(_) => self.push(&mut inner).await?,
        };
        Ok(problems
            .into_iter()
            .filter(|((owner, _), _)| *owner == name)
            .filter_map(|((_, listener), why)| Some((listener.parse().ok()?, why)))
            .collect())
    }

    async fn stats(&self, stack: &StackId) -> Result<StackStats, EngineError> {
        Ok(StackStats::of(stack, &self.all_stats().await?))
    }
}
