//! Clients that ask all the while.

use crate::world::{PATIENCE, ask};
use landfall_testkit::until;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Four clients, each with a new connection for each request, which they never repeat.
pub struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    clients: Vec<std::thread::JoinHandle<Vec<String>>>,
}

impl Load {
    /// Starts once the address answers: a node learns of a new Service a moment after it was made.
    pub fn start(address: SocketAddr) -> Self {
        until("the address to answer", PATIENCE, || ask(address).ok());
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let clients = (0..4).map(|_| {
            let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
            std::thread::spawn(move || {
                let mut lost = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    asked.fetch_add(1, Ordering::Relaxed);
                    let began = jiff::Timestamp::now();
                    lost.extend(ask(address).err().map(|error| format!("{began}: {error}")));
                    std::thread::sleep(Duration::from_millis(10));
                }
                lost
            })
        });
        let clients = clients.collect();
        Self { stop, asked, clients }
    }

    /// How many were asked, and what was lost.
    pub fn end(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let lost = self.clients.into_iter().flat_map(|it| it.join().expect("a client")).collect();
        (self.asked.load(Ordering::Relaxed), lost)
    }
}
