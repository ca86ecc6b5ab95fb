//! Ports for instances, from a reserved range outside the kernel's own.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

/// The range when none is given: below the kernel's range for outgoing connections.
pub const DEFAULT: RangeInclusive<u16> = 20_000..=29_999;

/// Gives ports.
#[derive(Debug)]
pub struct Ports {
    host: IpAddr,
    range: RangeInclusive<u16>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    taken: BTreeSet<u16>,
    next: u16,
}

impl Ports {
    /// On this address, from this range.
    #[must_use]
    pub fn new(host: IpAddr, range: RangeInclusive<u16>) -> Self {
        let next = *range.start();
        Self { host, range, state: Mutex::new(State { taken: BTreeSet::new(), next }) }
    }

    /// Takes a port that nobody listens on. Goes round, so that a port rests before it is used
    /// again. None when all are taken.
    #[must_use]
    pub fn take(&self) -> Option<SocketAddr> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in self.range.clone() {
            let port = state.next;
            state.next = if port >= *self.range.end() { *self.range.start() } else { port + 1 };
            let address = SocketAddr::new(self.host, port);
            if !state.taken.contains(&port) && TcpListener::bind(address).is_ok() {
                state.taken.insert(port);
                return Some(address);
            }
        }
        None
    }

    /// Marks a port that an instance of an earlier life has.
    pub fn keep(&self, port: u16) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.taken.insert(port);
        if state.next == port && port < *self.range.end() {
            state.next = port + 1;
        }
    }

    /// Gives a port back.
    pub fn give_back(&self, port: u16) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).taken.remove(&port);
    }

    /// Whether the kernel may give ports of the range to outgoing connections.
    #[must_use]
    pub fn overlaps_ephemeral(&self) -> bool {
        let text =
            std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
        let mut words = text.split_ascii_whitespace().filter_map(|word| word.parse::<u16>().ok());
        match (words.next(), words.next()) {
            (Some(low), Some(high)) => low <= *self.range.end() && high >= *self.range.start(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_port_in_use_is_skipped_and_none_is_given_twice() {
        let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let other = TcpListener::bind((host, 0)).expect("a port");
        let port = other.local_addr().expect("bound").port();
        let ports = Ports::new(host, port..=port);
        assert_eq!(ports.take(), None);
        drop(other);
        assert_eq!(ports.take(), Some(SocketAddr::new(host, port)));
        assert_eq!(ports.take(), None);
        ports.give_back(port);
        assert!(ports.take().is_some());
    }
}
