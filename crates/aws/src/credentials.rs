//! Which credentials a call is signed with.

use crate::error::{AwsError, Result};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use landfall_model::Secret;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Credentials that are given instead of found.
#[derive(Debug, Clone)]
pub struct Keys {
    /// The access key's name.
    pub access_key: String,
    /// The secret access key.
    pub secret_key: Secret,
    /// The session's token, for credentials that expire.
    pub session: Option<Secret>,
}

impl Keys {
    pub(crate) fn credentials(&self) -> Credentials {
        let session = self.session.as_ref().map(|it| it.expose().to_owned());
        Credentials::new(&self.access_key, self.secret_key.expose(), session, None, "given")
    }
}

/// New credentials are fetched when the old ones are good for less than this.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// A source of credentials, which remembers the last ones while they are good.
#[derive(Debug)]
pub struct Source {
    provider: SharedCredentialsProvider,
    tried: String,
    limit: Duration,
    last: Mutex<Option<Credentials>>,
}

impl Source {
    pub fn new(provider: SharedCredentialsProvider, tried: String, limit: Duration) -> Self {
        Self { provider, tried, limit, last: Mutex::new(None) }
    }

    /// Credentials that are good for a while. Two callers at once may both fetch: that is harmless.
    pub async fn get(&self, now: SystemTime) -> Result<Credentials> {
        let fresh = |it: &Credentials| it.expiry().is_none_or(|end| end > now + MARGIN);
        if let Some(last) = self.lock().clone().filter(fresh) {
            return Ok(last);
        }
        let fetched = tokio::time::timeout(self.limit, self.provider.provide_credentials()).await;
        let error = match fetched {
            Ok(Ok(credentials)) => {
                *self.lock() = Some(credentials.clone());
                return Ok(credentials);
            }
            Ok(Err(CredentialsError::CredentialsNotLoaded(_))) => "none of them has any".to_owned(),
            Ok(Err(error)) => landfall_model::chain(&error),
            Err(_) => format!("no answer within {} s", self.limit.as_secs_f32()),
        };
        Err(AwsError::NoCredentials { tried: self.tried.clone(), why: error })
    }

    /// Fetches anew for the next call: AWS says that these have expired.
    pub fn forget(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Credentials>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
