//! One request to a registry: authorized, within limits, tried again when that may help.

mod challenge;
mod failure;
mod token;
mod tries;

pub(crate) use failure::Failure;
pub(crate) use tries::Tries;

use crate::client::{Options, Scheme};
use crate::credentials::{Credentials, Found, Source};
use crate::error::words;
use crate::reference::Repository;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, WWW_AUTHENTICATE};
use reqwest::{Body, Method, Response, StatusCode, Url};
use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use token::Authorization;

/// What an answer that is no manifest and no blob may hold, in bytes.
const ANSWER_LIMIT: u64 = 1 << 20;

/// What is asked for.
pub(crate) struct Call<'a> {
    pub repository: &'a Repository,
    /// What a token has to allow.
    pub access: Access<'a>,
    pub method: Method,
    pub url: Url,
    pub headers: Vec<(HeaderName, String)>,
    pub body: Bytes,
    /// The longest that one try may take, its answer's body included.
    pub deadline: Duration,
}

/// What a token has to allow in the repository.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Access<'a> {
    Pull,
    Push,
    /// Push, and pull from another repository of the same registry.
    Mount(&'a Repository),
}

impl Access<'_> {
    /// In the protocol's words, one for each repository.
    fn scopes(self, repository: &Repository) -> Vec<String> {
        let of = |path: &str, what: &str| format!("repository:{path}:{what}");
        match self {
            Self::Pull => vec![of(repository.path(), "pull")],
            Self::Push => vec![of(repository.path(), "pull,push")],
            Self::Mount(from) => {
                vec![of(repository.path(), "pull,push"), of(from.path(), "pull")]
            }
        }
    }
}

/// A whole answer.
pub(crate) struct Answer {
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// The connections to registries, and what they have let us in with.
pub(crate) struct Wire {
    pub options: Options,
    credentials: Credentials,
    /// To hosts elsewhere, by the proxy of the environment if there is one.
    outside: reqwest::Client,
    /// To this machine, never by a proxy.
    inside: reqwest::Client,
    found: Mutex<HashMap<String, Found>>,
    authorizations: Mutex<HashMap<(String, Vec<String>), Authorization>>,
}

impl Wire {
    pub(crate) fn new(credentials: Credentials, options: Options) -> Result<Self, Failure> {
        let failed = |error: reqwest::Error| Failure::Local(words(error));
        let certificates = options
            .roots
            .iter()
            .map(|pem| reqwest::Certificate::from_pem_bundle(pem))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?
            .concat();
        let builder = || {
            reqwest::Client::builder()
                .connect_timeout(options.connect_timeout)
                .user_agent(concat!("landfall/", env!("CARGO_PKG_VERSION")))
                .tls_certs_merge(certificates.clone())
                .redirect(reqwest::redirect::Policy::custom(redirect))
                .retry(reqwest::retry::never())
        };
        Ok(Self {
            outside: builder().build().map_err(failed)?,
            inside: builder().no_proxy().build().map_err(failed)?,
            credentials,
            options,
            found: Mutex::default(),
            authorizations: Mutex::default(),
        })
    }

    /// An address of the protocol, `/v2/PATH/REST`.
    pub(crate) fn url(&self, repository: &Repository, rest: &str) -> Result<Url, Failure> {
        let scheme = match self.scheme(repository.host()) {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let text = format!("{scheme}://{}/v2/{}/{rest}", repository.endpoint(), repository.path());
        text.parse().map_err(|error| Failure::Invalid(format!("no address `{text}`: {error}")))
    }

    fn scheme(&self, host: &str) -> Scheme {
        let asked = self.options.schemes.get(host).copied();
        asked.unwrap_or(if is_loopback(host) { Scheme::Http } else { Scheme::Https })
    }

    fn http(&self, url: &Url) -> &reqwest::Client {
        if url.host_str().is_some_and(is_loopback) { &self.inside } else { &self.outside }
    }

    /// Sends a request until it is answered, and reads its answer of at most `limit` bytes.
    pub(crate) async fn fetch_within(
        &self,
        call: &Call<'_>,
        limit: u64,
    ) -> Result<Answer, Failure> {
        let mut tries = Tries::new(&self.options);
        loop {
            match self.fetch_once(call, limit).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    /// As [`Self::fetch_within()`], for an answer that is small.
    pub(crate) async fn fetch(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        self.fetch_within(call, ANSWER_LIMIT).await
    }

    async fn fetch_once(&self, call: &Call<'_>, limit: u64) -> Result<Answer, Failure> {
        let response = self.open(call).await?;
        let headers = response.headers().clone();
        let body = read(response, limit, call.deadline).await?;
        Ok(Answer { headers, body })
    }

    /// Sends a request once, or twice when the registry first asks who we are. The body of the
    /// answer is not read yet.
    pub(crate) async fn open(&self, call: &Call<'_>) -> Result<Response, Failure> {
        let response = self.send(call, call.body.clone().into()).await?;
        if response.status() != StatusCode::UNAUTHORIZED || !self.is_own(call) {
            return self.good(call, response).await;
        }
        self.renew(call, &response).await?;
        let response = self.send(call, call.body.clone().into()).await?;
        self.good(call, response).await
    }

    /// Sends a request once with a body that cannot be sent again.
    pub(crate) async fn open_with(&self, call: &Call<'_>, body: Body) -> Result<Response, Failure> {
        let response = self.send(call, body).await?;
        if response.status() == StatusCode::UNAUTHORIZED && self.is_own(call) {
            // What let us in has expired meanwhile: the next try has something newer.
            self.renew(call, &response).await?;
            return Err(Failure::Connection("what allows us to push has expired".to_owned()));
        }
        self.good(call, response).await
    }

    async fn send(&self, call: &Call<'_>, body: Body) -> Result<Response, Failure> {
        let http = self.http(&call.url);
        let mut request =
            http.request(call.method.clone(), call.url.clone()).timeout(call.deadline).body(body);
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        if self.is_own(call)
            && let Some(value) = self.authorization(call)
        {
            request = request.header(AUTHORIZATION, value);
        }
        request.send().await.map_err(|error| Failure::of(error, call.deadline))
    }

    /// Whether the request goes to the registry itself: what it may redirect to, or name as the
    /// place for an upload, gets no credentials.
    fn is_own(&self, call: &Call<'_>) -> bool {
        self.url(call.repository, "").is_ok_and(|own| own.origin() == call.url.origin())
    }

    async fn good(&self, call: &Call<'_>, response: Response) -> Result<Response, Failure> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let failure = Failure::of_answer(response, call.deadline).await;
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let credentials = self.source(call.repository.host());
            return Err(Failure::Unauthorized { credentials, why: failure.said() });
        }
        Err(failure)
    }

    /// Gets what the registry asks for, and keeps it for the next requests.
    async fn renew(&self, call: &Call<'_>, response: &Response) -> Result<(), Failure> {
        let host = call.repository.host();
        let asked = response.headers().get_all(WWW_AUTHENTICATE);
        let asked: Vec<&str> = asked.iter().filter_map(|value| value.to_str().ok()).collect();
        let found = self.find(host).await?;
        let scopes = call.access.scopes(call.repository);
        let authorization = self.authorize(&asked, call, &scopes, found).await?;
        let mut known = self.authorizations.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert((host.to_owned(), scopes), authorization);
        Ok(())
    }

    fn authorization(&self, call: &Call<'_>) -> Option<reqwest::header::HeaderValue> {
        let key = (call.repository.host().to_owned(), call.access.scopes(call.repository));
        let known = self.authorizations.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&key).and_then(Authorization::header)
    }

    async fn find(&self, host: &str) -> Result<Found, Failure> {
        let known = self.found.lock().unwrap_or_else(PoisonError::into_inner).get(host).cloned();
        if let Some(found) = known {
            return Ok(found);
        }
        let found = self.credentials.find(host).await.map_err(Failure::Credentials)?;
        let mut known = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(host.to_owned(), found.clone());
        Ok(found)
    }

    fn source(&self, host: &str) -> Source {
        let known = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(host).map_or(Source::Anonymous, |found| found.source.clone())
    }
}

/// Reads an answer, up to a limit that is checked before more is kept.
pub(crate) async fn read(
    mut response: Response,
    limit: u64,
    deadline: Duration,
) -> Result<Bytes, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| Failure::of(e, deadline))? {
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(Failure::Invalid(format!(
                "the registry's answer has more than {limit} bytes, which is the most"
            )));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}

/// Follows where a registry sends for a blob, but never from TLS to plain text.
fn redirect(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    let secure = attempt.previous().last().is_some_and(|last| last.scheme() == "https");
    if secure && attempt.url().scheme() != "https" {
        return attempt.error("the registry sends from https to http");
    }
    if attempt.previous().len() > 5 {
        return attempt.error("the registry redirects more than 5 times");
    }
    attempt.follow()
}

/// Whether a host, with or without a port, is this machine.
fn is_loopback(host: &str) -> bool {
    let name = match host.find(']') {
        Some(end) => &host[..=end],
        None => host.split(':').next().unwrap_or(host),
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost"
        || bare.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || bare.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to_in_plain_text() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["registry.example", "localhost.example:5000", "10.0.0.1", "[fe80::1]:5000"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
