//! Its certificate, as AWS's certificate manager has it.

use super::{finding, path};
use crate::findings::{SOON, covers};
use landfall_model::{
    AcmCertificate, Certificate, Content, Finding, Listener, ListenerName, ListenerProtocol,
    Severity, Timestamp,
};

/// Keys that an NLB can use, in ACM's words. ACM itself takes RSA 4096 as well, and the listener
/// then does not work.
const KEYS: [&str; 6] =
    ["RSA_1024", "RSA_2048", "RSA_3072", "EC_prime256v1", "EC_secp384r1", "EC_secp521r1"];

/// The certificate of a listener that ends TLS, when there is one.
fn of<'c>(content: &'c Content, listener: &Listener) -> Option<&'c Certificate> {
    let tls = listener.protocol == ListenerProtocol::Tls;
    content.certificates.get(listener.certificate.as_ref().filter(|_| tls)?)
}

pub(super) fn check(
    found: &mut Vec<Finding>,
    content: &Content,
    (name, listener): (&ListenerName, &Listener),
    now: Timestamp,
) {
    if listener.protocol != ListenerProtocol::Tls {
        return;
    }
    let place = path(name, "certificate");
    let certificate = of(content, listener);
    let acm = certificate.and_then(|it| Some((it, it.acm.as_ref()?)));
    let Some((certificate, acm)) = acm else {
        found.push(finding(
            Severity::Error,
            "LF1103",
            format!("{place}: an NLB takes certificates from AWS's certificate manager, and this one has no ARN"),
            "import it there, and write `arn:` at the certificate",
        ));
        return;
    };
    key(found, &place, acm);
    dates(found, &place, (certificate, acm), now);
    for host in listener.hosts.iter().filter(|host| !covers(&certificate.names, host)) {
        // Names are unknown when ACM could not be asked and the file does not say them.
        if certificate.names.is_empty() {
            continue;
        }
        found.push(finding(
            Severity::Error,
            "LF1107",
            format!("{place}: {} is not good for `{host}`", acm.arn),
            &format!("it is good for {}", certificate.names.join(", ")),
        ));
    }
}

fn key(found: &mut Vec<Finding>, place: &str, acm: &AcmCertificate) {
    match acm.key.as_deref() {
        None => found.push(finding(
            Severity::Warning,
            "LF1110",
            format!("{place}: AWS's certificate manager was not asked about {}, so its key, names and dates are not checked", acm.arn),
            "allow `acm:DescribeCertificate`, or look yourself: an NLB takes RSA up to 3072 bits and ECDSA",
        )),
        Some(key) if !KEYS.contains(&key) => found.push(finding(
            Severity::Error,
            "LF1109",
            format!("{place}: an NLB cannot use the key of {}, which is {key}", acm.arn),
            "make one with ECDSA P-256, or RSA of 2048 or 3072 bits, and import it under an ARN of its own",
        )),
        Some(_) => {}
    }
}

fn dates(
    found: &mut Vec<Finding>,
    place: &str,
    (certificate, acm): (&Certificate, &AcmCertificate),
    now: Timestamp,
) {
    let arn = &acm.arn;
    if certificate.not_after <= now {
        found.push(finding(
            Severity::Error,
            "LF1104",
            format!("{place}: {arn} has expired"),
            "import a newer one under an ARN of its own, so that a rollback can go back to this one's",
        ));
    } else if certificate.not_after.since(now) < SOON {
        let days = certificate.not_after.since(now).0 / 86_400_000;
        found.push(finding(
            Severity::Warning,
            "LF1105",
            format!("{place}: {arn} expires in {days} days; imported certificates never renew by themselves"),
            "import a newer one and write its ARN: the change cuts nothing",
        ));
    }
    if certificate.not_before > now {
        found.push(finding(
            Severity::Error,
            "LF1106",
            format!("{place}: {arn} is not valid yet"),
            "check the clock of this machine",
        ));
    }
}

/// An NLB takes certificates of its own region only. `arn:aws:acm:REGION:ACCOUNT:certificate/ID`.
pub(super) fn region(
    found: &mut Vec<Finding>,
    content: &Content,
    (name, listener): (&ListenerName, &Listener),
    cluster: &str,
) {
    let Some(acm) = of(content, listener).and_then(|it| it.acm.as_ref()) else { return };
    let Some(region) = acm.arn.split(':').nth(3).filter(|it| !it.is_empty()) else { return };
    if region != cluster {
        found.push(finding(
            Severity::Error,
            "LF1108",
            format!(
                "{}: {} is in {region}, and the cluster is in {cluster}",
                path(name, "certificate"),
                acm.arn
            ),
            &format!("import it in {cluster} and write the ARN that it gets there"),
        ));
    }
}
