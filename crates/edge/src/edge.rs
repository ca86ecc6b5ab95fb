//! The edge's whole state, and the few things that change it.

use crate::accept;
use crate::clock::now;
use crate::compile::{Compiler, Problems, name};
use crate::live::Live;
use crate::router::Router;
use crate::table::Table;
use crate::tls::Terminator;
use landfall_model::{Millis, Timestamp};
use landfall_protocol::edge::{Config, Stats};
use rustix::net::sockopt;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long what runs at a target goes on that left the configuration without a time.
const UNTIMED: Millis = Millis(30_000);

/// The edge.
pub(crate) struct Edge {
    pub(crate) router: Router,
    pub(crate) live: Live,
    /// Cancelled when it stops accepting.
    pub(crate) retiring: CancellationToken,
    /// Cancelled when what remains has to end.
    pub(crate) ended: CancellationToken,
    /// The tasks of clients' connections; the edge exits when they are done.
    pub(crate) connections: TaskTracker,
    /// The tasks of connections to targets; they end with what they are for.
    pub(crate) drivers: TaskTracker,
    /// One for each client's connection that is served.
    pub(crate) permits: Arc<Semaphore>,
    /// TLS connections that ended before their listener was known.
    pub(crate) failed_hellos: AtomicU64,
    connections_at_most: usize,
    terminator: Box<dyn Terminator>,
    sockets: Mutex<BTreeMap<SocketAddr, Socket>>,
    until: watch::Sender<Option<Timestamp>>,
}

/// A listening socket.
struct Socket {
    descriptor: OwnedFd,
    accepting: Option<Accepting>,
}

/// The task that accepts from a socket.
struct Accepting {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Why the edge did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("revision {asked} is older than revision {current}, which is in force")]
    Older { asked: u64, current: u64 },
    #[error("{addresses} addresses came with {descriptors} descriptors")]
    Count { addresses: usize, descriptors: usize },
    #[error("the descriptor for {0} is not a socket that listens there")]
    NotListening(SocketAddr),
}

impl Edge {
    /// An edge without a configuration, for so many connections at once.
    pub(crate) fn new(terminator: Box<dyn Terminator>, connections: usize) -> Self {
        Self {
            router: Router::default(),
            live: Live::default(),
            retiring: CancellationToken::new(),
            ended: CancellationToken::new(),
            connections: TaskTracker::new(),
            drivers: TaskTracker::new(),
            permits: Arc::new(Semaphore::new(connections)),
            failed_hellos: AtomicU64::new(0),
            connections_at_most: connections,
            terminator,
            sockets: Mutex::default(),
            until: watch::Sender::new(None),
        }
    }

    /// Puts a configuration in force. When this returns, nothing new follows an older one.
    pub(crate) async fn configure(
        self: &Arc<Self>,
        config: &Config,
        offered: Vec<(SocketAddr, OwnedFd)>,
    ) -> Result<Problems, Refusal> {
        let mut sockets = self.sockets.lock().await;
        let before = self.router.table();
        if config.revision < before.revision {
            let (asked, current) = (config.revision, before.revision);
            return Err(Refusal::Older { asked, current });
        }
        for (address, descriptor) in &offered {
            check_listening(*address, descriptor)?;
        }
        let mut problems = Problems::new();
        let compiler =
            Compiler { live: &self.live, terminator: &*self.terminator, before: &before };
        let table = Arc::new(compiler.compile(config, &mut problems));
        self.welcome(config);
        let replaced = self.router.replace(Arc::clone(&table));
        drop((before, replaced));
        self.place_targets(config);
        if !self.retiring.is_cancelled() {
            for (address, descriptor) in offered {
                sockets.entry(address).or_insert(Socket { descriptor, accepting: None });
            }
            self.accept_from(&mut sockets, config, &table, &mut problems).await;
        }
        Ok(problems)
    }

    /// Starts to accept where there are listeners, and stops where there are none.
    async fn accept_from(
        self: &Arc<Self>,
        sockets: &mut BTreeMap<SocketAddr, Socket>,
        config: &Config,
        table: &Table,
        problems: &mut Problems,
    ) {
        let configured: BTreeSet<_> = config.listeners.iter().map(|one| one.listen).collect();
        let gone: Vec<_> =
            sockets.keys().filter(|address| !configured.contains(address)).copied().collect();
        for address in gone {
            if let Some(socket) = sockets.remove(&address) {
                socket.close().await;
            }
        }
        let mut unusable = BTreeMap::new();
        for (address, socket) in sockets.iter_mut() {
            if socket.accepting.is_none() && table.addresses.contains_key(address) {
                match self.accept(*address, socket) {
                    Ok(accepting) => socket.accepting = Some(accepting),
                    Err(error) => drop(unusable.insert(*address, error)),
                }
            }
        }
        for listener in &config.listeners {
            let address = listener.listen;
            let why = match unusable.get(&address) {
                Some(error) => format!("the socket for {address} cannot be used: {error}"),
                None if sockets.contains_key(&address) => continue,
                None => format!("there is no socket for {address}"),
            };
            problems.entry(name(listener)).or_insert(why);
        }
    }

    fn accept(
        self: &Arc<Self>,
        address: SocketAddr,
        socket: &Socket,
    ) -> std::io::Result<Accepting> {
        let listener = StdListener::from(socket.descriptor.try_clone()?);
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let stop = CancellationToken::new();
        let run = accept::run(Arc::clone(self), listener, address, stop.clone());
        Ok(Accepting { stop, task: tokio::spawn(run) })
    }

    /// Makes targets that may get something new ready for it, before anything can be.
    fn welcome(&self, config: &Config) {
        for (key, group) in config.groups.iter().filter(|(_, group)| group.drain_until.is_none()) {
            for target in group.targets.iter().filter(|target| target.drain_until.is_none()) {
                self.live.target(key, &target.id, target.address).stay(target.healthy);
            }
        }
    }

    /// Tells every target how it stands in a configuration that is in force.
    fn place_targets(&self, config: &Config) {
        let mut standing = BTreeMap::new();
        for (key, group) in &config.groups {
            for target in &group.targets {
                let until = target.drain_until.into_iter().chain(group.drain_until).min();
                let place = (key.as_str(), target.id.as_str(), target.address);
                standing.insert(place, (target.healthy, until));
                self.live.target(key, &target.id, target.address);
            }
        }
        let fallback = now().after(UNTIMED);
        for (group, target) in self.live.targets() {
            match standing.get(&(group.as_str(), target.id.as_str(), target.address)) {
                Some((healthy, None)) => target.stay(*healthy),
                Some((_, Some(until))) => target.drain(*until),
                None => target.go(fallback),
            }
        }
    }

    /// What has been counted.
    pub(crate) fn stats(&self) -> Stats {
        self.live.stats(self.router.table().revision)
    }

    /// How many clients' connections are served.
    pub(crate) fn open_connections(&self) -> usize {
        self.connections_at_most.saturating_sub(self.permits.available_permits())
    }

    /// Duplicates of the listening sockets.
    pub(crate) async fn sockets(&self) -> std::io::Result<Vec<(SocketAddr, OwnedFd)>> {
        let sockets = self.sockets.lock().await;
        sockets
            .iter()
            .map(|(address, socket)| Ok((*address, socket.descriptor.try_clone()?)))
            .collect()
    }

    /// Stops accepting; what runs goes on until then at most. Called again it may only hurry.
    pub(crate) async fn retire(&self, until: Timestamp) {
        self.until.send_modify(|current| {
            *current = Some(current.map_or(until, |current| current.min(until)));
        });
        let sockets = std::mem::take(&mut *self.sockets.lock().await);
        for socket in sockets.into_values() {
            socket.close().await;
        }
        self.retiring.cancel();
    }

    /// When what remains has to end, once it retires.
    pub(crate) fn until(&self) -> watch::Receiver<Option<Timestamp>> {
        self.until.subscribe()
    }

    /// Ends what remains.
    pub(crate) fn end(&self) {
        for (_, target) in self.live.targets() {
            target.cut();
        }
        self.ended.cancel();
    }
}

impl Socket {
    /// Stops accepting and closes this duplicate of the socket, which goes on listening elsewhere. What
    /// waits in its queue stays there.
    async fn close(self) {
        if let Some(Accepting { stop, task }) = self.accepting {
            stop.cancel();
            if let Err(error) = task.await {
                tracing::error!(%error, "a task that accepts connections failed");
            }
        }
    }
}

fn check_listening(address: SocketAddr, descriptor: &OwnedFd) -> Result<(), Refusal> {
    let listening = sockopt::socket_acceptconn(descriptor).unwrap_or(false);
    let bound = rustix::net::getsockname(descriptor).ok().and_then(|found| found.try_into().ok());
    if listening && bound == Some(address) { Ok(()) } else { Err(Refusal::NotListening(address)) }
}
