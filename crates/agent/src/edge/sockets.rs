//! Listening sockets: opened here, passed on as the same descriptors to every edge process.

use landfall_protocol::edge;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

/// The queue of connections that nobody has accepted yet.
const BACKLOG: i32 = 4096;

/// The listening sockets of this host.
#[derive(Default)]
pub(crate) struct Sockets {
    open: BTreeMap<SocketAddr, TcpListener>,
}

impl Sockets {
    /// Takes over sockets that an edge still had.
    pub(crate) fn adopt(&mut self, sockets: Vec<(SocketAddr, OwnedFd)>) {
        self.open.extend(sockets.into_iter().map(|(address, it)| (address, TcpListener::from(it))));
    }

    pub(crate) const fn open(&self) -> &BTreeMap<SocketAddr, TcpListener> {
        &self.open
    }

    /// Why an address could not be opened, when it is not open already and could not be.
    pub(crate) fn refused(&self, address: SocketAddr) -> Option<String> {
        // Another address of a port that is ours is opened after ours was closed.
        if self.open.keys().any(|open| open.port() == address.port()) {
            return None;
        }
        bind(address).err().map(|error| explain(address, &error))
    }

    /// Opens what is missing and closes what nobody wants; says what could not be opened.
    pub(crate) fn ensure(&mut self, wanted: &BTreeSet<SocketAddr>) -> BTreeMap<SocketAddr, String> {
        self.open.retain(|address, _| wanted.contains(address));
        let mut problems = BTreeMap::new();
        for address in wanted {
            if self.open.contains_key(address) {
                continue;
            }
            match bind(*address) {
                Ok(socket) => {
                    self.open.insert(*address, socket);
                }
                Err(error) => {
                    problems.insert(*address, explain(*address, &error));
                }
            }
        }
        problems
    }
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// Why a port could not be opened, with the ways out.
pub(crate) fn explain(address: SocketAddr, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => format!(
            "cannot listen on {address}: ports below 1024 need a right that this user does not have. Three ways out: run the agent as a systemd unit with AmbientCapabilities=CAP_NET_BIND_SERVICE (`landfall agent unit`), lower net.ipv4.ip_unprivileged_port_start with sysctl, or give the program the capability with `setcap cap_net_bind_service=+ep`; or listen on 8443 and 8080"
        ),
        std::io::ErrorKind::AddrInUse => format!(
            "cannot listen on {address}: another program has the port; `ss -ltnp` says which"
        ),
        _ => format!("cannot listen on {address}: {error}"),
    }
}

/// Listeners of several stacks on one address that claim the same host: the later ones, with the
/// owner named. Who came first is who stands first in the list.
pub(crate) fn conflicts(
    parts: &[(String, Vec<edge::Listener>)],
) -> BTreeMap<(String, String), String> {
    let mut claimed: BTreeMap<(SocketAddr, Option<&String>), (&String, &String)> = BTreeMap::new();
    let mut problems = BTreeMap::new();
    for (stack, listeners) in parts {
        for listener in listeners {
            let hosts: Vec<Option<&String>> = if listener.hosts.is_empty() {
                vec![None]
            } else {
                listener.hosts.iter().map(Some).collect()
            };
            for host in hosts {
                match claimed.get(&(listener.listen, host)) {
                    Some((owner, name)) if *owner != stack => {
                        let what = host.map_or_else(String::new, |host| format!(" for {host}"));
                        problems.insert(
                            (stack.clone(), listener.name.clone()),
                            format!(
                                "{}{what} already belongs to {owner} (listener {name})",
                                listener.listen
                            ),
                        );
                    }
                    Some(_) => {}
                    None => {
                        claimed.insert((listener.listen, host), (stack, &listener.name));
                    }
                }
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_somebody_has_is_a_plain_error() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = taken.local_addr().expect("an address");
        let mut sockets = Sockets::default();
        let problems = sockets.ensure(&BTreeSet::from([address]));
        assert!(problems.get(&address).is_some_and(|why| why.contains("another program")));
        drop(taken);
        assert!(sockets.ensure(&BTreeSet::from([address])).is_empty());
        assert_eq!(sockets.open().len(), 1);
        assert!(sockets.ensure(&BTreeSet::new()).is_empty());
        assert!(sockets.open().is_empty());
    }
}
