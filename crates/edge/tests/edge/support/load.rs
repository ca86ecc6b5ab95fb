//! Load that knows of each request what became of it.

use super::client::{Client, Keys};
use bytes::Bytes;
use http_body_util::Full;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// The name that the load asks for.
pub const HOST: &str = "shop.example";

/// Clients of all kinds that run until they are stopped.
pub struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

struct Shared {
    keys: Keys,
    address: SocketAddr,
    stop: AtomicBool,
    answered: AtomicU64,
    lost: Mutex<Vec<String>>,
}

/// What a client does.
#[derive(Debug, Clone, Copy)]
enum Kind {
    KeepAlive,
    Idle,
    OneShot,
    Post,
    Slow,
    Streams,
    Http2,
}

impl Load {
    /// Starts all kinds of clients, none of which sends anything twice.
    pub fn start(keys: Keys, address: SocketAddr) -> Self {
        let shared = Arc::new(Shared {
            keys,
            address,
            stop: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            lost: Mutex::default(),
        });
        let mut clients = JoinSet::new();
        for kind in [
            Kind::KeepAlive,
            Kind::KeepAlive,
            Kind::Idle,
            Kind::OneShot,
            Kind::Post,
            Kind::Slow,
            Kind::Streams,
            Kind::Http2,
            Kind::Http2,
        ] {
            clients.spawn(client(Arc::clone(&shared), kind));
        }
        Self { shared, clients }
    }

    pub fn answered(&self) -> u64 {
        self.shared.answered.load(SeqCst)
    }

    /// Waits until this many more requests were answered.
    pub async fn more(&self, count: u64) {
        let goal = self.answered() + count;
        super::eventually("the load goes on", || async { self.answered() >= goal }).await;
    }

    /// Stops, and says how many were answered and what was lost.
    pub async fn stop(mut self) -> (u64, Vec<String>) {
        self.shared.stop.store(true, SeqCst);
        while let Some(ended) = self.clients.join_next().await {
            ended.expect("the client did not panic");
        }
        let lost = std::mem::take(&mut *self.shared.lost.lock().expect("not poisoned"));
        (self.answered(), lost)
    }
}

async fn client(shared: Arc<Shared>, kind: Kind) {
    let mut kept = None;
    while !shared.stop.load(SeqCst) {
        if let Err(why) = shared.request(kind, &mut kept).await {
            shared.lost.lock().expect("not poisoned").push(format!("{kind:?}: {why}"));
            kept = None;
        } else {
            shared.answered.fetch_add(1, SeqCst);
        }
        let pause = match kind {
            Kind::Idle => 150,
            _ => 1,
        };
        sleep(Duration::from_millis(pause)).await;
    }
}

/// Whether an HTTP/2 connection was told to go before the request was taken, or before it was sent:
/// the client has to take another one (RFC 9113, 6.8), which is no loss.
fn is_moved(error: &hyper::Error) -> bool {
    error.is_canceled() || format!("{error:?}").contains("GoAway(b\"\", NO_ERROR, Remote)")
}

impl Shared {
    async fn request(&self, kind: Kind, kept: &mut Option<Client>) -> Result<(), String> {
        let mut client = match self.reuse(kept.take()).await? {
            Some(client) => client,
            None => match kind {
                Kind::Http2 => Client::two(&self.keys, self.address, HOST).await,
                _ => Client::one(&self.keys, self.address, HOST).await,
            }
            .map_err(|error| format!("connecting: {error}"))?,
        };
        let (method, path, body, length) = match kind {
            Kind::Post => ("POST", "/echo", vec![b'p'; 100_000], 100_000),
            Kind::Slow => ("GET", "/slow/120", Vec::new(), 1),
            Kind::Streams => ("GET", "/stream/15", Vec::new(), 10_000),
            _ => ("GET", "/", Vec::new(), 1),
        };
        let request = client.request(method, HOST, path);
        let request = match kind {
            Kind::OneShot => request.header("connection", "close"),
            _ => request,
        };
        let request = request.body(Full::new(Bytes::from(body))).map_err(|e| e.to_string())?;
        let answer = match client.send(request.clone()).await {
            Err(error) if matches!(kind, Kind::Http2) && is_moved(&error) => {
                client = Client::two(&self.keys, self.address, HOST)
                    .await
                    .map_err(|error| format!("connecting: {error}"))?;
                client.send(request).await
            }
            answered => answered,
        };
        let answer = answer.map_err(|error| format!("{error:?}"))?;
        if answer.status != 200 || answer.body.len() != length {
            return Err(format!("{} with {} bytes", answer.status, answer.body.len()));
        }
        let closes = answer.header("connection") == "close";
        *kept = (!closes && !matches!(kind, Kind::OneShot)).then_some(client);
        Ok(())
    }

    /// A kept connection. It may have ended by GOAWAY, but with HTTP/1.1 only after an answer that
    /// said so: a client that had sent its next request by then would have lost it.
    async fn reuse(&self, kept: Option<Client>) -> Result<Option<Client>, String> {
        let Some(mut client) = kept else { return Ok(None) };
        match (client.is_usable().await, &client) {
            (true, _) => Ok(Some(client)),
            (false, Client::Two(_)) => Ok(None),
            (false, Client::One(_)) => Err("the connection was closed without a word".to_owned()),
        }
    }
}
