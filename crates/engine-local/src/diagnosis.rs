//! The listening sockets of a port, asked of the kernel directly (`sock_diag(7)`): on a host with
//! many thousand connections, `/proc/net/tcp` takes longer to read than a health check to answer.

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
    sockopt,
};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// `SOCK_DIAG_BY_FAMILY`, `linux/sock_diag.h`.
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_DUMP`, `linux/netlink.h`.
const FLAGS: u16 = 0x1 | 0x300;
/// `NLMSG_ERROR` and `NLMSG_DONE`.
const ERROR: u16 = 2;
const DONE: u16 = 3;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
/// `1 << TCP_LISTEN`.
const LISTENING: u32 = 1 << 10;
/// The header of a netlink message.
const HEAD: usize = 16;
/// `struct inet_diag_msg`, `linux/inet_diag.h`.
const MESSAGE: usize = 72;
/// The kernel answers at once; this only guards against a defect.
const ANSWER: Duration = Duration::from_secs(2);

/// A listening socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listening {
    /// Where it is bound.
    pub host: IpAddr,
    /// Its inode, as links in `/proc/PID/fd` name it.
    pub inode: u64,
}

/// All sockets that listen on a port, whatever their address.
///
/// # Errors
/// When the kernel does not answer, such as one without `tcp_diag`.
pub(crate) fn listening(port: u16) -> io::Result<Vec<Listening>> {
    let mut found = ask(AF_INET, port)?;
    found.extend(ask(AF_INET6, port)?);
    Ok(found)
}

fn ask(family: u8, port: u16) -> io::Result<Vec<Listening>> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(ANSWER))?;
    send(&socket, &request(family, port), SendFlags::empty())?;
    let mut found = Vec::new();
    let mut buffer = vec![0_u8; 32 << 10];
    loop {
        let (count, _) = recv(&socket, &mut buffer[..], RecvFlags::empty())?;
        if parse(&buffer[..count], port, &mut found)? {
            return Ok(found);
        }
    }
}

fn request(family: u8, port: u16) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MESSAGE);
    bytes.extend_from_slice(&72_u32.to_ne_bytes());
    bytes.extend_from_slice(&BY_FAMILY.to_ne_bytes());
    bytes.extend_from_slice(&FLAGS.to_ne_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&[family, IPPROTO_TCP, 0, 0]);
    bytes.extend_from_slice(&LISTENING.to_ne_bytes());
    bytes.extend_from_slice(&port.to_be_bytes());
    bytes.resize(MESSAGE, 0);
    bytes
}

/// Reads one datagram; says whether the answer is complete.
fn parse(mut bytes: &[u8], port: u16, found: &mut Vec<Listening>) -> io::Result<bool> {
    let broken = || io::Error::from(io::ErrorKind::InvalidData);
    while !bytes.is_empty() {
        let head = bytes.get(..HEAD).ok_or_else(broken)?;
        let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let kind = u16::from_ne_bytes([head[4], head[5]]);
        if length < HEAD || length > bytes.len() {
            return Err(broken());
        }
        let payload = &bytes[HEAD..length];
        match kind {
            DONE => return Ok(true),
            ERROR => return Err(error(payload).unwrap_or_else(broken)),
            _ => found.extend(parse_socket(payload, port)),
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

fn error(payload: &[u8]) -> Option<io::Error> {
    let code = i32::from_ne_bytes(payload.get(..4)?.try_into().ok()?);
    Some(io::Error::from_raw_os_error(-code))
}

fn parse_socket(payload: &[u8], port: u16) -> Option<Listening> {
    let payload = payload.get(..MESSAGE)?;
    if u16::from_be_bytes([payload[4], payload[5]]) != port {
        return None;
    }
    let host = match payload[0] {
        AF_INET => {
            let octets: [u8; 4] = payload[8..12].try_into().ok()?;
            IpAddr::V4(Ipv4Addr::from(octets))
        }
        AF_INET6 => {
            let octets: [u8; 16] = payload[8..24].try_into().ok()?;
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    let inode = u32::from_ne_bytes(payload[68..72].try_into().ok()?);
    Some(Listening { host, inode: u64::from(inode) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_kernel_names_who_listens() {
        let v4 = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = v4.local_addr().expect("bound").port();
        let found = match listening(port) {
            Ok(found) => found,
            Err(error) => return eprintln!("skipped: this kernel does not say: {error}"),
        };
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].host, IpAddr::V4(Ipv4Addr::LOCALHOST));
        let link =
            std::fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&v4)))
                .expect("a link");
        assert_eq!(link.to_str(), Some(format!("socket:[{}]", found[0].inode).as_str()));
        drop(v4);
        assert_eq!(listening(port).expect("an answer"), []);
    }

    #[test]
    fn broken_answers_are_errors() {
        let mut found = Vec::new();
        assert!(parse(&[1, 2, 3], 1, &mut found).is_err());
        assert!(parse(&[255; 16], 1, &mut found).is_err());
    }
}
