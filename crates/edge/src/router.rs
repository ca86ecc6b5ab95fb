//! Chooses where something goes, always by the configuration in force.

use crate::table::{Kind, Route, RouteAction, Share, Table};
use crate::target::{Running, Target};
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError, RwLock};

/// Holds the table in force.
///
/// Choosing and counting happen under the read lock. So once [`Router::replace`] returns, everything
/// that was chosen by the older table is counted, and nothing more will be: whoever then sees a
/// target's count at zero can end it.
#[derive(Default)]
pub(crate) struct Router {
    table: RwLock<Arc<Table>>,
}

/// Where something goes.
pub(crate) enum Pick {
    /// No listener answers for this host here.
    NoListener,
    /// Back to the client, to the `https` address on this port.
    Redirect(Arc<Route>, u16),
    /// Nobody is healthy, or all were tried.
    Unavailable(Arc<Route>),
    /// To a target, where it is already counted.
    Target(Arc<Route>, Running),
}

impl Router {
    /// The table in force.
    pub(crate) fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a table in force and returns the older one.
    pub(crate) fn replace(&self, table: Arc<Table>) -> Arc<Table> {
        let mut current = self.table.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *current, table)
    }

    /// What begins on a connection of this address.
    pub(crate) fn kind(&self, address: SocketAddr) -> Option<Kind> {
        self.table().addresses.get(&address).map(|found| found.kind)
    }

    /// The listener for a host at this address.
    pub(crate) fn route(&self, address: SocketAddr, host: Option<&str>) -> Option<Arc<Route>> {
        self.table().addresses.get(&address)?.find(host).cloned()
    }

    /// Chooses a target for a host at this address, none of those that were tried.
    pub(crate) fn pick(
        &self,
        address: SocketAddr,
        host: Option<&str>,
        tried: &[SocketAddr],
    ) -> Pick {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let Some(route) = table.addresses.get(&address).and_then(|found| found.find(host)) else {
            return Pick::NoListener;
        };
        let shares = match &route.action {
            RouteAction::RedirectHttps(port) => return Pick::Redirect(Arc::clone(route), *port),
            RouteAction::Forward(shares) => shares,
        };
        let turn = route.turn.fetch_add(1, Relaxed);
        match choose(shares, turn, tried) {
            Some(target) => Pick::Target(Arc::clone(route), target.run(&route.stack)),
            None => Pick::Unavailable(Arc::clone(route)),
        }
    }
}

/// A share by weight among those that have somebody, and there the one where least runs.
fn choose<'a>(shares: &'a [Share], turn: u64, tried: &[SocketAddr]) -> Option<&'a Arc<Target>> {
    let free = |target: &&Arc<Target>| !tried.contains(&target.address);
    let usable = || shares.iter().filter(|share| share.targets.iter().any(|one| free(&one)));
    let total: u64 = usable().map(|share| share.weight).sum();
    let point = spread(turn, total);
    let mut reached = 0;
    let share = usable().find(|share| {
        reached += share.weight;
        point < reached
    })?;
    let first = usize::try_from(turn % share.targets.len() as u64).unwrap_or(0);
    let (after, before) = (&share.targets[first..], &share.targets[..first]);
    after.iter().chain(before).filter(free).min_by_key(|target| target.running())
}

/// A point below `total` for every turn, such that any run of turns is spread evenly (multiples of
/// the golden ratio).
fn spread(turn: u64, total: u64) -> u64 {
    let fraction = turn.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let point = (u128::from(fraction) * u128::from(total)) >> 64;
    u64::try_from(point).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(weight: u64, ports: &[u16]) -> Share {
        let target = |port: &u16| {
            Arc::new(Target::new(format!("i{port}"), SocketAddr::from(([127, 0, 0, 1], *port))))
        };
        Share { weight, targets: ports.iter().map(target).collect() }
    }

    fn counted(shares: &[Share], tried: &[SocketAddr]) -> Vec<usize> {
        let mut counts = vec![0; shares.len()];
        for turn in 0..1_000 {
            let target = choose(shares, turn, tried).expect("somebody");
            let which = shares.iter().position(|share| {
                share.targets.iter().any(|candidate| Arc::ptr_eq(candidate, target))
            });
            counts[which.expect("one of them")] += 1;
        }
        counts
    }

    #[test]
    fn shares_come_out_even() {
        let counts = counted(&[share(90, &[1, 2]), share(10, &[3]), share(0, &[4])], &[]);
        assert!((895..=905).contains(&counts[0]), "{counts:?}");
        assert_eq!(counts[2], 0);
    }

    #[test]
    fn a_share_without_anybody_is_skipped() {
        let tried = [SocketAddr::from(([127, 0, 0, 1], 1))];
        assert_eq!(
            counted(&[share(90, &[1]), share(10, &[3]), share(50, &[])], &tried),
            [0, 1_000, 0]
        );
        assert!(choose(&[share(90, &[1]), share(0, &[2])], 0, &tried).is_none());
    }

    #[test]
    fn the_least_busy_target_is_taken() {
        let shares = [share(1, &[1, 2, 3])];
        let stack = Arc::default();
        let _first = shares[0].targets[0].run(&stack);
        let _third = shares[0].targets[2].run(&stack);
        for turn in 0..10 {
            assert_eq!(choose(&shares, turn, &[]).expect("somebody").address.port(), 2);
        }
    }
}
