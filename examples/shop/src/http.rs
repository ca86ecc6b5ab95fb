//! As much of HTTP/1.1 as the shop needs.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The largest head and the largest body, in bytes.
const HEAD: usize = 64 << 10;
const BODY: usize = 64 << 20;

/// One connection of a client.
pub struct Connection {
    input: BufReader<TcpStream>,
}

/// A request, whole.
pub struct Request {
    /// The request line and headers as they came.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
    /// Whether the client wants no more answers.
    pub close: bool,
    /// The value of `X-Request-Id`.
    pub id: Option<String>,
    target: String,
}

impl Request {
    /// The path without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A value of the query.
    pub fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

/// An answer.
pub struct Response {
    /// Its status.
    pub status: u16,
    kind: &'static str,
    body: Vec<u8>,
    drip: bool,
}

impl Response {
    /// Plain text.
    pub fn text(status: u16, text: &str) -> Self {
        Self::bytes(status, "text/plain; charset=utf-8", text.as_bytes().to_vec())
    }

    /// A page.
    pub fn html(text: &str) -> Self {
        Self::bytes(200, "text/html; charset=utf-8", text.as_bytes().to_vec())
    }

    /// Anything.
    pub const fn bytes(status: u16, kind: &'static str, body: Vec<u8>) -> Self {
        Self { status, kind, body, drip: false }
    }

    /// So many lines, one every tenth of a second, chunked.
    pub fn drip(pieces: u64) -> Self {
        let body = (1..=pieces).map(|piece| format!("{piece}\n")).collect::<String>();
        Self { status: 200, kind: "text/plain", body: body.into_bytes(), drip: true }
    }
}

fn bad(why: &str) -> Error {
    Error::new(ErrorKind::InvalidData, why.to_owned())
}

impl Connection {
    /// Starts to listen to a client.
    pub fn new(stream: TcpStream) -> Self {
        Self { input: BufReader::new(stream) }
    }

    /// The next request; nothing when the client is done.
    pub fn read(&mut self) -> std::io::Result<Option<Request>> {
        let mut head = String::new();
        loop {
            let before = head.len();
            let read = (&mut self.input).take(HEAD as u64).read_line(&mut head)?;
            if read == 0 {
                return if before == 0 { Ok(None) } else { Err(bad("a head without an end")) };
            }
            if head.len() > HEAD {
                return Err(bad("a head that is too long"));
            }
            if head[before..].trim_end().is_empty() {
                break;
            }
        }
        let header = |name: &str| {
            head.lines().skip(1).find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let target = head.split(' ').nth(1).ok_or_else(|| bad("no target"))?.to_owned();
        let close = header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let id = header("x-request-id");
        let chunked =
            header("transfer-encoding").is_some_and(|it| it.eq_ignore_ascii_case("chunked"));
        let body = if chunked {
            self.read_chunks()?
        } else {
            let length: usize =
                header("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
            if length > BODY {
                return Err(bad("a body that is too long"));
            }
            let mut body = vec![0; length];
            self.input.read_exact(&mut body)?;
            body
        };
        Ok(Some(Request { head, body, close, id, target }))
    }

    fn read_chunks(&mut self) -> std::io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let mut line = String::new();
            (&mut self.input).take(1024).read_line(&mut line)?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size =
                usize::from_str_radix(size, 16).map_err(|_| bad("a chunk without a size"))?;
            if body.len() + size > BODY {
                return Err(bad("a body that is too long"));
            }
            let start = body.len();
            body.resize(start + size, 0);
            self.input.read_exact(&mut body[start..])?;
            let mut end = String::new();
            (&mut self.input).take(1024).read_line(&mut end)?;
            if size == 0 {
                // Trailers, up to the empty line.
                while !end.trim_end().is_empty() {
                    end.clear();
                    (&mut self.input).take(1024).read_line(&mut end)?;
                }
                return Ok(body);
            }
        }
    }

    /// Answers.
    pub fn write(&mut self, response: &Response, last: bool) -> std::io::Result<()> {
        let connection = if last { "close" } else { "keep-alive" };
        let Response { status, kind, body, drip } = response;
        let length = if *drip {
            "Transfer-Encoding: chunked".to_owned()
        } else {
            format!("Content-Length: {}", body.len())
        };
        let reason = if *status < 400 { "OK" } else { "No" };
        let mut bytes = format!(
            "HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\n{length}\r\nConnection: {connection}\r\n\r\n"
        )
        .into_bytes();
        let output = self.input.get_mut();
        if !drip {
            bytes.extend_from_slice(body);
            return output.write_all(&bytes);
        }
        output.write_all(&bytes)?;
        for line in body.split_inclusive(|byte| *byte == b'\n') {
            write!(output, "{:x}\r\n", line.len())?;
            output.write_all(line)?;
            output.write_all(b"\r\n")?;
            std::thread::sleep(Duration::from_millis(100));
        }
        output.write_all(b"0\r\n\r\n")
    }
}
