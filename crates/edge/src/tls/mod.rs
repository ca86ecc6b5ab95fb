//! The seam behind which TLS ends.
//!
//! The edge reads a client's hello itself ([`hello`]), finds the listener by the name in it, and hands
//! the connection, with the hello put back in front, to that listener's [`Identity`]. So a library
//! sees a connection from its first byte, listeners of one address can be served by different
//! libraries, and a changed certificate or policy concerns only connections that begin after it. A
//! [`Terminator`] makes identities; rustls is the only one so far. What is behind the seam gets PEM and the
//! name of a policy, and gives back a plain byte stream.

pub(crate) mod groups;
pub(crate) mod hello;
pub(crate) mod prefixed;
pub(crate) mod with_rustls;

use async_trait::async_trait;
use prefixed::Prefixed;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A plain byte stream in both directions.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What an identity is made from. It holds a private key, so it cannot be printed.
#[derive(PartialEq, Eq)]
pub(crate) struct Material {
    /// The policy's name.
    pub(crate) policy: String,
    /// The chain as PEM, leaf first.
    pub(crate) chain_pem: String,
    /// The private key as PEM.
    pub(crate) key_pem: String,
    /// Whether HTTP/2 and HTTP/1.1 are offered by ALPN; without, nothing is.
    pub(crate) requests: bool,
}

/// Makes identities.
pub(crate) trait Terminator: Send + Sync {
    /// Checks certificate, key and policy, and makes them ready.
    fn identity(&self, material: &Material) -> Result<Arc<dyn Identity>, IdentityError>;
}

/// A certificate with its key, under a policy.
#[async_trait]
pub(crate) trait Identity: Send + Sync {
    /// Whether the certificate is for this host.
    fn covers(&self, host: &str) -> bool;
    /// Ends TLS on a connection whose first byte is still to be read.
    async fn accept(&self, stream: Prefixed<TcpStream>) -> std::io::Result<Session>;
}

/// A connection after its handshake.
pub(crate) struct Session {
    pub(crate) stream: Box<dyn Stream>,
    /// Whether HTTP/2 was agreed on.
    pub(crate) http2: bool,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    #[error("there is no TLS policy {name}{}", suggestion(.nearest))]
    UnknownPolicy { name: String, nearest: Option<&'static str> },
    #[error("{0}; it cannot be served exactly, so it is not served")]
    Inexpressible(#[from] landfall_tls_policy::Inexpressible),
    #[error("the TLS policy needs {0}, which the TLS library does not have")]
    Lacking(&'static str),
    #[error("the certificate chain is not PEM")]
    Chain,
    #[error("the private key is not PEM")]
    Key,
    #[error("the certificate cannot be used: {0}")]
    Unusable(String),
}

fn suggestion(nearest: &Option<&'static str>) -> String {
    nearest.map(|name| format!("; {name} is the nearest")).unwrap_or_default()
}
