//! A target as it lives through configurations: what runs there, its idle connections, and its end.

use crate::clock::now;
use crate::count::StackCount;
use crate::upstream::Pool;
use landfall_model::Timestamp;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

/// A target of one group.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) id: String,
    pub(crate) address: SocketAddr,
    pub(crate) pool: Pool,
    running: AtomicU64,
    standing: Mutex<Standing>,
}

/// How a target stands in the configuration.
#[derive(Debug, Default)]
struct Standing {
    place: Place,
    until: Option<Timestamp>,
    cut: CancellationToken,
}

/// Where a target is in its life.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is configured and stays, healthy or not.
    #[default]
    Staying,
    /// It is configured and drains.
    Draining,
    /// It is not configured any more.
    Gone,
}

impl Target {
    /// A target where nothing runs yet.
    pub(crate) fn new(id: String, address: SocketAddr) -> Self {
        Self {
            id,
            address,
            pool: Pool::default(),
            running: AtomicU64::new(0),
            standing: Mutex::default(),
        }
    }

    /// Counts something that starts to run here. Call it only under the router's lock, so that a
    /// new configuration is not reported while something is about to start by the older one.
    pub(crate) fn run(self: &Arc<Self>, stack: &Arc<StackCount>) -> Running {
        self.running.fetch_add(1, Ordering::SeqCst);
        let cut = self.standing().cut.clone();
        Running { target: Arc::clone(self), stack: Arc::clone(stack), cut }
    }

    /// How many requests or connections run here.
    pub(crate) fn running(&self) -> u64 {
        self.running.load(Ordering::SeqCst)
    }

    /// It is configured and not draining. An unhealthy one keeps no idle connections.
    pub(crate) fn stay(&self, healthy: bool) {
        let mut standing = self.standing();
        standing.place = Place::Staying;
        standing.until = None;
        if standing.cut.is_cancelled() {
            standing.cut = CancellationToken::new();
        }
        drop(standing);
        if healthy {
            self.pool.open();
        } else {
            self.pool.close();
        }
    }

    /// It gets nothing new, and what remains is cut then.
    pub(crate) fn drain(&self, until: Timestamp) {
        let mut standing = self.standing();
        standing.place = Place::Draining;
        standing.until = Some(until);
        drop(standing);
        self.pool.close();
    }

    /// It is no longer configured. What remains is cut at the end of its drain, or at this time when it
    /// had none.
    pub(crate) fn go(&self, until: Timestamp) {
        let mut standing = self.standing();
        standing.place = Place::Gone;
        standing.until.get_or_insert(until);
        drop(standing);
        self.pool.close();
    }

    /// Whether nobody needs to know of it any more.
    pub(crate) fn is_over(&self) -> bool {
        self.standing().place == Place::Gone && self.running() == 0
    }

    /// Cuts what runs here when its time has come.
    pub(crate) fn cut_if_due(&self, now: Timestamp) {
        let standing = self.standing();
        if standing.until.is_some_and(|until| until <= now) {
            standing.cut.cancel();
        }
    }

    /// Cuts what runs here.
    pub(crate) fn cut(&self) {
        self.standing().cut.cancel();
        self.pool.close();
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something that runs at a target: a request, or an opaque connection. It counts until dropped.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) target: Arc<Target>,
    pub(crate) stack: Arc<StackCount>,
    /// Cancelled when it must end.
    pub(crate) cut: CancellationToken,
}

impl Running {
    /// Counts that it broke by the target's doing: cut when its time was over anyway, lost when a change
    /// could be the cause, and an error otherwise.
    pub(crate) fn broke(&self) {
        let standing = self.target.standing();
        let over = standing.until.is_some_and(|until| until <= now());
        let leaving = standing.place != Place::Staying;
        drop(standing);
        let stack = &self.stack;
        crate::count::add(match (over || self.cut.is_cancelled(), leaving) {
            (true, _) => &stack.cut,
            (false, true) => &stack.lost,
            (false, false) => &stack.errors,
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.target.running.fetch_sub(1, Ordering::SeqCst);
    }
}
