//! Why a request failed, before it is known what it was for.

use super::read;
use crate::credentials::{CredentialsError, Source};
use crate::error::words;
use landfall_model::chain;
use reqwest::Response;
use reqwest::header::RETRY_AFTER;
use serde::Deserialize;
use std::time::Duration;

/// Of a refusal's text no more is read, in bytes.
const LIMIT: u64 = 64 * 1024;

/// Why a request failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// One try took longer than this.
    Timeout(Duration),
    /// The connection could not be made, or broke.
    Connection(String),
    /// The registry answers with a status that is no success.
    Status {
        status: u16,
        /// The first of the codes it gives.
        code: Option<String>,
        /// What it says, fit to be printed.
        said: String,
        /// How long it wants us to wait.
        after: Option<Duration>,
    },
    /// It is not allowed, with these credentials.
    Unauthorized { credentials: Source, why: String },
    /// The credentials cannot be had.
    Credentials(CredentialsError),
    /// The answer makes no sense or is too large.
    Invalid(String),
    /// Something on this machine failed, such as reading a file.
    Local(String),
}

#[derive(Deserialize)]
struct Envelope {
    errors: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    code: String,
    #[serde(default)]
    message: Option<String>,
}

impl Failure {
    pub(crate) fn of(error: reqwest::Error, deadline: Duration) -> Self {
        if error.is_redirect() {
            return Self::Invalid(words(error));
        }
        // Connecting has a deadline of its own, and says of itself that it passed.
        if error.is_timeout() && !error.is_connect() {
            return Self::Timeout(deadline);
        }
        Self::Connection(words(error))
    }

    /// Of an answer that is no success.
    pub(crate) async fn of_answer(response: Response, deadline: Duration) -> Self {
        let status = response.status().as_u16();
        let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let after = after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let body = read(response, LIMIT, deadline).await.unwrap_or_default();
        let first = serde_json::from_slice::<Envelope>(&body)
            .ok()
            .and_then(|envelope| envelope.errors.into_iter().next());
        let said = match &first {
            Some(Entry { code, message: Some(message) }) => format!("{code}, {message}"),
            Some(Entry { code, .. }) => code.clone(),
            None => String::new(),
        };
        let said = said.chars().filter(|c| !c.is_control()).take(200).collect();
        Self::Status { status, code: first.map(|entry| entry.code), said, after }
    }

    /// What the registry says, for people.
    pub(crate) fn said(&self) -> String {
        match self {
            Self::Status { status, said, .. } if said.is_empty() => format!("status {status}"),
            Self::Status { status, said, .. } => format!("status {status}, {said}"),
            other => format!("{other:?}"),
        }
    }

    /// Whether another try may end better.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Timeout(_) | Self::Connection(_) => true,
            Self::Status { status, .. } => *status == 429 || (500..600).contains(status),
            _ => false,
        }
    }

    pub(crate) fn local(operation: &str, error: &dyn std::error::Error) -> Self {
        Self::Local(format!("cannot {operation}: {}", chain(error)))
    }
}
