//! A client's connection that carries requests.
//!
//! A connection ends only at a boundary of requests. While the edge retires, HTTP/1.1 clients get
//! `Connection: close` with their next answer, whenever that is: closing an idle connection at once
//! would meet a request that is already on its way. HTTP/2 has GOAWAY for that.

use super::forward;
use crate::edge::Edge;
use crate::lingering::Lingering;
use crate::live::ListenerKey;
use crate::tls::{Identity, Stream};
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// How long the head of a request may take, the idle time before it included. Longer than the
/// clients' usual minute, so that mostly the client is the one that closes.
const HEAD: Duration = Duration::from_secs(75);
/// The largest head of a request, in bytes.
const HEAD_BYTES: usize = 64 << 10;
/// How many header fields a request may have.
pub(super) const HEAD_FIELDS: usize = 100;
/// How many requests of one HTTP/2 connection run at once.
const STREAMS: u32 = 200;
/// How often an HTTP/2 connection is tried, and how long its answer may take.
const PING: Duration = Duration::from_secs(20);
/// How long connections have to close once the edge's time is over.
const CLOSING: Duration = Duration::from_secs(2);

/// Who is connected, and how.
pub(crate) struct Client {
    pub(crate) peer: IpAddr,
    /// The listening address.
    pub(crate) address: SocketAddr,
    /// With TLS: the listener whose certificate was shown, and the certificate.
    pub(crate) shown: Option<(ListenerKey, Arc<dyn Identity>)>,
    pub(crate) http2: bool,
    /// The connection counts against the limit as long as this lives.
    pub(crate) permit: Arc<OwnedSemaphorePermit>,
    /// Whether the connection was counted for a stack, which without TLS the first request names.
    pub(crate) counted: AtomicBool,
}

/// Serves requests until the connection ends.
pub(crate) async fn serve(edge: Arc<Edge>, client: Client, stream: Box<dyn Stream>) {
    let http2 = client.http2;
    let client = Arc::new(client);
    let service = {
        let edge = Arc::clone(&edge);
        service_fn(move |request: Request<Incoming>| {
            let (edge, client) = (Arc::clone(&edge), Arc::clone(&client));
            async move { Ok::<_, Infallible>(forward::handle(&edge, &client, request).await) }
        })
    };
    let io = TokioIo::new(Lingering::new(stream));
    let result = if http2 {
        let connection = http2_builder(&edge.connections).serve_connection(io, service);
        let mut connection = pin!(connection);
        tokio::select! {
            result = &mut connection => return ended(result),
            () = edge.retiring.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        tokio::select! {
            result = &mut connection => result,
            () = edge.ended.cancelled() => finish(connection).await,
        }
    } else {
        let connection = http1_builder().serve_connection(io, service).with_upgrades();
        let mut connection = pin!(connection);
        tokio::select! {
            result = &mut connection => result,
            () = edge.ended.cancelled() => {
                connection.as_mut().graceful_shutdown();
                finish(connection).await
            }
        }
    };
    ended(result);
}

async fn finish(connection: impl Future<Output = hyper::Result<()>>) -> hyper::Result<()> {
    timeout(CLOSING, connection).await.unwrap_or(Ok(()))
}

fn ended(result: hyper::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "a client's connection ended");
    }
}

fn http1_builder() -> hyper::server::conn::http1::Builder {
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_header_size(HEAD_BYTES)
        .max_headers(HEAD_FIELDS);
    builder
}

fn http2_builder(tasks: &TaskTracker) -> hyper::server::conn::http2::Builder<Owned> {
    let mut builder = hyper::server::conn::http2::Builder::new(Owned(tasks.clone()));
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX))
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    builder
}

/// Runs the streams of an HTTP/2 connection as tasks that the edge owns.
#[derive(Clone)]
struct Owned(TaskTracker);

impl<F> hyper::rt::Executor<F> for Owned
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}
