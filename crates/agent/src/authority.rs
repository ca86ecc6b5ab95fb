//! The local development CA: constrained to names that mean this machine only.

use crate::{clock, durable};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints,
};
use std::path::PathBuf;

/// How long the CA is good for, and what it issues, in days. Browsers take leaves of up to 825
/// days from CAs that a user added.
const AUTHORITY_DAYS: u64 = 3650;
const LEAF_DAYS: u64 = 397;

/// The local CA; it is made when it is first needed.
pub(crate) struct Authority {
    folder: PathBuf,
}

/// Why the CA could not work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthorityError {
    #[error("the files of the local CA cannot be used: {0}")]
    Io(#[from] std::io::Error),
    #[error("the local CA cannot make a certificate: {0}")]
    Making(#[from] rcgen::Error),
}

impl Authority {
    pub(crate) const fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where its certificate is.
    pub(crate) fn certificate_file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Its certificate as PEM.
    pub(crate) fn certificate(&self) -> Result<String, AuthorityError> {
        self.ensure()?;
        Ok(std::fs::read_to_string(self.certificate_file())?)
    }

    fn ensure(&self) -> Result<(), AuthorityError> {
        let key_file = self.folder.join("ca.key");
        if key_file.exists() && self.certificate_file().exists() {
            return Ok(());
        }
        durable::private_folder(&self.folder)?;
        let key = KeyPair::generate()?;
        let certificate = parameters()?.self_signed(&key)?;
        durable::write(&key_file, key.serialize_pem().as_bytes())?;
        durable::write(&self.certificate_file(), certificate.pem().as_bytes())?;
        Ok(())
    }

    /// A chain and key for these names, as PEM.
    pub(crate) fn issue(&self, names: &[String]) -> Result<(String, String), AuthorityError> {
        let authority = self.certificate()?;
        let key = KeyPair::from_pem(&std::fs::read_to_string(self.folder.join("ca.key"))?)?;
        let issuer = Issuer::from_ca_cert_pem(&authority, key)?;
        let mut leaf = CertificateParams::new(names.to_vec())?;
        leaf.distinguished_name = named(names.first().map_or("localhost", String::as_str));
        (leaf.not_before, leaf.not_after) = validity(LEAF_DAYS);
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = leaf.signed_by(&key, &issuer)?;
        Ok((format!("{}{authority}", certificate.pem()), key.serialize_pem()))
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn parameters() -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::new(Vec::new())?;
    parameters.distinguished_name = named("Landfall local development CA");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (parameters.not_before, parameters.not_after) = validity(AUTHORITY_DAYS);
    parameters.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![
            GeneralSubtree::DnsName("localhost".into()),
            GeneralSubtree::DnsName("test".into()),
            GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([127, 0, 0, 0], 8)),
            GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix(
                std::net::Ipv6Addr::LOCALHOST.octets(),
                128,
            )),
        ],
        excluded_subtrees: Vec::new(),
    });
    Ok(parameters)
}

/// From yesterday, for clocks that are a little off, for so many days.
fn validity(days: u64) -> (time::OffsetDateTime, time::OffsetDateTime) {
    let now = i64::try_from(clock::now().0 / 1000).unwrap_or(0);
    let day = 86_400;
    let at = |seconds: i64| {
        time::OffsetDateTime::from_unix_timestamp(seconds)
            .unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
    };
    (at(now - day), at(now + day * i64::try_from(days).unwrap_or(1)))
}
