//! How a test's client gets to a listener on this machine.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use std::io::{Error, Result};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to a port of `127.0.0.1`, with a deadline for each read and write.
///
/// # Errors
/// When nobody takes it in time.
pub fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The client's side of TLS with `localhost`, which trusts this CA or certificate and nobody else.
///
/// # Errors
/// When the text holds no certificates that can be trusted.
pub fn trusting(pem: &str) -> Result<rustls::ClientConnection> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.map_err(Error::other)?).map_err(Error::other)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").map_err(Error::other)?;
    rustls::ClientConnection::new(Arc::new(config), name).map_err(Error::other)
}
