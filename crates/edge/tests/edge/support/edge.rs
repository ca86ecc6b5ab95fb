//! An edge in this process, and the configurations it gets.

use super::client::Keys;
use super::target::TestTarget;
use landfall_edge::{EdgeOptions, serve};
use landfall_model::ListenerProtocol;
use landfall_protocol::edge::client::{Configured, EdgeClient};
use landfall_protocol::edge::{Action, Config, Listener, Stats, Target, TargetGroup};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// An edge with its own folder and control socket.
pub struct TestEdge {
    folder: tempfile::TempDir,
    pub control: EdgeClient,
    pub task: JoinHandle<()>,
    pub config: Config,
}

impl TestEdge {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut EdgeOptions)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("edge.sock");
        let mut options = EdgeOptions::new(path.clone());
        change(&mut options);
        let task = tokio::spawn(async move { serve(options).await.expect("served") });
        // The socket has a name a moment before it takes connections.
        let answers = || async { tokio::net::UnixStream::connect(&path).await.is_ok() };
        super::eventually("the edge listens", answers).await;
        let control = EdgeClient::connect(&path).await.expect("connected");
        Self { folder, control, task, config: Config::default() }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("edge.sock")
    }

    /// Puts the configuration in force under the next revision, with the sockets given.
    pub async fn apply_with(&mut self, sockets: &[&TcpListener]) -> Configured {
        self.config.revision += 1;
        let sockets: Vec<_> = sockets
            .iter()
            .map(|socket| (socket.local_addr().expect("bound"), socket.as_fd()))
            .collect();
        self.control.configure(self.config.clone(), &sockets).await.expect("configured")
    }

    /// The same without sockets; there must be no problem.
    pub async fn apply(&mut self) {
        let configured = self.apply_with(&[]).await;
        assert!(configured.problems.is_empty(), "{:?}", configured.problems);
    }

    /// An edge with one listener that forwards to one group `a`.
    pub async fn simple(listener: Listener, socket: &TcpListener, targets: &[&TestTarget]) -> Self {
        let mut edge = Self::start().await;
        edge.config.listeners = vec![listener];
        edge.config.groups = BTreeMap::from([("a".to_owned(), group(targets))]);
        let configured = edge.apply_with(&[socket]).await;
        assert!(configured.problems.is_empty(), "{:?}", configured.problems);
        edge
    }

    pub async fn stats(&mut self) -> Stats {
        self.control.stats().await.expect("counts")
    }

    /// Waits until nothing runs in this group.
    pub async fn until_idle(&mut self, group: &str) {
        self.until("the group is idle", |stats| stats.connections[group] == 0).await;
    }

    /// Waits until nothing runs at this target.
    pub async fn until_idle_target(&mut self, target: &str) {
        let idle = |stats: &Stats| stats.targets.get(target).is_none_or(|running| *running == 0);
        self.until("the target is idle", idle).await;
    }

    async fn until(&mut self, what: &str, holds: impl Fn(&Stats) -> bool) {
        let give_up = Instant::now() + Duration::from_secs(30);
        while !holds(&self.stats().await) {
            assert!(Instant::now() < give_up, "it never came to this: {what}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn measured(&mut self) -> landfall_model::Measured {
        self.stats().await.measured.get("shop/web").copied().unwrap_or_default()
    }
}

impl Drop for TestEdge {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A listening socket on a free port.
pub fn listener() -> (TcpListener, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = socket.local_addr().expect("bound");
    (socket, address)
}

pub fn forward(shares: &[(&str, u16)]) -> Action {
    Action::Forward(shares.iter().map(|(group, weight)| ((*group).to_owned(), *weight)).collect())
}

pub fn group(targets: &[&TestTarget]) -> TargetGroup {
    let targets = targets
        .iter()
        .map(|target| Target {
            id: target.name.clone(),
            address: target.address,
            healthy: true,
            drain_until: None,
        })
        .collect();
    TargetGroup { stack: "shop/web".to_owned(), targets, drain_until: None }
}

/// A listener of the stack `shop/web` that forwards to group `a`.
pub fn plain(listen: SocketAddr, protocol: ListenerProtocol) -> Listener {
    Listener {
        stack: "shop/web".to_owned(),
        name: "public".to_owned(),
        listen,
        protocol,
        hosts: BTreeSet::new(),
        policy: None,
        chain_pem: None,
        key_pem: None,
        action: forward(&[("a", 100)]),
    }
}

pub fn https(listen: SocketAddr, keys: &Keys) -> Listener {
    Listener {
        chain_pem: Some(keys.chain_pem.clone()),
        key_pem: Some(keys.key_pem.clone()),
        ..plain(listen, ListenerProtocol::Https)
    }
}
