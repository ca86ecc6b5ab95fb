//! Certificates of ACM.

use crate::arn::Arn;
use crate::call::Question;
use crate::connection::Aws;
use crate::endpoint::Service;
use crate::error::{AwsError, Result};
use crate::key_algorithm::KeyAlgorithm;
use crate::load_balancers::Tags;
use crate::region::Region;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use landfall_model::{Secret, Timestamp};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

/// Every kind of key: without this list ACM lists certificates with RSA-2048 alone.
const KEYS: [&str; 7] = [
    "RSA_1024",
    "RSA_2048",
    "RSA_3072",
    "RSA_4096",
    "EC_prime256v1",
    "EC_secp384r1",
    "EC_secp521r1",
];

/// The most pages of a listing: an account has at most 2500 certificates unless AWS raised it.
const PAGES: usize = 200;

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Certificate {
    /// Its ARN; a load balancer in another region cannot use it.
    #[serde(rename = "CertificateArn")]
    pub arn: Arn,
    /// The hosts that it covers.
    #[serde(rename = "SubjectAlternativeNames", default)]
    pub names: Vec<String>,
    /// Whether it can be used.
    pub status: CertificateStatus,
    /// Its key.
    #[serde(rename = "KeyAlgorithm")]
    pub key: KeyAlgorithm,
    /// From when it is good; nothing before it is issued.
    #[serde(default, deserialize_with = "time")]
    pub not_before: Option<Timestamp>,
    /// Until when.
    #[serde(default, deserialize_with = "time")]
    pub not_after: Option<Timestamp>,
    /// Where it is from.
    #[serde(rename = "Type")]
    pub kind: CertificateKind,
    /// The ARNs of what uses it.
    #[serde(default)]
    pub in_use_by: Vec<String>,
}

/// A certificate in a listing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CertificateSummary {
    /// Its ARN.
    #[serde(rename = "CertificateArn")]
    pub arn: Arn,
    /// Its first name.
    #[serde(rename = "DomainName", default)]
    pub domain: String,
    /// The hosts that it covers, up to 100.
    #[serde(rename = "SubjectAlternativeNameSummaries", default)]
    pub names: Vec<String>,
    /// Whether it covers more.
    #[serde(rename = "HasAdditionalSubjectAlternativeNames", default)]
    pub more_names: bool,
}

/// A certificate to import. Its private key cannot be printed.
#[derive(Debug, Clone)]
pub struct NewCertificate {
    /// The certificate, in PEM.
    pub leaf: String,
    /// The certificates that lead to a root, in PEM.
    pub chain: Option<String>,
    /// The private key, in PEM.
    pub key: Secret,
    /// Tags.
    pub tags: Tags,
}

/// Words of AWS, with one for those that this program does not know.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$what:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
        #[serde(from = "String")]
        pub enum $name {
            $($(#[$what])* $variant,)*
            /// One that this program does not know.
            Other(String),
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                match text.as_str() {
                    $($text => Self::$variant,)*
                    _ => Self::Other(text),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(match self {
                    $(Self::$variant => $text,)*
                    Self::Other(text) => text,
                })
            }
        }
    };
}

words! {
    /// Whether a certificate can be used: only an issued one can.
    CertificateStatus {
        /// It can be used.
        Issued = "ISSUED",
        /// The domain's owner has not been seen yet.
        PendingValidation = "PENDING_VALIDATION",
        /// It was too late.
        Expired = "EXPIRED",
        /// It was taken back.
        Revoked = "REVOKED",
        /// The domain's owner was never seen.
        ValidationTimedOut = "VALIDATION_TIMED_OUT",
        /// It could not be issued.
        Failed = "FAILED",
        /// It is not used any more.
        Inactive = "INACTIVE",
    }
}

words! {
    /// Where a certificate is from. An imported one never renews itself.
    CertificateKind {
        /// It was imported.
        Imported = "IMPORTED",
        /// Amazon issued it, and renews it.
        AmazonIssued = "AMAZON_ISSUED",
        /// A private authority of the account issued it.
        Private = "PRIVATE",
    }
}

/// Seconds since 1970, with a fraction at times.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let seconds = Option::<f64>::deserialize(deserializer)?.filter(|it| it.is_finite());
    // A cast keeps what does not fit at the nearest end.
    Ok(seconds.map(|it| Timestamp((it * 1000.0) as u64)))
}

#[derive(Deserialize)]
struct Described {
    #[serde(rename = "Certificate")]
    certificate: Certificate,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "CertificateSummaryList", default)]
    list: Vec<CertificateSummary>,
    #[serde(rename = "NextToken")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Imported {
    #[serde(rename = "CertificateArn")]
    arn: Arn,
}

#[derive(Deserialize)]
struct Nothing {}

impl Aws {
    /// A certificate, asked in its own region.
    ///
    /// # Errors
    /// `NotFound` when it is not there, and when the call fails.
    pub async fn certificate(&self, arn: &Arn) -> Result<Certificate> {
        let body = json!({ "CertificateArn": arn.to_string() });
        let question = acm(self.region_of(arn), "DescribeCertificate", &body, true);
        Ok(self.json::<Described>(&question).await?.certificate)
    }

    /// Every certificate of the region.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn certificates(&self) -> Result<Vec<CertificateSummary>> {
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        let mut body = json!({ "Includes": { "keyTypes": KEYS }, "MaxItems": 100 });
        for _ in 0..PAGES {
            if let Some(next) = &next {
                body["NextToken"] = Value::from(next.as_str());
            }
            let question = acm(&self.region, "ListCertificates", &body, true);
            let listed: Listed = self.json(&question).await?;
            found.extend(listed.list);
            match listed.next.filter(|it| !it.is_empty()) {
                None => return Ok(found),
                again if again == next => break,
                again => next = again,
            }
        }
        let call = acm(&self.region, "ListCertificates", &body, true).call();
        Err(AwsError::Unreadable { call, why: "its pages never end".to_owned() })
    }

    /// The certificates of the region that cover a host, whatever their status.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn certificates_for(&self, host: &str) -> Result<Vec<CertificateSummary>> {
        let mut found = Vec::new();
        for summary in self.certificates().await? {
            let any = |names: &[String]| names.iter().any(|name| covers(name, host));
            let mut covered = covers(&summary.domain, host) || any(&summary.names);
            if !covered && summary.more_names {
                covered = any(&self.certificate(&summary.arn).await?.names);
            }
            if covered {
                found.push(summary);
            }
        }
        Ok(found)
    }

    /// Imports a certificate under an ARN of its own. It never replaces one: ACM cannot go back to
    /// earlier material, and a rollback needs the earlier ARN. It is not tried again when the
    /// connection breaks, since the first try may have made one.
    ///
    /// # Errors
    /// When ACM refuses it, or the call fails.
    pub async fn import_certificate(&self, new: &NewCertificate) -> Result<Arn> {
        let tags: Vec<Value> =
            new.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
        let mut body = json!({
            "Certificate": STANDARD.encode(&new.leaf),
            "PrivateKey": STANDARD.encode(new.key.expose()),
        });
        if let Some(chain) = &new.chain {
            body["CertificateChain"] = Value::from(STANDARD.encode(chain));
        }
        if !tags.is_empty() {
            body["Tags"] = Value::from(tags);
        }
        let question = acm(&self.region, "ImportCertificate", &body, false);
        Ok(self.json::<Imported>(&question).await?.arn)
    }

    /// Deletes a certificate. ACM refuses while something uses it.
    ///
    /// # Errors
    /// `NotFound` when it is not there, and when the call fails.
    pub async fn delete_certificate(&self, arn: &Arn) -> Result<()> {
        let body = json!({ "CertificateArn": arn.to_string() });
        let question = acm(self.region_of(arn), "DeleteCertificate", &body, true);
        // The answer is empty, and a body that is not JSON would be a surprise.
        let answer = self.ask(&question, crate::json::complaint).await?;
        if answer.is_empty() || serde_json::from_slice::<Nothing>(&answer).is_ok() {
            return Ok(());
        }
        let why = "it is not empty".to_owned();
        Err(AwsError::Unreadable { call: question.call(), why })
    }
}

fn acm<'a>(
    region: &'a Region,
    action: &'static str,
    body: &Value,
    repeatable: bool,
) -> Question<'a> {
    Question {
        service: Service::Acm,
        action,
        region,
        method: Method::POST,
        path: "/".to_owned(),
        headers: vec![
            ("content-type", "application/x-amz-json-1.1".to_owned()),
            ("x-amz-target", format!("CertificateManager.{action}")),
        ],
        body: body.to_string().into(),
        repeatable,
    }
}

/// Whether a name of a certificate, perhaps with a star for one label, covers a host.
fn covers(name: &str, host: &str) -> bool {
    let host = host.trim_end_matches('.');
    match name.strip_prefix("*.") {
        None => name.eq_ignore_ascii_case(host),
        Some(parent) => host
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(parent)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_covers_one_label() {
        assert!(covers("*.example.com", "a.Example.com."));
        assert!(covers("example.com", "EXAMPLE.com"));
        for host in ["example.com", "a.b.example.com", ".example.com"] {
            assert!(!covers("*.example.com", host), "{host}");
        }
    }
}
