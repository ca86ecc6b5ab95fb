//! All clients together.

use crate::chance::Chance;
use crate::http2;
use crate::kinds::Clients;
use crate::report::Report;
use crate::target::Target;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long the last requests may take once the load stops.
const FINISH: Duration = Duration::from_secs(30);

/// How many clients of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// Kept connections with idle times.
    pub kept: u32,
    /// Requests a second, each with a connection of its own.
    pub single_per_second: u32,
    /// Connections that send bodies.
    pub bodies: u32,
    /// Slow answers a second.
    pub slow_per_second: u32,
    /// Connections of HTTP/2.
    pub http2_connections: u32,
    /// Streams at once on each of them.
    pub streams: u32,
}

impl Default for Scale {
    /// Some 130 requests a second: two cores also run the services and the rollouts.
    fn default() -> Self {
        Self {
            kept: 40,
            single_per_second: 20,
            bodies: 4,
            slow_per_second: 6,
            http2_connections: 2,
            streams: 5,
        }
    }
}

/// A load, not started yet.
#[derive(Clone)]
pub struct Load {
    /// Who is asked.
    pub target: Target,
    /// The drain of the stack: idle times reach up to twice of it.
    pub drain: Duration,
    /// The slowest answer that is asked for: shorter than the drain.
    pub slowest: Duration,
    /// Where chance begins.
    pub seed: u64,
    /// How many clients.
    pub scale: Scale,
}

/// A load that runs, on a thread of its own.
pub struct Running {
    runtime: Runtime,
    clients: Arc<Clients>,
}

impl Load {
    /// Starts all clients.
    ///
    /// # Panics
    /// When threads cannot be had.
    #[must_use]
    pub fn start(self) -> Running {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().expect("a runtime");
        let Self { target, drain, slowest, seed, scale } = self;
        let clients = Arc::new(Clients {
            target,
            drain,
            slowest,
            report: Mutex::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            turned_away: Arc::default(),
        });
        let chance = Chance::new(seed);
        runtime.block_on(async { spawn(&clients, scale, &chance) });
        Running { runtime, clients }
    }
}

fn spawn(clients: &Arc<Clients>, scale: Scale, chance: &Chance) {
    let tasks: &TaskTracker = &clients.tasks;
    let here = || Arc::clone(clients);
    for client in 0..scale.kept {
        tasks.spawn(here().kept(client, chance.part(1_000 + u64::from(client))));
    }
    for client in 0..scale.bodies {
        tasks.spawn(here().bodies(client, chance.part(2_000 + u64::from(client))));
    }
    if scale.single_per_second > 0 {
        tasks.spawn(here().single(scale.single_per_second));
    }
    if scale.slow_per_second > 0 {
        tasks.spawn(here().slow(scale.slow_per_second, chance.part(3_000)));
    }
    for connection in 0..scale.http2_connections {
        let client = Arc::new(http2::Client::new(
            clients.target.clone(),
            tasks.clone(),
            Arc::clone(&clients.turned_away),
        ));
        for stream in 0..scale.streams {
            let part = 4_000 + u64::from(connection * 100 + stream);
            let name = format!("{connection}-{stream}");
            tasks.spawn(here().stream(Arc::clone(&client), name, chance.part(part)));
        }
    }
}

impl Running {
    /// What became of the requests so far.
    #[must_use]
    pub fn so_far(&self) -> Report {
        let mut report = self.clients.report.lock().unwrap_or_else(PoisonError::into_inner).clone();
        report.turned_away = self.clients.turned_away.load(Ordering::Relaxed);
        report
    }

    /// Lets the requests that run come to their end, starts no new ones, and reports.
    #[must_use]
    pub fn stop(self) -> Report {
        self.clients.stop.cancel();
        self.clients.tasks.close();
        let ended = self.runtime.block_on(async {
            tokio::time::timeout(FINISH, self.clients.tasks.wait()).await.is_ok()
        });
        assert!(ended, "clients did not end");
        self.so_far()
    }
}
