//! HTTP/2: several requests at once on one connection, and GOAWAY respected.

use crate::http1::{Body, Request, Response};
use crate::target::{Failure, PATIENCE, Target};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// How many connections are tried for a request of which nothing was sent yet.
const CONNECTIONS: usize = 3;

/// A client with one connection at a time. After GOAWAY new requests go to a new one, also those that
/// were just under way and that the server has not taken, and those that run go on.
pub(crate) struct Client {
    target: Target,
    sender: Mutex<Option<SendRequest<Full<Bytes>>>>,
    drivers: TaskTracker,
    turned_away: Arc<AtomicU64>,
}

impl Client {
    /// Requests that GOAWAY sent to another connection are counted by `turned_away`.
    pub(crate) fn new(target: Target, drivers: TaskTracker, turned_away: Arc<AtomicU64>) -> Self {
        Self { target, sender: Mutex::new(None), drivers, turned_away }
    }

    /// Sends a request once and reads its whole answer.
    pub(crate) async fn exchange(&self, request: &Request) -> Result<Response, Failure> {
        timeout(PATIENCE, async {
            let response = self.send(request).await?;
            let status = response.status().as_u16();
            let body = read(response.into_body()).await?;
            Ok(Response { status, body, close: false })
        })
        .await
        .map_err(|_| Failure::TimedOut)?
    }

    async fn send(&self, request: &Request) -> Result<http::Response<Incoming>, Failure> {
        let message = self.message(request)?;
        for _ in 0..CONNECTIONS {
            let mut sender = self.sender().await?;
            let mut failed = match sender.try_send_request(message.clone()).await {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            let untouched = failed.take_message().is_some();
            let error = failed.into_error();
            if !untouched {
                if !never_taken(&error) {
                    return Err(broke(error));
                }
                self.turned_away.fetch_add(1, Ordering::Relaxed);
            }
            *self.sender.lock().await = None;
        }
        Err(Failure::Refused)
    }

    fn message(&self, request: &Request) -> Result<http::Request<Full<Bytes>>, Failure> {
        let Request { method, path, id, body, .. } = request;
        let body = match body {
            Body::None => Bytes::new(),
            Body::Length(bytes) | Body::Chunked(bytes) => Bytes::copy_from_slice(bytes),
        };
        http::Request::builder()
            .method(*method)
            .uri(format!("https://{}{path}", self.target.name))
            .header("x-request-id", id)
            .body(Full::new(body))
            .map_err(|error| Failure::Wrong(error.to_string()))
    }

    async fn sender(&self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let mut kept = self.sender.lock().await;
        if let Some(sender) = kept.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let stream = TokioIo::new(self.target.connect(true).await?);
        let (sender, driver) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
            .await
            .map_err(broke)?;
        self.drivers.spawn(async move {
            // What it means for a request, the request says.
            let _ = driver.await;
        });
        *kept = Some(sender.clone());
        Ok(sender)
    }

    /// Lets the connection end.
    pub(crate) async fn close(&self) {
        *self.sender.lock().await = None;
    }
}

async fn read(mut body: Incoming) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Failure::Truncated(bytes.len()))?;
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}

/// Whether the server said that it has not looked at the request: its stream is above the last one
/// that a GOAWAY without an error names, or was refused. Such a request counts as never sent
/// (RFC 9113, 6.8 and 8.7), and whoever sends it on another connection repeats nothing.
fn never_taken(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|it| it.downcast_ref::<h2::Error>());
    cause.is_some_and(|it| {
        let gone = it.is_go_away() && it.reason() == Some(h2::Reason::NO_ERROR);
        let refused = it.is_reset() && it.reason() == Some(h2::Reason::REFUSED_STREAM);
        it.is_remote() && (gone || refused)
    })
}

fn broke(error: hyper::Error) -> Failure {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    Failure::Reset(text)
}
