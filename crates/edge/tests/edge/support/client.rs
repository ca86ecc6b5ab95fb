//! Clients of the edge, and certificates.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A self-signed certificate and its key.
pub struct Keys {
    pub chain_pem: String,
    pub key_pem: String,
    pub der: CertificateDer<'static>,
}

impl Keys {
    pub fn of(names: &[&str]) -> Self {
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let made = rcgen::generate_simple_self_signed(names).expect("made");
        Self {
            chain_pem: made.cert.pem(),
            key_pem: made.signing_key.serialize_pem(),
            der: made.cert.der().clone(),
        }
    }

    /// How a client that trusts only this certificate connects.
    pub fn config(
        &self,
        alpn: &[&str],
        versions: &[&'static SupportedProtocolVersion],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("added");
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }

    /// Connects with TLS.
    pub async fn connect(
        &self,
        address: SocketAddr,
        name: &str,
        alpn: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let config = self.config(alpn, rustls::ALL_VERSIONS);
        connect(Arc::new(config), address, name).await
    }
}

pub async fn connect(
    config: Arc<ClientConfig>,
    address: SocketAddr,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    timeout(PATIENCE, TlsConnector::from(config).connect(name, stream)).await?
}

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn target(&self) -> &str {
        self.header("x-target")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

/// A kept connection.
pub enum Client {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Client {
    pub async fn plain(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        Self::over(stream).await
    }

    pub async fn one(keys: &Keys, address: SocketAddr, name: &str) -> std::io::Result<Self> {
        Self::over(keys.connect(address, name, &["http/1.1"]).await?).await
    }

    pub async fn over<S>(stream: S) -> std::io::Result<Self>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, driver) =
            http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        tokio::spawn(driver.with_upgrades());
        Ok(Self::One(sender))
    }

    pub async fn two(keys: &Keys, address: SocketAddr, name: &str) -> std::io::Result<Self> {
        let stream = keys.connect(address, name, &["h2"]).await?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        let (sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(std::io::Error::other)?;
        tokio::spawn(driver);
        Ok(Self::Two(sender))
    }

    /// Whether another request can be sent.
    pub async fn is_usable(&mut self) -> bool {
        match self {
            Self::One(sender) => sender.ready().await.is_ok(),
            Self::Two(sender) => sender.ready().await.is_ok(),
        }
    }

    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, hyper::Error> {
        let exchange = async {
            let response = match self {
                Self::One(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await?
                }
                Self::Two(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await?
                }
            };
            let (parts, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(Answer { status: parts.status, headers: parts.headers, body })
        };
        timeout(PATIENCE, exchange).await.expect("an answer in time")
    }

    /// A request with this host, as the protocol of the connection wants it.
    pub fn request(&self, method: &str, host: &str, path: &str) -> hyper::http::request::Builder {
        match self {
            Self::One(_) => Request::builder().method(method).uri(path).header("host", host),
            Self::Two(_) => Request::builder().method(method).uri(format!("https://{host}{path}")),
        }
    }

    pub async fn get(&mut self, host: &str, path: &str) -> Answer {
        let request = self.request("GET", host, path).body(Full::default()).expect("built");
        self.send(request).await.expect("answered")
    }

    pub async fn post(&mut self, host: &str, path: &str, body: Vec<u8>) -> Answer {
        let request = self.request("POST", host, path).body(Full::from(body)).expect("built");
        self.send(request).await.expect("answered")
    }
}
