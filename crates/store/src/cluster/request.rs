//! A request with a deadline, tried again while the API server is busy or away.

use super::Cluster;
use super::names::name_of;
use crate::error::{Result, StoreError};
use crate::key::Key;
use crate::layout;
use kube::api::PostParams;
use kube::core::Status;
use landfall_model::chain;
use std::future::Future;
use std::time::Duration;

/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often it is tried.
const ATTEMPTS: u32 = 7;
/// How long it waits before the second attempt; twice as long each time.
const PAUSE: Duration = Duration::from_millis(100);

/// What the API server said, apart from that it is busy.
pub(super) enum Answer<T> {
    /// It is done.
    Done(T),
    /// Something has that name.
    Exists,
    /// It is refused.
    Refused(Box<Status>),
}

impl Cluster {
    pub(super) async fn ask<T, F>(
        &self,
        operation: &'static str,
        key: &Key,
        request: impl Fn() -> F + Send + Sync,
    ) -> Result<Answer<T>>
    where
        F: Future<Output = Result<T, kube::Error>> + Send,
    {
        let object = || format!("{key} in {}", self.name);
        let mut last = None;
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(PAUSE * 2_u32.pow(attempt - 1)).await;
            }
            match tokio::time::timeout(PATIENCE, request()).await {
                Ok(Ok(done)) => return Ok(Answer::Done(done)),
                Ok(Err(kube::Error::Api(status))) => {
                    if status.code == 409 && status.reason == "AlreadyExists" {
                        return Ok(Answer::Exists);
                    }
                    if !matches!(status.code, 429 | 500 | 502..=504) {
                        return Ok(Answer::Refused(status));
                    }
                    let wait = status.details.as_ref().map_or(0, |it| it.retry_after_seconds);
                    tokio::time::sleep(Duration::from_secs(u64::from(wait.min(5)))).await;
                    last = Some(status.message.clone());
                }
                Ok(Err(error)) => last = Some(chain(&error)),
                Err(_) => last = None,
            }
        }
        Err(match last {
            Some(why) => StoreError::Failed { operation, object: object(), why },
            None => {
                StoreError::Timeout { store: self.name.clone(), operation, object: key.to_string() }
            }
        })
    }

    pub(super) fn failed(&self, operation: &'static str, key: &Key, status: &Status) -> StoreError {
        let object = format!("{key} in {}", self.name);
        let why = status.message.clone();
        match status.code {
            401 | 403 => StoreError::Permission { operation, object, why },
            404 if is_about_namespace(status) => StoreError::NoNamespace {
                namespace: self.secrets.namespace().unwrap_or_default().to_owned(),
            },
            _ => StoreError::Failed { operation, object, why },
        }
    }

    /// Makes sure that there is a namespace at all. Reading does not tell: an API server says of
    /// one that is missing what it says of an empty one. Writing does, and so does asking what
    /// writing would do.
    pub(super) async fn check_namespace(&self) -> Result<()> {
        let key = layout::format();
        let params = PostParams { dry_run: true, ..PostParams::default() };
        let secret = self.secret(name_of(&key), &key, Vec::new());
        match self.ask("list", &key, || self.secrets.create(&params, &secret)).await? {
            Answer::Refused(status) if is_about_namespace(&status) => {
                Err(self.failed("list", &key, &status))
            }
            // Who may only read is refused that, and learns no more.
            _ => Ok(()),
        }
    }
}

fn is_about_namespace(status: &Status) -> bool {
    status.code == 404 && status.details.as_ref().is_some_and(|it| it.kind == "namespaces")
}
