//! Reads a client's hello, so that its listener can be found before anything is answered.

use super::prefixed::Prefixed;
use bytes::BytesMut;
use rustls::server::Acceptor;
use std::io::{Error, ErrorKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The largest hello that is read, in bytes. With three post-quantum key shares one has some 5 KiB.
const LARGEST: usize = 64 << 10;

/// The alert `unrecognized_name`, fatal, as a record (RFC 6066, 3).
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// A connection whose hello was read and put back.
pub(crate) struct Hello {
    /// The name that the client asks for, in lower case and without a final dot.
    pub(crate) server_name: Option<String>,
    pub(crate) stream: Prefixed<TcpStream>,
}

/// Reads until the hello is whole. A client that sends something else gets an alert.
pub(crate) async fn read(mut stream: TcpStream) -> Result<Hello, Error> {
    let mut acceptor = Acceptor::default();
    let mut bytes = BytesMut::with_capacity(4 << 10);
    loop {
        let before = bytes.len();
        if before >= LARGEST {
            return Err(Error::new(ErrorKind::InvalidData, "the hello is too large"));
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut fresh = &bytes[before..];
        while !fresh.is_empty() {
            acceptor.read_tls(&mut fresh)?;
            match acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    let server_name = accepted.client_hello().server_name().map(crate::host::plain);
                    let stream = Prefixed::new(bytes.freeze(), stream);
                    return Ok(Hello { server_name, stream });
                }
                Err((error, mut alert)) => {
                    let mut record = Vec::new();
                    alert.write_all(&mut record)?;
                    stream.write_all(&record).await?;
                    return Err(Error::new(ErrorKind::InvalidData, error));
                }
            }
        }
    }
}

impl Hello {
    /// Tells the client that nobody here has that name.
    pub(crate) async fn refuse(mut self) -> Result<(), Error> {
        self.stream.write_all(&UNRECOGNIZED_NAME).await?;
        self.stream.shutdown().await
    }
}
