//! Going back is going out again: the content of an old release with listed substitutions only.

use landfall_model::{Certificate, CertificateName, Content, Release, Substitution, Timestamp};
use std::collections::BTreeMap;

/// The newest version of each certificate that is there.
pub type Newest = BTreeMap<CertificateName, Certificate>;

/// The content of `old`, fit for today: a certificate that has expired since is replaced by the
/// newest valid version, and each such replacement is listed.
#[must_use]
pub fn restore(old: &Release, newest: &Newest, now: Timestamp) -> (Content, Vec<Substitution>) {
    let mut content = old.content.clone();
    let mut substitutions = Vec::new();
    for (name, certificate) in &mut content.certificates {
        if certificate.not_after > now {
            continue;
        }
        let Some(newer) = newest.get(name).filter(|newer| newer.not_after > now) else { continue };
        substitutions.push(Substitution {
            path: format!("certificates.{name}"),
            from: format!("version {}", certificate.version),
            to: format!("version {}", newer.version),
            because: format!("version {} has expired", certificate.version),
        });
        *certificate = newer.clone();
    }
    (content, substitutions)
}
