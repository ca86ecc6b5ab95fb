//! From credentials to what a request carries.

use super::challenge::{self, Challenge};
use super::{Answer, Call, Failure, Tries, Wire, read};
use crate::credentials::{Found, Login};
use crate::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{RequestBuilder, Url};
use serde::Deserialize;
use std::time::{Duration, Instant};

/// What a token lives when the registry does not say.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
/// A token that ends so soon is not used any more.
const MARGIN: Duration = Duration::from_secs(10);
const LIMIT: u64 = 1 << 20;
const CLIENT: &str = "landfall";

/// What a request carries.
pub(super) struct Authorization {
    value: Secret,
    until: Option<Instant>,
}

impl Authorization {
    fn basic(user: &str, password: &Secret) -> Self {
        let pair = STANDARD.encode(format!("{user}:{}", password.reveal()));
        Self { value: Secret::new(format!("Basic {pair}")), until: None }
    }

    fn bearer(token: &Secret, life: Option<Duration>) -> Self {
        let until = life.map(|life| Instant::now() + life.saturating_sub(MARGIN));
        Self { value: Secret::new(format!("Bearer {}", token.reveal())), until }
    }

    /// As a header, while it is good.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        if self.until.is_some_and(|until| until <= Instant::now()) {
            return None;
        }
        let mut value = HeaderValue::from_str(self.value.reveal()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Wire {
    /// What the registry asks for, made of what is known.
    pub(super) async fn authorize(
        &self,
        asked: &[&str],
        call: &Call<'_>,
        scopes: &[String],
        found: Found,
    ) -> Result<Authorization, Failure> {
        let refused = |why: &str| Failure::Unauthorized {
            credentials: found.source.clone(),
            why: why.to_owned(),
        };
        match (challenge::read(asked), &found.login) {
            (None, _) => Err(refused("status 401, and it asks for nothing that is understood")),
            (_, Some(Login::Bearer(token))) => Ok(Authorization::bearer(token, None)),
            (Some(Challenge::Basic), Some(Login::Basic { user, password })) => {
                Ok(Authorization::basic(user, password))
            }
            (Some(Challenge::Basic), Some(Login::Identity(_))) => {
                Err(refused("it wants a name and a password, and only a token is known"))
            }
            (Some(Challenge::Basic), None) => {
                Err(refused("status 401, it wants a name and a password"))
            }
            (Some(Challenge::Bearer { realm, service }), login) => {
                let realm = self.realm(&realm, call)?;
                let request = Request { realm, service: service.as_deref(), scopes, login };
                let answer =
                    self.ask(&request, call.deadline).await.map_err(|failure| match failure {
                        Failure::Status { status, .. } if (400..404).contains(&status) => {
                            refused(&failure.said())
                        }
                        other => other,
                    })?;
                token(&answer)
            }
        }
    }

    /// Credentials go nowhere in plain text because a registry says so.
    fn realm(&self, realm: &str, call: &Call<'_>) -> Result<Url, Failure> {
        let url: Url = realm
            .parse()
            .map_err(|_| Failure::Invalid("the registry names no address for tokens".to_owned()))?;
        if url.scheme() == "https" || (url.scheme() == "http" && call.url.scheme() == "http") {
            return Ok(url);
        }
        Err(Failure::Invalid(
            "the registry, which speaks TLS, names an address for tokens that does not".to_owned(),
        ))
    }

    async fn ask(&self, request: &Request<'_>, deadline: Duration) -> Result<Answer, Failure> {
        let mut tries = Tries::new(&self.options);
        loop {
            let http = self.http(&request.realm);
            match answer(request.build(http).timeout(deadline), deadline).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }
}

async fn answer(request: RequestBuilder, deadline: Duration) -> Result<Answer, Failure> {
    let response = request.send().await.map_err(|error| Failure::of(error, deadline))?;
    if !response.status().is_success() {
        return Err(Failure::of_answer(response, deadline).await);
    }
    let headers = response.headers().clone();
    let body = read(response, LIMIT, deadline).await?;
    Ok(Answer { headers, body })
}

struct Request<'a> {
    realm: Url,
    service: Option<&'a str>,
    scopes: &'a [String],
    login: &'a Option<Login>,
}

impl Request<'_> {
    fn build(&self, http: &reqwest::Client) -> RequestBuilder {
        if let Some(Login::Identity(token)) = self.login {
            // Written as the query of an address that goes nowhere, and sent as a form.
            let mut form = self.realm.clone();
            form.query_pairs_mut()
                .clear()
                .append_pair("grant_type", "refresh_token")
                .append_pair("service", self.service.unwrap_or_default())
                .append_pair("client_id", CLIENT)
                .append_pair("scope", &self.scopes.join(" "))
                .append_pair("refresh_token", token.reveal());
            return http
                .post(self.realm.clone())
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form.query().unwrap_or_default().to_owned());
        }
        let mut url = self.realm.clone();
        for scope in self.scopes {
            url.query_pairs_mut().append_pair("scope", scope);
        }
        if let Some(service) = self.service {
            url.query_pairs_mut().append_pair("service", service);
        }
        let request = http.get(url);
        match self.login {
            Some(Login::Basic { user, password }) => {
                let value = Authorization::basic(user, password).header();
                value.into_iter().fold(request, |request, it| request.header(AUTHORIZATION, it))
            }
            _ => request,
        }
    }
}

fn token(answer: &Answer) -> Result<Authorization, Failure> {
    let wrong = || Failure::Invalid("the registry answers no token where it names one".to_owned());
    let token: Token = serde_json::from_slice(&answer.body).map_err(|_| wrong())?;
    let text = token.token.or(token.access_token).filter(|text| !text.is_empty());
    let life = token.expires_in.map_or(DEFAULT_LIFE, Duration::from_secs);
    // One that ends at once would be fetched again for ever.
    let life = life.max(MARGIN * 2).min(Duration::from_secs(24 * 60 * 60));
    Ok(Authorization::bearer(&Secret::new(text.ok_or_else(wrong)?), Some(life)))
}
