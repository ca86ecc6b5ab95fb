//! Who is asked, and how a connection to it begins or fails.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long anything may take before it counts as lost: much longer than any answer here, on a busy
/// machine too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Who is asked.
#[derive(Clone)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its name, for TLS and `Host`.
    pub name: String,
    http1: TlsConnector,
    http2: TlsConnector,
}

/// What can go wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nobody listened, or the listener sent the client away.
    #[error("the connection was refused")]
    Refused,
    /// The connection was reset.
    #[error("the connection was reset ({0})")]
    Reset(String),
    /// The connection ended before an answer began.
    #[error("the connection ended without an answer")]
    NoAnswer,
    /// The answer broke off.
    #[error("the answer broke off after {0} bytes")]
    Truncated(usize),
    /// Nothing, for too long.
    #[error("no answer in {} s", PATIENCE.as_secs())]
    TimedOut,
    /// Something that is no HTTP, no TLS, or not what was asked.
    #[error("wrong: {0}")]
    Wrong(String),
    /// The load balancer's own answer in place of an instance's.
    #[error("status {0}: {1}")]
    Status(u16, String),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::UnexpectedEof => Self::NoAnswer,
            ErrorKind::TimedOut => Self::TimedOut,
            ErrorKind::InvalidData => Self::Wrong(error.to_string()),
            _ => Self::Reset(error.to_string()),
        }
    }
}

impl Target {
    /// A target whose certificate was issued by these authorities.
    ///
    /// # Panics
    /// When the PEM holds no certificate: the caller made it.
    #[must_use]
    pub fn new(address: SocketAddr, name: &str, authorities_pem: &str) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authorities_pem.as_bytes()) {
            roots.add(certificate.expect("a certificate as PEM")).expect("a certificate");
        }
        assert!(!roots.is_empty(), "no certificate in the PEM");
        let roots = Arc::new(roots);
        let connector = |protocol: &[u8]| {
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let mut config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .expect("aws-lc-rs has the default versions")
                .with_root_certificates(Arc::clone(&roots))
                .with_no_client_auth();
            config.alpn_protocols = vec![protocol.to_vec()];
            TlsConnector::from(Arc::new(config))
        };
        Self {
            address,
            name: name.to_owned(),
            http1: connector(b"http/1.1"),
            http2: connector(b"h2"),
        }
    }

    pub(crate) async fn connect(&self, http2: bool) -> Result<TlsStream<TcpStream>, Failure> {
        let connector = if http2 { &self.http2 } else { &self.http1 };
        let name = ServerName::try_from(self.name.clone())
            .map_err(|error| Failure::Wrong(error.to_string()))?;
        let connecting = async {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            connector.connect(name, stream).await
        };
        Ok(timeout(PATIENCE, connecting).await.map_err(|_| Failure::TimedOut)??)
    }
}
