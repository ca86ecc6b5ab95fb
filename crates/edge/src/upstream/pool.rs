//! Idle connections to a target.

use super::gate::Gate;
use super::wire::Wire;
use http::HeaderMap;
use hyper::client::conn::http1::SendRequest;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long an idle connection is kept: well below the shortest time (2 s) after which common servers
/// close one from their side, so that a request rarely meets a closing server.
const KEPT: Duration = Duration::from_secs(1);
/// How many are kept for one target.
const MOST: usize = 256;

/// A connection to a target that is not in use or carries one request.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) sender: SendRequest<Gate>,
    pub(crate) wire: Arc<Wire>,
}

/// The idle connections, the most recently used one on top. Closed while the target gets nothing.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    open: bool,
    idle: Vec<(Instant, Connection)>,
}

impl Pool {
    /// Keeps connections from now on.
    pub(crate) fn open(&self) {
        self.shelf().open = true;
    }

    /// Drops all and keeps none.
    pub(crate) fn close(&self) {
        let dropped = {
            let mut shelf = self.shelf();
            shelf.open = false;
            std::mem::take(&mut shelf.idle)
        };
        drop(dropped);
    }

    /// A connection that can take a request.
    pub(crate) fn take(&self) -> Option<Connection> {
        let now = Instant::now();
        let mut shelf = self.shelf();
        while let Some((until, connection)) = shelf.idle.pop() {
            if until > now && connection.sender.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for some time once it can take another request.
    pub(crate) fn put(&self, connection: Connection, kept: Duration) {
        if !connection.sender.is_ready() || kept.is_zero() {
            return;
        }
        let mut shelf = self.shelf();
        if shelf.open && shelf.idle.len() < MOST {
            shelf.idle.push((Instant::now() + kept, connection));
        }
    }

    /// Drops those that were idle for too long.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        self.shelf()
            .idle
            .retain(|(until, connection)| *until > now && !connection.sender.is_closed());
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a connection may be kept idle by the head of an answer: shorter when the target says
/// in `Keep-Alive` that it closes soon.
pub(crate) fn kept(headers: &HeaderMap) -> Duration {
    let stated = headers
        .get("keep-alive")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.split(',').find_map(|part| part.trim().strip_prefix("timeout=")))
        .and_then(|seconds| seconds.trim().parse().ok())
        .map(Duration::from_secs);
    stated.map_or(KEPT, |stated| KEPT.min(stated.saturating_sub(KEPT)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_closes_soon_is_believed() {
        let kept_with = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("keep-alive", http::HeaderValue::from_static(text));
            kept(&headers)
        };
        assert_eq!(kept(&HeaderMap::new()), KEPT);
        assert_eq!(kept_with("timeout=5, max=100"), KEPT);
        assert_eq!(kept_with("max=100, timeout=1"), Duration::ZERO);
        assert_eq!(kept_with("timeout=soon"), KEPT);
    }
}
