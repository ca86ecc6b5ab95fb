//! The edges of this host: handed the sockets, configured for all stacks, watched.
//!
//! An edge outlives the agent. A new agent finds the one that runs, takes duplicates of its
//! sockets, and says nothing to it until every stack has told what it wants, so that no stack
//! loses its listeners for a moment. When the program was upgraded, a new edge gets the same
//! sockets and serves before the old one is asked to retire; the old one is still configured and
//! counted until it is gone, because clients that it kept must not meet instances that are.

mod process;
mod sockets;

use crate::{Home, clock, durable};
use async_trait::async_trait;
use landfall_engine::EngineError;
use landfall_engine_local::{LoadBalancer, StackPart, StackStats};
use landfall_model::{Content, Finding, Listener, ListenerName, Millis, Severity, StackId};
use landfall_protocol::edge::{self, Config, Stats};
use process::{Edge, Place, failed};
use sockets::{Sockets, conflicts};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard, watch};

/// How often edges are looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How long connections of an old edge may finish.
const RETIRE: Millis = Millis(60_000);
/// How long a restarted agent waits for every stack to say what it wants.
const GATHER: Duration = Duration::from_secs(10);

/// What could not be served, by stack and listener, and why.
type Problems = BTreeMap<(String, String), String>;

/// The edges of this host.
pub(crate) struct Edges {
    place: Place,
    inner: Mutex<Inner>,
    released: watch::Sender<bool>,
}

#[derive(Default)]
struct Inner {
    /// What each stack wants, in the order in which they came.
    parts: Vec<(String, StackPart)>,
    sockets: Sockets,
    /// The one that accepts.
    edge: Option<Edge>,
    /// Those that were told to retire, or will be once the one that accepts serves.
    old: Vec<Edge>,
    /// What edges that are gone had counted.
    gone: Stats,
    revision: u64,
}

impl Inner {
    /// Whether nobody wants a listener.
    fn is_idle(&self) -> bool {
        self.parts.iter().all(|(_, part)| part.listeners.is_empty())
    }

    /// Keeps what an edge had counted when it is gone.
    fn bury(&mut self, edge: &Edge) {
        for (stack, measured) in &edge.counted.measured {
            let sum = self.gone.measured.entry(stack.clone()).or_default();
            *sum = sum.plus(measured);
        }
    }

    /// Everything that was counted, by edges that are gone too.
    fn counted(&self) -> Stats {
        let mut all = self.gone.clone();
        for edge in self.edge.iter().chain(&self.old) {
            for (stack, measured) in &edge.counted.measured {
                let sum = all.measured.entry(stack.clone()).or_default();
                *sum = sum.plus(measured);
            }
            for (group, count) in &edge.counted.connections {
                *all.connections.entry(group.clone()).or_default() += count;
            }
            for (target, count) in &edge.counted.targets {
                *all.targets.entry(target.clone()).or_default() += count;
            }
        }
        all.revision = self.edge.as_ref().map_or(0, |edge| edge.counted.revision);
        all
    }
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

impl Edges {
    pub(crate) fn open(home: &Home, program: &Path, metrics: Option<SocketAddr>) -> Arc<Self> {
        // Beside the agent's own.
        let metrics = metrics.map(|it| SocketAddr::new(it.ip(), it.port().saturating_add(1)));
        let place = Place { folder: home.edge(), program: program.to_owned(), metrics };
        Arc::new(Self { place, inner: Mutex::default(), released: watch::Sender::new(false) })
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

    /// Looks after the edges for ever: whatever ends the one that accepts, another takes its place.
    pub(crate) async fn watch(self: Arc<Self>) {
        let mut released = self.released.subscribe();
        let _ = released.wait_for(|released| *released).await;
        loop {
            tokio::time::sleep(LOOK).await;
            let mut inner = self.inner.lock().await;
            self.ask_all(&mut inner).await;
            if inner.edge.is_some() || inner.is_idle() {
                continue;
            }
            tracing::warn!("the edge is gone; starting another with the same sockets");
            if let Err(error) = self.push(&mut inner).await {
                tracing::error!(%error, "cannot start the edge");
            }
        }
    }

    /// Asks every edge what it has counted; those that do not answer are gone.
    async fn ask_all(&self, inner: &mut Inner) {
        if let Some(mut edge) = inner.edge.take() {
            if edge.ask().await {
                inner.edge = Some(edge);
            } else {
                inner.bury(&edge);
            }
        }
        for mut edge in std::mem::take(&mut inner.old) {
            if edge.ask().await {
                inner.old.push(edge);
            } else {
                inner.bury(&edge);
                self.place.forget(edge.number);
            }
        }
    }

    /// The process that accepts and whether it answers, when there is one.
    pub(crate) async fn state(&self) -> Option<(u32, bool)> {
        let mut inner = self.inner.lock().await;
        let edge = inner.edge.as_mut()?;
        let answers = edge.ask().await;
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
    async fn push(&self, inner: &mut Inner) -> Result<Problems, EngineError> {
        self.connect(inner).await?;
        let (config, mut problems) = configuration(inner);
        let refused = send(inner, &config).await?;
        self.retire(inner, &config).await;
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
        durable::private_folder(&self.place.folder)
            .map_err(|error| failed("make the edge's folder", error))?;
        let known: BTreeSet<u64> = inner.old.iter().map(|edge| edge.number).collect();
        for (edge, sockets) in self.place.find().await {
            if known.contains(&edge.number) {
                continue;
            }
            inner.sockets.adopt(sockets);
            inner.revision = inner.revision.max(edge.counted.revision);
            if inner.edge.is_none() && self.place.fits(&edge) {
                inner.edge = Some(edge);
            } else {
                tracing::info!(number = edge.number, "an edge of another program hands over");
                inner.old.push(edge);
            }
        }
        if inner.edge.is_none() {
            inner.edge = Some(self.place.start().await?);
        }
        Ok(())
    }

    /// Tells the old edges to go now that the new one serves, and what is in force until they have.
    async fn retire(&self, inner: &mut Inner, config: &Config) {
        if inner.is_idle() {
            // Nobody wants a listener any more: nothing of ours stays.
            inner.old.extend(inner.edge.take());
        }
        for mut edge in std::mem::take(&mut inner.old) {
            let configured = edge.client.configure(config.clone(), &[]).await.is_ok();
            if configured && self.place.retire(&mut edge, clock::now().after(RETIRE)).await {
                inner.old.push(edge);
            } else {
                inner.bury(&edge);
                self.place.forget(edge.number);
            }
        }
    }

    /// Everything that was counted.
    async fn all_stats(&self) -> Stats {
        let mut inner: MutexGuard<'_, Inner> = self.inner.lock().await;
        self.ask_all(&mut inner).await;
        inner.counted()
    }
}

/// What all stacks want, and what of it cannot be.
fn configuration(inner: &mut Inner) -> (Config, Problems) {
    let listeners: Vec<_> =
        inner.parts.iter().map(|(stack, part)| (stack.clone(), part.listeners.clone())).collect();
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
    (config, problems)
}

/// Sends a configuration with the sockets that the edge does not have yet.
async fn send(inner: &mut Inner, config: &Config) -> Result<BTreeMap<String, String>, EngineError> {
    let Some(mut edge) = inner.edge.take() else {
        return Err(failed("configure the edge", "it is gone"));
    };
    let mut new = Vec::new();
    for (address, socket) in inner.sockets.open() {
        if !edge.given.contains(address) {
            new.push((*address, socket.as_fd()));
        }
    }
    match edge.client.configure(config.clone(), &new).await {
        Ok(configured) => {
            edge.given = inner.sockets.open().keys().copied().collect();
            inner.edge = Some(edge);
            Ok(configured.problems)
        }
        Err(error) => {
            inner.bury(&edge);
            Err(failed("configure the edge", error))
        }
    }
}

#[async_trait]
impl LoadBalancer for Edges {
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
        if inner.is_idle() && inner.edge.is_none() && self.place.numbers().is_empty() {
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
        Ok(StackStats::of(stack, &self.all_stats().await))
    }
}
