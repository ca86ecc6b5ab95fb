//! Clients of a service: as little HTTP/1.1 as the tests need, with and without TLS.

use landfall_testkit::client::{connect, trusting};
use std::io::{Error, ErrorKind, Read, Result, Write};

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// One request on a connection of its own.
pub fn get(port: u16, path: &str) -> Result<Answer> {
    Connection::plain(port)?.get(path, true)
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A connection that stays.
pub struct Connection {
    stream: Box<dyn Stream>,
    /// The server's certificate, when there is one.
    pub leaf: Option<Vec<u8>>,
}

impl Connection {
    pub fn plain(port: u16) -> Result<Self> {
        Ok(Self { stream: Box::new(connect(port)?), leaf: None })
    }

    /// Trusts this CA or certificate only, and wants `localhost`.
    pub fn tls(port: u16, trusted_pem: &str) -> Result<Self> {
        let mut session = trusting(trusted_pem)?;
        let mut socket = connect(port)?;
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        let leaf = session.peer_certificates().and_then(|it| it.first()).map(|it| it.to_vec());
        Ok(Self { stream: Box::new(rustls::StreamOwned::new(session, socket)), leaf })
    }

    /// One request; more may follow unless it is the last.
    pub fn get(&mut self, path: &str, last: bool) -> Result<Answer> {
        let connection = if last { "close" } else { "keep-alive" };
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n");
        self.stream.write_all(head.as_bytes())?;
        self.stream.flush()?;
        let head = self.head()?;
        let bad = || Error::new(ErrorKind::InvalidData, format!("no answer: {head:?}"));
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).ok_or_else(bad)?;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        let mut body = vec![0; length.unwrap_or(0)];
        self.stream.read_exact(&mut body)?;
        Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
    }

    fn head(&mut self) -> Result<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        Ok(String::from_utf8_lossy(&head).into_owned())
    }
}
