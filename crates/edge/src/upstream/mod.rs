//! Requests to targets, over kept connections, such that it is always known whether anything was sent.
//!
//! A request may go to another connection or target only when nothing of it was sent. hyper alone
//! cannot tell for a kept connection that its target closes in the same moment, so each connection is
//! wrapped ([`wire`]): just before the first byte of a request is written it looks whether the target
//! has closed, and it remembers whether a byte was written. The request's body waits for that
//! first byte ([`gate`]), so it is untouched when the request has to go elsewhere.

mod gate;
mod pool;
mod wire;

pub(crate) use gate::{BodySlot, Gate};
pub(crate) use pool::{Connection, Pool, kept};

use crate::target::Running;
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;
use wire::WireStream;

/// How long a connection to a target may take. Targets are near.
pub(crate) const CONNECT: Duration = Duration::from_secs(3);
/// How long nothing may happen on a connection in use, in either direction: what an NLB allows.
pub(crate) const IDLE: Duration = Duration::from_secs(350);

/// A request that can be made again as long as its body is untouched.
pub(crate) struct Template {
    pub(crate) parts: http::request::Parts,
    pub(crate) body: Arc<BodySlot>,
}

/// What became of an attempt.
pub(crate) enum Attempt {
    /// The head of an answer, and the connection on which the rest comes.
    Answered(Box<Response<Incoming>>, Connection),
    /// Nothing was sent; it may go elsewhere.
    NeverSent,
    /// Something was sent, and no answer will come.
    Broken(hyper::Error),
    /// The target's time was over.
    Cut,
    /// Nothing happened for too long.
    TimedOut,
}

/// Connects to a target.
pub(crate) async fn connect(address: std::net::SocketAddr) -> std::io::Result<TcpStream> {
    let stream = timeout(CONNECT, TcpStream::connect(address))
        .await
        .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends the request to the target, over a kept connection while there are some, or a new one.
pub(crate) async fn send(running: &Running, template: &Template, drivers: &TaskTracker) -> Attempt {
    loop {
        let kept = running.target.pool.take();
        let was_kept = kept.is_some();
        let connection = match kept {
            Some(connection) => connection,
            None => match open(running, drivers).await {
                Ok(connection) => connection,
                Err(error) => {
                    tracing::debug!(target = %running.target.address, %error, "no connection");
                    return Attempt::NeverSent;
                }
            },
        };
        match attempt(connection, running, template).await {
            Attempt::NeverSent if was_kept => {}
            done => return done,
        }
    }
}

async fn open(running: &Running, drivers: &TaskTracker) -> Result<Connection, OpenError> {
    let stream = connect(running.target.address).await?;
    let (stream, wire) = WireStream::new(stream);
    let (mut sender, driver) = hyper::client::conn::http1::Builder::new()
        .max_headers(200)
        .handshake::<_, Gate>(TokioIo::new(stream))
        .await?;
    drivers.spawn(async move {
        if let Err(error) = driver.with_upgrades().await {
            tracing::debug!(%error, "a connection to a target ended");
        }
    });
    sender.ready().await?;
    Ok(Connection { sender, wire })
}

#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error("connecting failed")]
    Connect(#[from] std::io::Error),
    #[error("the connection ended at once")]
    Ended(#[from] hyper::Error),
}

async fn attempt(mut connection: Connection, running: &Running, template: &Template) -> Attempt {
    connection.wire.arm();
    let gate = Gate::new(Arc::clone(&connection.wire), Arc::clone(&template.body));
    let mut request = Request::new(gate);
    *request.method_mut() = template.parts.method.clone();
    *request.uri_mut() = template.parts.uri.clone();
    *request.headers_mut() = template.parts.headers.clone();
    let answer = connection.sender.try_send_request(request);
    tokio::pin!(answer);
    loop {
        let moved = connection.wire.moved();
        tokio::select! {
            biased;
            answer = &mut answer => return match answer {
                Ok(response) => Attempt::Answered(Box::new(response), connection),
                Err(_) if !connection.wire.was_sent() => Attempt::NeverSent,
                Err(error) => Attempt::Broken(error.into_error()),
            },
            () = running.cut.cancelled() => return Attempt::Cut,
            () = sleep(IDLE) => if connection.wire.moved() == moved {
                return Attempt::TimedOut;
            },
        }
    }
}
