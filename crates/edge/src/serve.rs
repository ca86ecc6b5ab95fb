//! The process: starts, serves, and ends in good order.

use crate::clock::{now, remaining};
use crate::control::Control;
use crate::edge::Edge;
use crate::metrics;
use crate::tls::with_rustls::Rustls;
use landfall_model::Millis;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{interval, sleep, timeout};

/// How long what runs has after a SIGTERM or SIGINT.
const SIGNALLED: Millis = Millis(30_000);
/// How long connections have to close once their time is over.
const CLOSING: Duration = Duration::from_secs(3);
/// How long the agent can still ask for the last counts. Whoever asks once a second misses none.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How often ends of drains are looked at, and idle connections to targets.
const SWEEP: Duration = Duration::from_millis(100);
/// How many clients' connections there may be at once, unless said otherwise.
const CONNECTIONS: usize = 10_000;

/// How an edge is started.
#[derive(Debug, Clone)]
pub struct EdgeOptions {
    /// The path of the control socket, which the edge creates for its own user alone.
    pub socket: PathBuf,
    /// Where metrics are served for Prometheus, in plain HTTP at `/metrics`.
    pub metrics: Option<SocketAddr>,
    /// How many clients' connections are served at once; more wait, all but one of each socket in its
    /// queue.
    pub connections: usize,
}

impl EdgeOptions {
    /// An edge with this control socket, without metrics, for 10,000 connections.
    #[must_use]
    pub const fn new(socket: PathBuf) -> Self {
        Self { socket, metrics: None, connections: CONNECTIONS }
    }
}

/// Why an edge could not be started.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// The runtime or its signals are not to be had.
    #[error("the edge's process could not be prepared")]
    Process(#[source] std::io::Error),
    /// The control socket cannot be listened on.
    #[error("the edge could not listen on {}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There are no keys for session tickets.
    #[error("the edge could not make keys for TLS")]
    Tls(#[source] rustls::Error),
}

/// Runs an edge in this process, on a runtime with a thread for each core, until it has retired. SIGTERM and
/// SIGINT let it retire within 30 seconds, a second one at once. Not to be called inside of a runtime.
///
/// # Errors
/// When it could not be started.
pub fn run(options: EdgeOptions) -> Result<(), EdgeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(EdgeError::Process)?;
    let result = runtime.block_on(async {
        let terminate = signal(SignalKind::terminate()).map_err(EdgeError::Process)?;
        let interrupt = signal(SignalKind::interrupt()).map_err(EdgeError::Process)?;
        serve_with(options, Some(Signals { terminate, interrupt })).await
    });
    runtime.shutdown_timeout(CLOSING);
    result
}

/// Serves until the edge has retired, in a runtime that is there already, and without listening to
/// signals.
///
/// # Errors
/// When it could not be started.
pub async fn serve(options: EdgeOptions) -> Result<(), EdgeError> {
    serve_with(options, None).await
}

/// The signals that end the edge.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

async fn serve_with(options: EdgeOptions, signals: Option<Signals>) -> Result<(), EdgeError> {
    let terminator = Box::new(Rustls::new().map_err(EdgeError::Tls)?);
    let control = Control::bind(&options.socket)
        .map_err(|source| EdgeError::Socket { path: options.socket.clone(), source })?;
    let edge = Arc::new(Edge::new(terminator, options.connections));
    tokio::select! {
        () = control.serve(&edge) => {}
        () = metrics::serve(&edge, options.metrics) => {}
        () = sweep(&edge) => {}
        () = obey(&edge, signals) => {}
        () = async {
            retired(&edge).await;
            drop(timeout(LAST_WORDS, control.quiet()).await);
        } => {}
    }
    for (_, target) in edge.live.targets() {
        target.cut();
    }
    Ok(())
}

/// Lets the edge retire at the first signal and end at the second; then, or without signals, it waits for
/// ever.
async fn obey(edge: &Arc<Edge>, signals: Option<Signals>) {
    let Some(Signals { mut terminate, mut interrupt }) = signals else {
        return std::future::pending().await;
    };
    for grace in [SIGNALLED, Millis(0)] {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!(%grace, "the edge was told to end");
        edge.retire(now().after(grace)).await;
    }
    std::future::pending().await
}

/// Looks after drains and idle connections, for ever.
async fn sweep(edge: &Arc<Edge>) {
    let mut ticks = interval(SWEEP);
    loop {
        ticks.tick().await;
        let now = now();
        for (_, target) in edge.live.targets() {
            target.cut_if_due(now);
            target.pool.sweep();
        }
        edge.live.forget();
    }
}

/// Ends when the edge has retired: all connections are closed, or their time is over.
async fn retired(edge: &Arc<Edge>) {
    edge.retiring.cancelled().await;
    edge.connections.close();
    let mut until = edge.until();
    loop {
        let end = (*until.borrow_and_update()).unwrap_or_else(now);
        tokio::select! {
            () = edge.connections.wait() => return,
            changed = until.changed() => if changed.is_err() { break },
            () = sleep(remaining(end)) => break,
        }
    }
    edge.end();
    drop(timeout(CLOSING, edge.connections.wait()).await);
}
