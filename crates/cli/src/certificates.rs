//! Which version of each certificate a release pins.

use crate::acm;
use crate::deploy::{next_number, serving};
use crate::failure::Result;
use crate::output::Output;
use crate::target::{Target, odd};
use landfall_agent::now;
use landfall_config::{CertificateRequest, Resolved};
use landfall_model::{Certificate, CertificateName, CertificateSource, Digest, Millis};
use landfall_protocol::agent::{Base, Reply, Request};
use std::collections::{BTreeMap, BTreeSet};

/// A certificate of the local CA is issued again when it ends sooner than this.
const RENEW: Millis = Millis(30 * 86_400_000);

/// Chooses a version of each certificate; issues what is local and missing when it may.
pub async fn choose(
    target: &Target,
    resolved: &Resolved,
    base: &Base,
    issue: bool,
    output: &Output,
) -> Result<BTreeMap<CertificateName, Certificate>> {
    let used: BTreeSet<&CertificateName> =
        resolved.listeners.values().filter_map(|it| it.certificate.as_ref()).collect();
    let mut chosen = BTreeMap::new();
    let served = serving(base)?;
    for (name, wanted) in resolved.certificates.iter().filter(|(name, _)| used.contains(name)) {
        if let Some(arn) = &wanted.arn {
            let served = served.as_ref().and_then(|it| it.content.certificates.get(name));
            let next = next_number(base.head).0;
            let version = acm::version(name, arn, wanted, served, next, output).await?;
            chosen.insert(name.clone(), version);
            continue;
        }
        if target.is_driven_here() {
            // The finding says what is missing.
            continue;
        }
        let newest = base.certificates.get(name).filter(|newest| fits(newest, wanted));
        if let Some(newest) = newest {
            chosen.insert(name.clone(), newest.clone());
        } else if !wanted.names.iter().all(|name| is_local(name)) {
            // The finding says what is missing.
            if let Some(newest) = base.certificates.get(name) {
                chosen.insert(name.clone(), newest.clone());
            }
        } else if issue {
            let names = wanted.names.clone();
            let request =
                Request::IssueCertificate { stack: target.id.clone(), name: name.clone(), names };
            let Reply::Certificate { certificate, .. } = target.ask(output, &request).await? else {
                return Err(odd());
            };
            output.note(&format!(
                "· issued version {} of the certificate {name} by the local CA for {}",
                certificate.version,
                certificate.names.join(", ")
            ));
            chosen.insert(name.clone(), certificate);
        } else {
            chosen.insert(name.clone(), to_be_issued(base.certificates.get(name), wanted));
        }
    }
    Ok(chosen)
}

fn fits(newest: &Certificate, wanted: &CertificateRequest) -> bool {
    let covers = wanted.names.iter().all(|name| newest.names.contains(name));
    match newest.source {
        CertificateSource::Imported | CertificateSource::Acm => true,
        CertificateSource::LocalCa => covers && newest.not_after.since(now()) > RENEW,
    }
}

/// Whether a name means this machine only.
fn is_local(name: &str) -> bool {
    if let Ok(address) = name.parse::<std::net::IpAddr>() {
        return address.is_loopback();
    }
    let name = name.strip_prefix("*.").unwrap_or(name);
    ["localhost", "test"].iter().any(|local| {
        name == *local || name.strip_suffix(local).is_some_and(|rest| rest.ends_with('.'))
    })
}

/// What `up` would issue, for a plan that changes nothing.
fn to_be_issued(newest: Option<&Certificate>, wanted: &CertificateRequest) -> Certificate {
    let version = newest.map_or(landfall_model::CertificateVersion(1), |it| it.version.next());
    Certificate {
        version,
        names: wanted.names.clone(),
        fingerprint: Digest::from_bytes([0; 32]),
        not_before: now(),
        not_after: now().after(RENEW).after(RENEW),
        source: CertificateSource::LocalCa,
        acm: None,
    }
}
