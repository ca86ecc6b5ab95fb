//! Who listens on a port: health only counts when it is the instance itself.

use crate::diagnosis;
use crate::process::{self, Family};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Who has a listening socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Nobody listens.
    Nobody,
    /// The instance alone.
    Instance,
    /// Somebody else, also.
    Other(String),
}

/// Who listens on an address.
pub(crate) fn owner(address: SocketAddr, family: &Family) -> Owner {
    let sockets = listening(address);
    if sockets.is_empty() {
        return Owner::Nobody;
    }
    let mut strange = sockets;
    let mut hidden = false;
    let mut remove_held = |pid, strange: &mut BTreeSet<u64>| match held_by(pid) {
        Some(held) => strange.retain(|socket| !held.contains(socket)),
        None => hidden = true,
    };
    if let Some(main) = &family.main {
        remove_held(main.pid, &mut strange);
    }
    if !strange.is_empty() {
        for member in process::members(family, &BTreeSet::new()) {
            remove_held(member.pid, &mut strange);
        }
    }
    match strange.first().map(|socket| who(*socket)) {
        None => Owner::Instance,
        Some(Some(who)) => Owner::Other(who),
        // A process of the instance hides what it has from this user, and nobody who can be seen
        // has the socket: then it is taken for the instance's own.
        Some(None) if hidden => Owner::Instance,
        Some(None) => Owner::Other("another process".to_owned()),
    }
}

/// The sockets that a process has; none when they may not be seen.
fn held_by(pid: u32) -> Option<BTreeSet<u64>> {
    let entries = match std::fs::read_dir(format!("/proc/{pid}/fd")) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return None,
        Err(_) => return Some(BTreeSet::new()),
    };
    let sockets = entries
        .flatten()
        .filter_map(|entry| {
            let target = std::fs::read_link(entry.path()).ok()?;
            target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
        })
        .collect();
    Some(sockets)
}

/// A name for whoever has a socket, as far as it can be seen.
fn who(socket: u64) -> Option<String> {
    let pid = std::fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .find(|pid| held_by(*pid).is_some_and(|held| held.contains(&socket)))?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("another process ({pid} {})", name.trim()))
}

/// The inodes of sockets that listen where a connection to this address may end.
fn listening(address: SocketAddr) -> BTreeSet<u64> {
    if let Ok(found) = diagnosis::listening(address.port()) {
        let covering = found.into_iter().filter(|socket| covers(socket.host, address.ip()));
        return covering.map(|socket| socket.inode).collect();
    }
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .flat_map(|text| parse(&text, address))
        .collect()
}

fn parse(table: &str, address: SocketAddr) -> Vec<u64> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let (host, port) = fields.get(1)?.split_once(':')?;
            let listens = *fields.get(3)? == "0A";
            let same_port = u16::from_str_radix(port, 16).ok()? == address.port();
            if !listens || !same_port || !covers(parse_host(host)?, address.ip()) {
                return None;
            }
            fields.get(9)?.parse().ok()
        })
        .collect()
}

/// Whether a socket bound to `bound` takes connections to `wanted`.
fn covers(bound: IpAddr, wanted: IpAddr) -> bool {
    bound == wanted || bound.to_canonical() == wanted || bound.is_unspecified()
}

/// Addresses are written as 32-bit words in the byte order of the host.
fn parse_host(hex: &str) -> Option<IpAddr> {
    let words: Option<Vec<[u8; 4]>> = (0..hex.len() / 8)
        .map(|word| {
            let text = hex.get(word * 8..word * 8 + 8)?;
            u32::from_str_radix(text, 16).ok().map(u32::to_ne_bytes)
        })
        .collect();
    match words?.as_slice() {
        [v4] => Some(IpAddr::V4(Ipv4Addr::from(*v4))),
        [a, b, c, d] => {
            let mut bytes = [0_u8; 16];
            for (index, word) in [a, b, c, d].into_iter().enumerate() {
                bytes[index * 4..index * 4 + 4].copy_from_slice(word);
            }
            Some(IpAddr::V6(Ipv6Addr::from(bytes)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn own_sockets_are_own_and_others_are_named() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("bound");
        let main = process::identify(std::process::id(), "boot");
        let ours = Family { id: "ours".into(), main, ..Family::default() };
        assert_eq!(owner(address, &ours), Owner::Instance);
        let theirs = Family { id: "theirs".into(), ..Family::default() };
        assert!(
            matches!(owner(address, &theirs), Owner::Other(name) if name.contains(&std::process::id().to_string()))
        );
        drop(socket);
        assert_eq!(owner(address, &ours), Owner::Nobody);
    }

    #[test]
    fn both_ways_to_ask_agree() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("bound");
        let table = std::fs::read_to_string("/proc/net/tcp").expect("the table");
        let from_table: BTreeSet<u64> = parse(&table, address).into_iter().collect();
        assert_eq!(from_table.len(), 1);
        assert_eq!(listening(address), from_table);
    }

    #[test]
    fn wildcards_cover_loopback() {
        let wanted = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert!(covers(parse_host("00000000").expect("v4"), wanted));
        assert!(covers(parse_host(&"0".repeat(32)).expect("v6"), wanted));
        assert!(!covers(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), wanted));
    }
}
