//! One call: signed, sent, tried again where that can do no harm, and answered or explained.

use crate::connection::Aws;
use crate::endpoint::Service;
use crate::error::{AwsError, Call, Meaning, Result};
use crate::http::{Answer, HttpError, Sent};
use crate::region::Region;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Tries of one call.
const TRIES: u32 = 4;
/// The longest pause before the second try; it doubles with each.
const PAUSE: Duration = Duration::from_millis(400);

/// What is asked.
pub(crate) struct Question<'a> {
    pub service: Service,
    /// The permission's name, without the service.
    pub action: &'static str,
    pub region: &'a Region,
    pub method: Method,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
    /// Whether the same question twice does what it does once.
    pub repeatable: bool,
}

/// A code and what AWS says with it.
pub(crate) struct Complaint {
    pub code: String,
    pub message: String,
}

/// How a try failed, and whether the next one may differ.
struct Failure {
    error: AwsError,
    again: bool,
}

impl Question<'_> {
    /// The call, for errors.
    pub fn call(&self) -> Call {
        Call {
            action: format!("{}:{}", self.service.name(), self.action),
            region: self.region.clone(),
        }
    }
}

impl Aws {
    /// Asks until there is an answer, the tries are used up, or the deadline is reached.
    pub(crate) async fn ask(
        &self,
        question: &Question<'_>,
        complaint: fn(&Answer) -> Complaint,
    ) -> Result<Bytes> {
        let deadline = self.shared.deadline;
        let end = Instant::now() + deadline;
        let timeout = || AwsError::Timeout { call: question.call(), after: deadline };
        let mut last = None;
        for number in 1..=TRIES {
            let tried = tokio::time::timeout_at(end, self.attempt(question, complaint)).await;
            let mut failure = match tried {
                // What was heard before says more than that time is over.
                Err(_) => return Err(last.unwrap_or_else(timeout)),
                Ok(Ok(body)) => return Ok(body),
                Ok(Err(failure)) => failure,
            };
            if let AwsError::Throttled { tries, .. } = &mut failure.error {
                *tries = number;
            }
            let pause = pause(number);
            if !failure.again || number == TRIES || Instant::now() + pause >= end {
                return Err(failure.error);
            }
            last = Some(failure.error);
            tokio::time::sleep(pause).await;
        }
        Err(last.unwrap_or_else(timeout))
    }

    async fn attempt(
        &self,
        question: &Question<'_>,
        complaint: fn(&Answer) -> Complaint,
    ) -> Result<Bytes, Failure> {
        let end = |error| Failure { error, again: false };
        let now = SystemTime::now();
        let credentials = self.shared.source.get(now).await.map_err(end)?;
        let endpoint = self.shared.endpoints.of(question.service, question.region);
        let sent = signed(question, &endpoint, &credentials, now).map_err(end)?;
        let answer = self.shared.http.send(sent).await.map_err(|error| {
            let call = question.call();
            let why = error.to_string();
            match error {
                HttpError::TooLong => end(AwsError::Unreadable { call, why }),
                HttpError::Connect(_) => {
                    Failure { error: AwsError::Unreachable { call, endpoint, why }, again: true }
                }
                HttpError::Broken(_) => Failure {
                    error: AwsError::Unreachable { call, endpoint, why },
                    again: question.repeatable,
                },
            }
        })?;
        if (200..300).contains(&answer.status) {
            return Ok(answer.body);
        }
        let failure = explain(question, answer.status, complaint(&answer));
        if matches!(failure.error, AwsError::Expired { .. }) {
            self.shared.source.forget();
        }
        Err(failure)
    }
}

/// What a refusal means.
fn explain(question: &Question<'_>, status: u16, complaint: Complaint) -> Failure {
    let call = question.call();
    let Complaint { code, message } = complaint;
    // After a wrong signature AWS recites the request, session token included.
    let message = message.lines().next().unwrap_or_default().trim();
    let message = message.trim_end_matches('.').to_owned();
    let (error, again) = match Meaning::of(&code, status) {
        Meaning::Expired => (AwsError::Expired { call, code }, false),
        Meaning::Denied => (AwsError::Denied { call, code, message }, false),
        Meaning::NotFound => (AwsError::NotFound { call, code, message }, false),
        Meaning::Throttled => (AwsError::Throttled { call, code, tries: 1 }, true),
        Meaning::Transient => {
            (AwsError::Service { call, code, message, status }, question.repeatable)
        }
        Meaning::Other => (AwsError::Service { call, code, message, status }, false),
    };
    Failure { error, again }
}

/// A pause of random length, so that many callers that were throttled together part.
fn pause(number: u32) -> Duration {
    let longest = PAUSE * 2_u32.pow(number.min(8) - 1);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

fn signed(
    question: &Question<'_>,
    endpoint: &str,
    credentials: &Credentials,
    now: SystemTime,
) -> Result<Sent> {
    let unusable = |why: String| AwsError::Settings(format!("{}: {why}", question.call()));
    let url = format!("{endpoint}{}", question.path);
    let identity = credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(question.region.name())
        .name(question.service.name())
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| unusable(error.to_string()))?
        .into();
    let signable = SignableRequest::new(
        question.method.as_str(),
        url.as_str(),
        question.headers.iter().map(|(name, value)| (*name, value.as_str())),
        SignableBody::Bytes(&question.body),
    )
    .map_err(|error| unusable(landfall_model::chain(&error)))?;
    let (instructions, _) = sign(signable, &parameters)
        .map_err(|error| unusable(landfall_model::chain(&error)))?
        .into_parts();
    let mut headers = HeaderMap::new();
    let given = question.headers.iter().map(|(name, value)| (*name, value.as_str()));
    for (name, value) in given.chain(instructions.headers()) {
        let name = HeaderName::from_bytes(name.as_bytes());
        let name = name.map_err(|error| unusable(error.to_string()))?;
        let value = HeaderValue::from_str(value);
        let mut value =
            value.map_err(|_| unusable("a credential has odd characters".to_owned()))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(Sent { method: question.method.clone(), url, headers, body: question.body.clone() })
}
