//! Connections that leave HTTP by `101 Switching Protocols`, such as WebSockets.

use super::headers::has_token;
use crate::count::add;
use crate::edge::Edge;
use crate::relay::{End, relay};
use crate::target::Running;
use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{HeaderMap, Method, Version};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

/// How long both sides have to leave HTTP after the answer.
const LEAVING: Duration = Duration::from_secs(10);

/// The protocol that a client wants instead.
pub(super) fn wanted(
    method: &Method,
    version: Version,
    headers: &HeaderMap,
) -> Option<HeaderValue> {
    let asks = version == Version::HTTP_11 && has_token(headers, &CONNECTION, "upgrade");
    headers.get(UPGRADE).filter(|_| asks && *method != Method::CONNECT).cloned()
}

/// Carries bytes both ways, as a task of the edge, once both sides have left HTTP.
pub(super) fn carry(
    edge: &Arc<Edge>,
    (client, target): (OnUpgrade, OnUpgrade),
    running: Running,
    permit: Arc<OwnedSemaphorePermit>,
) {
    edge.connections.spawn(async move {
        let both = async { tokio::try_join!(client, target) };
        match timeout(LEAVING, both).await {
            Ok(Ok((client, target))) => end(client, target, &running).await,
            Ok(Err(error)) => tracing::debug!(%error, "a connection did not leave HTTP"),
            Err(_) => tracing::debug!("a connection did not leave HTTP in time"),
        }
        drop(permit);
    });
}

async fn end(client: Upgraded, target: Upgraded, running: &Running) {
    match relay(TokioIo::new(client), TokioIo::new(target), &running.cut).await {
        End::Cut => add(&running.stack.cut),
        End::TargetBroke => running.broke(),
        End::Closed | End::ClientBroke | End::Idle => {}
    }
}
