//! TLS with rustls and AWS-LC.

use super::groups::SECP384R1MLKEM1024;
use super::prefixed::Prefixed;
use super::{Identity, IdentityError, Material, Session, Terminator};
use async_trait::async_trait;
use landfall_tls_policy::{RustlsPolicy, Version, expressible, find, nearest};
use rustls::crypto::aws_lc_rs::{self, Ticketer, cipher_suite, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, ProducesTickets};
use rustls::{ServerConfig, SupportedCipherSuite};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// Makes identities for rustls. All share the keys of their session tickets, so a client resumes its
/// session after a change of certificate or policy, as far as the policy allows.
pub(crate) struct Rustls {
    tickets: Arc<dyn ProducesTickets>,
}

impl Rustls {
    /// With fresh ticket keys, which rustls then changes regularly.
    pub(crate) fn new() -> Result<Self, rustls::Error> {
        Ok(Self { tickets: Ticketer::new()? })
    }
}

impl Terminator for Rustls {
    fn identity(&self, material: &Material) -> Result<Arc<dyn Identity>, IdentityError> {
        let policy = find(&material.policy).ok_or_else(|| IdentityError::UnknownPolicy {
            name: material.policy.clone(),
            nearest: nearest(&material.policy),
        })?;
        let policy = expressible(policy)?;
        let chain = CertificateDer::pem_slice_iter(material.chain_pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| IdentityError::Chain)?;
        let leaf = chain.first().cloned().ok_or(IdentityError::Chain)?;
        let key = PrivateKeyDer::from_pem_slice(material.key_pem.as_bytes())
            .map_err(|_| IdentityError::Key)?;
        let unusable = |error: rustls::Error| IdentityError::Unusable(error.to_string());
        let versions: Vec<_> = policy.versions.iter().map(|version| supported(*version)).collect();
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider(&policy)?))
            .with_protocol_versions(
                &versions
                    .into_iter()
                    .collect::<Option<Vec<_>>>()
                    .ok_or(IdentityError::Lacking("an older version"))?,
            )
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(unusable)?;
        config.ignore_client_order = true;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Arc::clone(&self.tickets);
        if material.requests {
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        Ok(Arc::new(RustlsIdentity { acceptor: TlsAcceptor::from(Arc::new(config)), leaf }))
    }
}

fn provider(policy: &RustlsPolicy) -> Result<CryptoProvider, IdentityError> {
    let suites = policy.ciphers.iter().map(|name| suite(name).ok_or(IdentityError::Lacking(name)));
    let groups = policy.groups.iter().map(|name| group(name).ok_or(IdentityError::Lacking(name)));
    Ok(CryptoProvider {
        cipher_suites: suites.collect::<Result<_, _>>()?,
        kx_groups: groups.collect::<Result<_, _>>()?,
        ..aws_lc_rs::default_provider()
    })
}

const fn supported(version: Version) -> Option<&'static rustls::SupportedProtocolVersion> {
    match version {
        Version::Tls13 => Some(&rustls::version::TLS13),
        Version::Tls12 => Some(&rustls::version::TLS12),
        Version::Tls10 | Version::Tls11 => None,
    }
}

fn suite(name: &str) -> Option<SupportedCipherSuite> {
    Some(match name {
        "TLS_AES_128_GCM_SHA256" => cipher_suite::TLS13_AES_128_GCM_SHA256,
        "TLS_AES_256_GCM_SHA384" => cipher_suite::TLS13_AES_256_GCM_SHA384,
        "TLS_CHACHA20_POLY1305_SHA256" => cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        "ECDHE-ECDSA-AES128-GCM-SHA256" => cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-RSA-AES128-GCM-SHA256" => cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-ECDSA-AES256-GCM-SHA384" => cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-RSA-AES256-GCM-SHA384" => cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-ECDSA-CHACHA20-POLY1305" => {
            cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        }
        "ECDHE-RSA-CHACHA20-POLY1305" => cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        _ => return None,
    })
}

fn group(name: &str) -> Option<&'static dyn SupportedKxGroup> {
    Some(match name {
        "X25519MLKEM768" => kx_group::X25519MLKEM768,
        "SecP256r1MLKEM768" => kx_group::SECP256R1MLKEM768,
        "SecP384r1MLKEM1024" => SECP384R1MLKEM1024,
        "x25519" => kx_group::X25519,
        "secp256r1" => kx_group::SECP256R1,
        "secp384r1" => kx_group::SECP384R1,
        _ => return None,
    })
}

struct RustlsIdentity {
    acceptor: TlsAcceptor,
    leaf: CertificateDer<'static>,
}

#[async_trait]
impl Identity for RustlsIdentity {
    fn covers(&self, host: &str) -> bool {
        let (Ok(certificate), Ok(name)) =
            (ParsedCertificate::try_from(&self.leaf), ServerName::try_from(host))
        else {
            return false;
        };
        rustls::client::verify_server_name(&certificate, &name).is_ok()
    }

    async fn accept(&self, stream: Prefixed<TcpStream>) -> std::io::Result<Session> {
        let stream = self.acceptor.accept(stream).await?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2".as_slice());
        Ok(Session { stream: Box::new(stream), http2 })
    }
}
