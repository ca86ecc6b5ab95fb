//! Takes connections from listening sockets.

use crate::count::add;
use crate::edge::Edge;
use crate::http::{self, Client};
use crate::opaque;
use crate::table::{Kind, Route};
use crate::tls::{Identity, Session, hello};
use landfall_model::ListenerProtocol;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

/// How long a TLS handshake may take, from the first byte.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long nothing is accepted when there are no free descriptors or no memory.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Accepts until told to stop. No connection is taken and then dropped by stopping.
pub(crate) async fn run(
    edge: Arc<Edge>,
    listener: TcpListener,
    address: SocketAddr,
    stop: CancellationToken,
) {
    loop {
        // Only looked at here: a permit that waits for this socket would be missing at another.
        let available = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            permit = edge.permits.acquire() => permit.is_ok(),
        };
        if !available {
            return;
        }
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let serving = admit(Arc::clone(&edge), stream, peer, address);
                edge.connections.spawn(serving);
            }
            Err(error) if is_passing(&error) => {}
            Err(error) => {
                tracing::warn!(%address, %error, "no connection can be accepted for a moment");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = sleep(EXHAUSTED) => {}
                }
            }
        }
    }
}

/// Whether an error concerns only the connection that would have been accepted (`accept(2)`).
fn is_passing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, TimedOut};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | TimedOut)
}

/// Serves a connection once it has a permit.
async fn admit(edge: Arc<Edge>, stream: TcpStream, peer: SocketAddr, address: SocketAddr) {
    let Ok(permit) = Arc::clone(&edge.permits).acquire_owned().await else { return };
    Taken { edge, stream, peer, address, permit }.serve().await;
}

/// A connection that was accepted.
struct Taken {
    edge: Arc<Edge>,
    stream: TcpStream,
    peer: SocketAddr,
    address: SocketAddr,
    permit: OwnedSemaphorePermit,
}

impl Taken {
    async fn serve(self) {
        if let Err(error) = self.stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection ended at once");
            return;
        }
        match self.edge.router.kind(self.address) {
            None => {}
            Some(Kind::Tcp) => {
                if let Some(route) = self.edge.router.route(self.address, None) {
                    count(&route);
                }
                opaque::serve(&self.edge, self.address, None, Box::new(self.stream)).await;
            }
            Some(Kind::Http) => {
                let client = Client {
                    peer: self.peer.ip(),
                    address: self.address,
                    shown: None,
                    http2: false,
                    permit: Arc::new(self.permit),
                    counted: AtomicBool::new(false),
                };
                http::serve(self.edge, client, Box::new(self.stream)).await;
            }
            Some(Kind::Tls) => self.serve_tls().await,
        }
    }

    async fn serve_tls(self) {
        let Self { edge, stream, peer, address, permit } = self;
        let Some(Secured { name, route, identity, session }) =
            secure(&edge, stream, peer, address).await
        else {
            return;
        };
        count(&route);
        let Session { stream, http2 } = session;
        if route.protocol == ListenerProtocol::Tls {
            opaque::serve(&edge, address, name.as_deref(), stream).await;
            drop(permit);
            return;
        }
        let client = Client {
            peer: peer.ip(),
            address,
            shown: Some((route.key.clone(), identity)),
            http2,
            permit: Arc::new(permit),
            counted: AtomicBool::new(true),
        };
        http::serve(edge, client, stream).await;
    }
}

fn count(route: &Route) {
    add(&route.stack.connections);
    add(&route.count.connections);
}

/// A connection after its handshake.
struct Secured {
    name: Option<String>,
    route: Arc<Route>,
    identity: Arc<dyn Identity>,
    session: Session,
}

/// Finds the listener by the name in the client's hello, and ends TLS with its identity of this moment.
async fn secure(
    edge: &Edge,
    stream: TcpStream,
    peer: SocketAddr,
    address: SocketAddr,
) -> Option<Secured> {
    let until = Instant::now() + HANDSHAKE;
    let hello = match timeout_at(until, hello::read(stream)).await {
        Ok(Ok(hello)) => hello,
        Ok(Err(error)) => {
            add(&edge.failed_hellos);
            tracing::debug!(%peer, %error, "no TLS hello");
            return None;
        }
        Err(_) => {
            add(&edge.failed_hellos);
            return None;
        }
    };
    let name = hello.server_name.clone();
    let found = edge.router.route(address, name.as_deref());
    let Some((route, tls)) = found.and_then(|route| Some((Arc::clone(&route), route.tls.clone()?)))
    else {
        add(&edge.failed_hellos);
        drop(timeout_at(until, hello.refuse()).await);
        return None;
    };
    match timeout_at(until, tls.identity.accept(hello.stream)).await {
        Ok(Ok(session)) => Some(Secured { name, route, identity: tls.identity, session }),
        Ok(Err(error)) => {
            add(&route.count.handshake_failures);
            tracing::debug!(%peer, %error, "a TLS handshake failed");
            None
        }
        Err(_) => {
            add(&route.count.handshake_failures);
            None
        }
    }
}
