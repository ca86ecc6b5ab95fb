//! Certificates of this host: one folder for each version, keys readable by the owner only.

use crate::authority::Authority;
use crate::{Home, clock, durable};
use landfall_engine::{KeyPair, Secret};
use landfall_model::{
    Certificate, CertificateName, CertificateSource, CertificateVersion, ExitCode, StackId,
    Timestamp,
};
use landfall_protocol::agent::Failure;
use landfall_store::seal::digest_of;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The certificates of this host.
pub(crate) struct Certificates {
    folder: PathBuf,
    authority: Authority,
    /// One writer at a time, so that versions are not given twice.
    writing: Mutex<()>,
}

fn unexpected(operation: &str, error: &impl std::fmt::Display) -> Failure {
    Failure::new(ExitCode::Unexpected, format!("cannot {operation}: {error}"))
}

fn usage(message: impl Into<String>, help: &str) -> Failure {
    Failure::new(ExitCode::Usage, message).help(help)
}

impl Certificates {
    pub(crate) fn open(home: &Home) -> Self {
        let folder = home.certificates();
        let authority = Authority::at(folder.join("authority"));
        Self { folder, authority, writing: Mutex::new(()) }
    }

    pub(crate) const fn authority(&self) -> &Authority {
        &self.authority
    }

    fn named(&self, stack: &StackId, name: &CertificateName) -> PathBuf {
        self.folder.join(stack.app.as_str()).join(stack.stack.as_str()).join(name.as_str())
    }

    /// Every version of every certificate of a stack, newest first.
    pub(crate) fn all(&self, stack: &StackId) -> BTreeMap<CertificateName, Vec<Certificate>> {
        let folder = self.folder.join(stack.app.as_str()).join(stack.stack.as_str());
        let mut all = BTreeMap::new();
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Some(name) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let versions = self.versions(stack, &name);
            if !versions.is_empty() {
                all.insert(name, versions);
            }
        }
        all
    }

    fn versions(&self, stack: &StackId, name: &CertificateName) -> Vec<Certificate> {
        let folder = self.named(stack, name);
        let mut versions: Vec<Certificate> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| std::fs::read(entry.path().join("certificate.json")).ok())
            .filter_map(|bytes| serde_json::from_slice(&bytes).ok())
            .collect();
        versions.sort_by_key(|certificate| std::cmp::Reverse(certificate.version));
        versions
    }

    /// The newest version of each certificate of a stack.
    pub(crate) fn newest(&self, stack: &StackId) -> BTreeMap<CertificateName, Certificate> {
        self.all(stack)
            .into_iter()
            .filter_map(|(name, versions)| Some((name, versions.into_iter().next()?)))
            .collect()
    }

    /// The chain and key of one version.
    pub(crate) fn key_pair(
        &self,
        stack: &StackId,
        name: &CertificateName,
        version: CertificateVersion,
    ) -> std::io::Result<KeyPair> {
        let folder = self.named(stack, name).join(version.to_string());
        Ok(KeyPair {
            chain_pem: std::fs::read_to_string(folder.join("chain.pem"))?,
            key_pem: Secret::new(std::fs::read_to_string(folder.join("key.pem"))?),
        })
    }

    /// Checks and keeps a certificate. The same certificate again is the same version.
    pub(crate) fn import(
        &self,
        stack: &StackId,
        name: &CertificateName,
        chain_pem: &str,
        key_pem: &str,
    ) -> Result<Certificate, Failure> {
        self.keep(stack, name, chain_pem, key_pem, CertificateSource::Imported)
    }

    /// Issues a certificate by the local CA for names that are all local.
    pub(crate) fn issue(
        &self,
        stack: &StackId,
        name: &CertificateName,
        names: &[String],
    ) -> Result<Certificate, Failure> {
        if let Some(public) = names.iter().find(|name| !is_local(name)) {
            return Err(usage(
                format!(
                    "`{public}` is no local name: the local CA issues for localhost, *.localhost, .test and loopback addresses only"
                ),
                "import a certificate with `landfall cert import`",
            ));
        }
        let (chain_pem, key_pem) = self
            .authority
            .issue(names)
            .map_err(|error| unexpected("issue a certificate", &error))?;
        self.keep(stack, name, &chain_pem, &key_pem, CertificateSource::LocalCa)
    }

    fn keep(
        &self,
        stack: &StackId,
        name: &CertificateName,
        chain_pem: &str,
        key_pem: &str,
        source: CertificateSource,
    ) -> Result<Certificate, Failure> {
        let _writing = self.writing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut certificate = read(chain_pem, key_pem, source)?;
        let versions = self.versions(stack, name);
        if let Some(same) = versions.iter().find(|it| it.fingerprint == certificate.fingerprint) {
            return Ok(same.clone());
        }
        certificate.version =
            versions.first().map_or(CertificateVersion(1), |it| it.version.next());
        let folder = self.named(stack, name).join(certificate.version.to_string());
        let json = serde_json::to_vec_pretty(&certificate)
            .map_err(|error| unexpected("keep the certificate", &error))?;
        let written = durable::private_folder(&folder)
            .and_then(|()| durable::write(&folder.join("key.pem"), key_pem.as_bytes()))
            .and_then(|()| durable::write(&folder.join("chain.pem"), chain_pem.as_bytes()))
            .and_then(|()| durable::write(&folder.join("certificate.json"), &json));
        written.map_err(|error| unexpected(&format!("write {}", folder.display()), &error))?;
        Ok(certificate)
    }
}

/// Whether a name means this machine only.
pub(crate) fn is_local(name: &str) -> bool {
    if let Ok(address) = name.parse::<std::net::IpAddr>() {
        return address.is_loopback();
    }
    let name = name.strip_prefix("*.").unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost") || name == "test" || name.ends_with(".test")
}

/// Reads a chain and its key, and says what is wrong with them.
fn read(chain_pem: &str, key_pem: &str, source: CertificateSource) -> Result<Certificate, Failure> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain_pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| {
            usage(
                format!("the chain is no PEM: {error}"),
                "a chain starts with -----BEGIN CERTIFICATE-----, leaf first",
            )
        })?;
    let leaf = chain.first().ok_or_else(|| {
        usage(
            "the chain holds no certificate",
            "a chain starts with -----BEGIN CERTIFICATE-----, leaf first",
        )
    })?;
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|error| {
        usage(
            format!("the key is no PEM: {error}"),
            "a key starts with -----BEGIN PRIVATE KEY-----, without a passphrase",
        )
    })?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    rustls::sign::CertifiedKey::from_der(chain.clone(), key, &provider).map_err(
        |error| match error {
            rustls::Error::InconsistentKeys(_) => usage(
                "the key is not the key of the first certificate in the chain",
                "put the leaf first, and take the key it was requested with",
            ),
            other => usage(
                format!("the certificate cannot be used: {other}"),
                "check it with `openssl x509 -text`",
            ),
        },
    )?;
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|error| {
        usage(
            format!("the first certificate cannot be read: {error}"),
            "check it with `openssl x509 -text`",
        )
    })?;
    order(&chain)?;
    let seconds = |time: x509_parser::time::ASN1Time| {
        Timestamp(u64::try_from(time.timestamp()).unwrap_or(0).saturating_mul(1000))
    };
    let certificate = Certificate {
        version: CertificateVersion(0),
        names: names(&parsed),
        fingerprint: digest_of(leaf),
        not_before: seconds(parsed.validity().not_before),
        not_after: seconds(parsed.validity().not_after),
        source,
        acm: None,
    };
    if certificate.not_after <= clock::now() {
        return Err(usage("the certificate has expired", "import one that is valid"));
    }
    Ok(certificate)
}

/// Each certificate is issued by the next one.
fn order(chain: &[CertificateDer<'static>]) -> Result<(), Failure> {
    for (index, pair) in chain.windows(2).enumerate() {
        let issuer_of = X509Certificate::from_der(&pair[0]).map(|(_, it)| it.issuer().to_string());
        let subject_of =
            X509Certificate::from_der(&pair[1]).map(|(_, it)| it.subject().to_string());
        if let (Ok(issuer), Ok(subject)) = (issuer_of, subject_of)
            && issuer != subject
        {
            return Err(usage(
                format!(
                    "the chain is out of order: certificate {} is issued by `{issuer}`, and the next one is `{subject}`",
                    index + 1
                ),
                "put the leaf first, then each issuer after what it issued",
            ));
        }
    }
    Ok(())
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    extension
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => match bytes.len() {
                4 => <[u8; 4]>::try_from(*bytes)
                    .ok()
                    .map(|it| std::net::IpAddr::from(it).to_string()),
                16 => <[u8; 16]>::try_from(*bytes)
                    .ok()
                    .map(|it| std::net::IpAddr::from(it).to_string()),
                _ => None,
            },
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack() -> StackId {
        StackId { app: "shop".parse().expect("a name"), stack: "local".parse().expect("a name") }
    }

    #[test]
    fn the_local_authority_issues_for_local_names_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let certificates = Certificates::open(&Home::at(folder.path()));
        let name: CertificateName = "shop".parse().expect("a name");
        let names = ["shop.localhost".to_owned(), "127.0.0.1".to_owned()];
        let first = certificates.issue(&stack(), &name, &names).expect("issued");
        assert_eq!(first.version, CertificateVersion(1));
        assert_eq!(first.names, names);
        let second = certificates.issue(&stack(), &name, &names).expect("issued");
        assert_eq!(second.version, CertificateVersion(2));
        assert_eq!(certificates.newest(&stack()).get(&name), Some(&second));
        let refused = certificates.issue(&stack(), &name, &["shop.example".to_owned()]);
        assert_eq!(refused.expect_err("refused").exit, ExitCode::Usage);
    }

    #[test]
    fn a_key_that_does_not_match_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let certificates = Certificates::open(&Home::at(folder.path()));
        let names = ["localhost".to_owned()];
        let (chain, key) = certificates.authority().issue(&names).expect("issued");
        let (_, other) = certificates.authority().issue(&names).expect("issued");
        let name: CertificateName = "shop".parse().expect("a name");
        let error = certificates.import(&stack(), &name, &chain, &other).expect_err("refused");
        assert!(error.message.contains("not the key"), "{}", error.message);
        let one = certificates.import(&stack(), &name, &chain, &key).expect("imported");
        let same = certificates.import(&stack(), &name, &chain, &key).expect("imported");
        assert_eq!(one, same, "the same certificate again is the same version");
        use std::os::unix::fs::PermissionsExt as _;
        let file = folder.path().join("certificates/shop/local/shop/1/key.pem");
        let mode = std::fs::metadata(file).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
