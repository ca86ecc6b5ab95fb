//! Certificates of AWS's certificate manager: each ARN is one version.

use crate::failure::{Failure, Result, usage};
use crate::output::Output;
use landfall_aws::{Arn, Aws, AwsError, CertificateStatus, Settings};
use landfall_config::CertificateRequest;
use landfall_model::{
    AcmCertificate, Certificate, CertificateName, CertificateSource, CertificateVersion, ExitCode,
    Timestamp,
};
use landfall_store::seal::digest_of;

/// The version that an ARN is: that of the release that serves when it has the same one, otherwise
/// the number of the release that brings it.
pub async fn version(
    name: &CertificateName,
    arn: &str,
    wanted: &CertificateRequest,
    serving: Option<&Certificate>,
    next: u64,
    output: &Output,
) -> Result<Certificate> {
    let same = serving.filter(|it| it.acm.as_ref().is_some_and(|acm| acm.arn == arn));
    let version = same.map_or(CertificateVersion(next), |it| it.version);
    output.working(&format!("asking AWS about the certificate {name}"));
    let unasked = Certificate {
        version,
        names: wanted.names.clone(),
        fingerprint: digest_of(arn.as_bytes()),
        not_before: Timestamp(0),
        not_after: Timestamp(u64::MAX),
        source: CertificateSource::Acm,
        acm: Some(AcmCertificate { arn: arn.to_owned(), key: None }),
    };
    match ask(arn).await {
        Ok(found) => {
            if found.status != CertificateStatus::Issued {
                return Err(usage(format!(
                    "the certificate {name} is not issued in AWS: its status is {}",
                    found.status
                ))
                .help("`aws acm describe-certificate` says what it waits for"));
            }
            Ok(Certificate {
                names: found.names,
                not_before: found.not_before.unwrap_or_default(),
                not_after: found.not_after.unwrap_or(Timestamp(u64::MAX)),
                acm: Some(AcmCertificate { arn: arn.to_owned(), key: Some(found.key.word()) }),
                ..unasked
            })
        }
        Err(AwsError::NotFound { .. }) => {
            Err(Failure::new(ExitCode::NotFound, format!("there is no certificate {arn} in AWS"))
                .help("check account and region; `aws acm list-certificates` lists them"))
        }
        // Without credentials nothing is known of it, and the plan says so. What AWS knows already
        // is kept.
        Err(error) => {
            output.note(&format!("! the certificate {name} is not checked: {error}"));
            Ok(same.cloned().unwrap_or(unasked))
        }
    }
}

async fn ask(arn: &str) -> std::result::Result<landfall_aws::Certificate, AwsError> {
    let arn: Arn = arn.parse().map_err(|error| AwsError::Settings(format!("{error}")))?;
    let settings = Settings { region: arn.region().cloned(), ..Settings::default() };
    Aws::connect(settings).await?.certificate(&arn).await
}

/// Prints a token for a cluster of EKS in the form that a kubeconfig's program answers with.
pub async fn eks_token(
    cluster: &str,
    region: Option<&str>,
    profile: Option<String>,
) -> Result<ExitCode> {
    let denied = |error: AwsError| Failure::new(ExitCode::Permission, error.to_string());
    let region = region
        .map(str::parse)
        .transpose()
        .map_err(|error: landfall_aws::RegionError| usage(error.to_string()))?;
    let settings = Settings { region, profile, ..Settings::default() };
    let aws = Aws::connect(settings).await.map_err(denied)?;
    let token = aws.eks_token(cluster).await.map_err(denied)?;
    let expires =
        jiff::Timestamp::from_millisecond(i64::try_from(token.expires.0).unwrap_or(i64::MAX))
            .unwrap_or(jiff::Timestamp::MAX);
    let credential = serde_json::json!({
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "kind": "ExecCredential",
        "status": {
            "expirationTimestamp": expires.to_string(),
            "token": token.secret.expose(),
        },
    });
    println!("{credential}");
    Ok(ExitCode::Done)
}
