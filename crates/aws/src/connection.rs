//! The way to AWS: settings, credentials and region, found once.

use crate::credentials::{Keys, Source};
use crate::endpoint::{Endpoints, Service};
use crate::error::{AwsError, Result};
use crate::http::Http;
use crate::region::Region;
use crate::smithy::Lent;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_types::service_config::ServiceConfigKey;
use std::sync::Arc;
use std::time::Duration;

/// How long one call may take with all its tries, unless told otherwise.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// What the caller decides; what it leaves open is found in the environment and the profile.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The region.
    pub region: Option<Region>,
    /// The profile: when it is named here, only its credentials are used.
    pub profile: Option<String>,
    /// One address for every service, instead of AWS's own.
    pub endpoint: Option<String>,
    /// Credentials.
    pub keys: Option<Keys>,
    /// How long one call may take with all its tries; 10 s when it is left open.
    pub deadline: Option<Duration>,
}

/// An account of AWS, seen from a region. A copy shares connections and credentials.
#[derive(Debug, Clone)]
pub struct Aws {
    pub(crate) shared: Arc<Shared>,
    pub(crate) region: Region,
}

/// What copies share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub http: Http,
    pub source: Source,
    pub endpoints: Endpoints,
    pub deadline: Duration,
}

impl Aws {
    /// Reads the environment and the profile. Credentials are looked for at the first call.
    ///
    /// # Errors
    /// When no region is set, or a setting cannot be used.
    pub async fn connect(settings: Settings) -> Result<Self> {
        let http = Http::new().map_err(AwsError::Settings)?;
        let deadline = settings.deadline.unwrap_or(DEADLINE);
        let found = tokio::time::timeout(deadline, find(&settings, &http));
        // Without a region in sight, the last to be asked is the metadata of an instance.
        let config = found.await.map_err(|_| AwsError::NoRegion)?;
        let region = config.region().ok_or(AwsError::NoRegion)?;
        let region: Region = region
            .as_ref()
            .parse()
            .map_err(|error: crate::RegionError| AwsError::Settings(error.to_string()))?;
        let endpoints = endpoints(&settings, &config)?;
        let (provider, tried) = provider(&settings, &config, &http)?;
        let source = Source::new(provider, tried, deadline);
        let shared = Arc::new(Shared { http, source, endpoints, deadline });
        Ok(Self { shared, region })
    }

    /// The region.
    #[must_use]
    pub const fn region(&self) -> &Region {
        &self.region
    }

    /// The same account, seen from another region.
    #[must_use]
    pub fn in_region(&self, region: Region) -> Self {
        Self { shared: Arc::clone(&self.shared), region }
    }
}

/// What the environment and the profile say.
async fn find(settings: &Settings, http: &Http) -> SdkConfig {
    let mut loader =
        aws_config::defaults(BehaviorVersion::latest()).http_client(Lent(http.clone()));
    if let Some(region) = &settings.region {
        loader = loader.region(aws_config::Region::new(region.name().to_owned()));
    }
    if let Some(profile) = &settings.profile {
        loader = loader.profile_name(profile);
    }
    loader.load().await
}

/// Whom to ask for credentials, and how to say who was asked.
fn provider(
    settings: &Settings,
    config: &SdkConfig,
    http: &Http,
) -> Result<(SharedCredentialsProvider, String)> {
    if let Some(keys) = &settings.keys {
        return Ok((
            SharedCredentialsProvider::new(keys.credentials()),
            "the given ones".to_owned(),
        ));
    }
    // The usual order would prefer the environment to a profile that somebody asked for by name.
    if let Some(name) = &settings.profile {
        let setup = ProviderConfig::without_region()
            .with_region(config.region().cloned())
            .with_http_client(Lent(http.clone()));
        let provider =
            ProfileFileCredentialsProvider::builder().configure(&setup).profile_name(name).build();
        return Ok((SharedCredentialsProvider::new(provider), format!("the profile `{name}`")));
    }
    let provider = config
        .credentials_provider()
        .ok_or_else(|| AwsError::Settings("credentials are switched off".to_owned()))?;
    let profile = std::env::var("AWS_PROFILE").unwrap_or_else(|_| "default".to_owned());
    let tried = format!(
        "the environment, the profile `{profile}`, a web identity, a container's role, the metadata of an instance"
    );
    Ok((provider, tried))
}

/// Addresses that replace AWS's own: given, for one service, for all.
fn endpoints(settings: &Settings, config: &SdkConfig) -> Result<Endpoints> {
    let mut endpoints = Endpoints::default();
    for service in Service::ALL {
        let url = match &settings.endpoint {
            Some(url) => Some(url.clone()),
            None => configured(service, config),
        };
        let Some(url) = url else { continue };
        let good = url.parse::<http::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
                && uri.query().is_none()
        });
        if !good {
            let why = format!("the address of {} is `{url}`", service.name());
            return Err(AwsError::Settings(format!("{why}: write http:// or https:// and a host")));
        }
        endpoints.set(service, &url);
    }
    Ok(endpoints)
}

/// `AWS_ENDPOINT_URL_…` and `AWS_ENDPOINT_URL`, or the profile's, unless they are to be ignored.
fn configured(service: Service, config: &SdkConfig) -> Option<String> {
    let load = |profile, env| {
        let key =
            ServiceConfigKey::builder().service_id(service.id()).profile(profile).env(env).build();
        config.service_config()?.load_config(key.ok()?)
    };
    let ignored = load("ignore_configured_endpoint_urls", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
    if ignored.is_some_and(|it| it.eq_ignore_ascii_case("true")) {
        return None;
    }
    load("endpoint_url", "AWS_ENDPOINT_URL").filter(|url| !url.is_empty())
}
