//! Clients that ask all the while.

use crate::world::ask;
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
    pub fn start(address: SocketAddr) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let clients = (0..4).map(|_| {
            let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
            std::thread::spawn(move || {
                let mut lost = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    asked.fetch_add(1, Ordering::Relaxed);
                    lost.extend(ask(address).err().map(|error| error.to_string()));
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
