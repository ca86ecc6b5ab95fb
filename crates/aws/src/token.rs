//! The token by which EKS knows who calls a cluster, without the `aws` program.
//!
//! It is the address of a signed question "who am I", good for this cluster alone because the
//! cluster's name is a signed header: the cluster asks STS in our place. The recipe is that of
//! `aws eks get-token`.

use crate::connection::Aws;
use crate::endpoint::Service;
use crate::error::{AwsError, Result};
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use landfall_model::{Secret, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const QUESTION: &str = "/?Action=GetCallerIdentity&Version=2011-06-15";
const HEADER: &str = "x-k8s-aws-id";
/// How long the address itself is good for at STS.
const ADDRESS: Duration = Duration::from_secs(60);
/// EKS takes a token for a quarter of an hour; a minute is left for clocks that differ.
const TOKEN: Duration = Duration::from_secs(14 * 60);

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A token for one cluster.
#[derive(Debug, Clone)]
pub struct Token {
    /// What goes behind `Authorization: Bearer`.
    pub secret: Secret,
    /// From when another is needed.
    pub expires: Timestamp,
}

impl Aws {
    /// A token for a cluster of the region. Nothing is sent, unless credentials have to be fetched.
    ///
    /// # Errors
    /// When there are no credentials.
    pub async fn eks_token(&self, cluster: &str) -> Result<Token> {
        self.eks_token_at(cluster, SystemTime::now()).await
    }

    /// The same as of another time, for whoever keeps a clock of their own.
    ///
    /// # Errors
    /// When there are no credentials.
    pub async fn eks_token_at(&self, cluster: &str, now: SystemTime) -> Result<Token> {
        let credentials = self.shared.source.get(now).await?;
        let end = now + TOKEN;
        let end = credentials.expiry().map_or(end, |expiry| end.min(expiry));
        let address = self.presigned(cluster, &credentials.into(), now)?;
        let secret = Secret::new(format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(address)));
        let end = end.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Ok(Token { secret, expires: Timestamp(u64::try_from(end).unwrap_or(u64::MAX)) })
    }

    fn presigned(
        &self,
        cluster: &str,
        identity: &aws_smithy_runtime_api::client::identity::Identity,
        now: SystemTime,
    ) -> Result<String> {
        let unusable = |why: String| AwsError::Settings(format!("the token of `{cluster}`: {why}"));
        let endpoint = self.shared.endpoints.of(Service::Sts, &self.region);
        let url = format!("{endpoint}{QUESTION}");
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(ADDRESS);
        let parameters = v4::SigningParams::builder()
            .identity(identity)
            .region(self.region.name())
            .name(Service::Sts.name())
            .time(now)
            .settings(settings)
            .build()
            .map_err(|error| unusable(error.to_string()))?
            .into();
        let headers = [(HEADER, cluster)].into_iter();
        let signable = SignableRequest::new("GET", url.as_str(), headers, SignableBody::Bytes(&[]))
            .map_err(|error| unusable(landfall_model::chain(&error)))?;
        let (instructions, _) = sign(signable, &parameters)
            .map_err(|error| unusable(landfall_model::chain(&error)))?
            .into_parts();
        let mut signed = url;
        for (name, value) in instructions.params() {
            signed.push('&');
            signed.push_str(name);
            signed.push('=');
            signed.extend(utf8_percent_encode(value, ESCAPED));
        }
        Ok(signed)
    }
}
