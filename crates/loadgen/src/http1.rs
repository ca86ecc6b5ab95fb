//! HTTP/1.1 by hand, so that it is certain that nothing is sent twice and nothing is forgiven.

use crate::target::{Failure, PATIENCE, Target};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

/// The largest head of an answer, in bytes.
const HEAD: usize = 64 << 10;
/// The largest body of an answer, in bytes.
const BODY: usize = 16 << 20;
/// The size of a chunk of a request's body, in bytes.
const CHUNK: usize = 8 << 10;

/// A request's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// None.
    None,
    /// With `Content-Length`.
    Length(Vec<u8>),
    /// With `Transfer-Encoding: chunked`.
    Chunked(Vec<u8>),
}

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// GET, POST.
    pub method: &'static str,
    /// Path and query.
    pub path: String,
    /// Its `X-Request-Id`.
    pub id: String,
    /// Its body.
    pub body: Body,
    /// Whether it is the last one on its connection.
    pub close: bool,
}

impl Request {
    /// A GET without a body.
    #[must_use]
    pub fn get(path: &str, id: &str) -> Self {
        let (path, id) = (path.to_owned(), id.to_owned());
        Self { method: "GET", path, id, body: Body::None, close: false }
    }
}

/// An answer that came whole.
#[derive(Debug, Clone)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
    /// Whether the connection ends with it.
    pub close: bool,
}

/// A connection.
pub struct Connection {
    stream: TlsStream<TcpStream>,
    read: Vec<u8>,
    name: String,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When it is refused, reset, or takes too long.
    pub async fn open(target: &Target) -> Result<Self, Failure> {
        let stream = target.connect(false).await?;
        Ok(Self { stream, read: Vec::new(), name: target.name.clone() })
    }

    /// Whether the other side has ended it, as far as can be seen now. A client that sends nothing on
    /// such a connection repeats nothing.
    pub async fn is_closed(&mut self) -> bool {
        let mut bytes = [0; 1];
        let mut buffer = ReadBuf::new(&mut bytes);
        poll_fn(|context| {
            let polled = Pin::new(&mut self.stream).poll_read(context, &mut buffer);
            Poll::Ready(polled.is_ready())
        })
        .await
    }

    /// Sends a request and reads its whole answer.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub async fn exchange(&mut self, request: &Request) -> Result<Response, Failure> {
        timeout(PATIENCE, async {
            self.send(request).await?;
            self.receive().await
        })
        .await
        .map_err(|_| Failure::TimedOut)?
    }

    /// Ends it in good order.
    pub async fn close(mut self) {
        // Nobody waits for anything any more.
        let _ = timeout(PATIENCE, self.stream.shutdown()).await;
    }

    async fn send(&mut self, request: &Request) -> Result<(), Failure> {
        let Request { method, path, id, body, close } = request;
        let framing = match body {
            Body::None => String::new(),
            Body::Length(bytes) => format!("Content-Length: {}\r\n", bytes.len()),
            Body::Chunked(_) => "Transfer-Encoding: chunked\r\n".to_owned(),
        };
        let connection = if *close { "Connection: close\r\n" } else { "" };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nX-Request-Id: {id}\r\n{framing}{connection}\r\n",
            self.name
        );
        self.stream.write_all(head.as_bytes()).await?;
        match body {
            Body::None => {}
            Body::Length(bytes) => self.stream.write_all(bytes).await?,
            Body::Chunked(bytes) => {
                for chunk in bytes.chunks(CHUNK) {
                    self.stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).await?;
                    self.stream.write_all(chunk).await?;
                    self.stream.write_all(b"\r\n").await?;
                }
                self.stream.write_all(b"0\r\n\r\n").await?;
            }
        }
        Ok(self.stream.flush().await?)
    }

    async fn receive(&mut self) -> Result<Response, Failure> {
        let end = loop {
            if let Some(at) = find(&self.read, b"\r\n\r\n") {
                break at;
            }
            if self.read.len() > HEAD {
                return Err(Failure::Wrong("a head without an end".to_owned()));
            }
            let had = self.read.len();
            if self.fill().await? == 0 {
                return Err(if had == 0 { Failure::NoAnswer } else { Failure::Truncated(had) });
            }
        };
        let head = String::from_utf8_lossy(&self.read[..end]).into_owned();
        self.read.drain(..end + 4);
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok());
        let status = status.ok_or_else(|| Failure::Wrong(format!("the head `{head}`")))?;
        let field = |name: &str| {
            head.lines().skip(1).find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim().to_ascii_lowercase())
            })
        };
        let close = field("connection").is_some_and(|value| value == "close");
        let body = if field("transfer-encoding").is_some_and(|value| value == "chunked") {
            self.chunks().await?
        } else {
            let length = field("content-length").and_then(|value| value.parse().ok());
            let length =
                length.ok_or_else(|| Failure::Wrong("an answer without a length".into()))?;
            self.take(length).await?
        };
        Ok(Response { status, body, close })
    }

    async fn chunks(&mut self) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        loop {
            let line = self.line(body.len()).await?;
            let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)
                .map_err(|_| Failure::Wrong(format!("the size `{line}` of a chunk")))?;
            if size == 0 {
                while !self.line(body.len()).await?.is_empty() {}
                return Ok(body);
            }
            let chunk = self.take(size).await.map_err(|failure| match failure {
                Failure::Truncated(had) => Failure::Truncated(body.len() + had),
                other => other,
            })?;
            body.extend_from_slice(&chunk);
            self.line(body.len()).await?;
        }
    }

    async fn line(&mut self, had: usize) -> Result<String, Failure> {
        loop {
            if let Some(at) = find(&self.read, b"\r\n") {
                let line = String::from_utf8_lossy(&self.read[..at]).into_owned();
                self.read.drain(..at + 2);
                return Ok(line);
            }
            if self.read.len() > HEAD {
                return Err(Failure::Wrong("a line without an end".to_owned()));
            }
            if self.fill().await? == 0 {
                return Err(Failure::Truncated(had));
            }
        }
    }

    async fn take(&mut self, length: usize) -> Result<Vec<u8>, Failure> {
        if length > BODY {
            return Err(Failure::Wrong(format!("a body of {length} bytes")));
        }
        while self.read.len() < length {
            let had = self.read.len();
            if self.fill().await? == 0 {
                return Err(Failure::Truncated(had));
            }
        }
        let rest = self.read.split_off(length);
        Ok(std::mem::replace(&mut self.read, rest))
    }

    /// Reads some; zero at the end, also at one that TLS did not announce.
    async fn fill(&mut self) -> Result<usize, Failure> {
        let had = self.read.len();
        match self.stream.read_buf(&mut self.read).await {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(0),
            Err(error) if had > 0 => Err(Failure::Reset(format!("after {had} bytes: {error}"))),
            other => Ok(other?),
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
