//! Ports for listeners in tests.

use std::net::TcpListener;

/// So many different ports of the loopback address that nobody has at the moment.
#[must_use]
pub fn free_ports<const N: usize>() -> [u16; N] {
    let sockets: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind(("127.0.0.1", 0)).expect("a port"));
    std::array::from_fn(|index| sockets[index].local_addr().expect("an address").port())
}
