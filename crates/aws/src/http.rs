//! One HTTP client for everything, with limits on what it waits for and reads.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method};
use std::time::Duration;

/// The most that is read of an answer, in bytes.
pub const LIMIT: usize = 4 * 1024 * 1024;

const CONNECT: Duration = Duration::from_secs(3);
const IDLE: Duration = Duration::from_secs(20);

/// The client; a copy shares its connections.
#[derive(Debug, Clone)]
pub struct Http {
    usual: reqwest::Client,
    /// For the machine's own addresses: a proxy would answer with the proxy's machine's.
    direct: reqwest::Client,
}

/// What is sent.
pub struct Sent {
    pub method: Method,
    pub url: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Why nothing usable came back.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Nothing was sent.
    #[error("{0}")]
    Connect(String),
    /// The connection broke after something was sent.
    #[error("{0}")]
    Broken(String),
    /// The answer is longer than anything that AWS answers.
    #[error("it is longer than {LIMIT} bytes")]
    TooLong,
}

impl Http {
    /// A client with the system's certificates and the environment's proxies.
    pub fn new() -> Result<Self, String> {
        let build = |builder: reqwest::ClientBuilder| {
            builder
                .connect_timeout(CONNECT)
                .pool_idle_timeout(IDLE)
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .user_agent(concat!("landfall/", env!("CARGO_PKG_VERSION")))
                .build()
                .map_err(|error| landfall_model::chain(&error))
        };
        Ok(Self {
            usual: build(reqwest::Client::builder())?,
            direct: build(reqwest::Client::builder().no_proxy())?,
        })
    }

    /// Sends one request and reads the whole answer. Whoever calls sets the deadline.
    pub async fn send(&self, sent: Sent) -> Result<Answer, HttpError> {
        let client = if is_near(&sent.url) { &self.direct } else { &self.usual };
        let request = client.request(sent.method, &sent.url).headers(sent.headers).body(sent.body);
        let mut response = request.send().await.map_err(|error| {
            // The address may hold a signature, and the message names the endpoint anyway.
            let (first, error) = (error.is_connect(), error.without_url());
            let why = landfall_model::chain(&error);
            if first { HttpError::Connect(why) } else { HttpError::Broken(why) }
        })?;
        let mut body = BytesMut::new();
        while let Some(piece) = response
            .chunk()
            .await
            .map_err(|error| HttpError::Broken(landfall_model::chain(&error.without_url())))?
        {
            if body.len() + piece.len() > LIMIT {
                return Err(HttpError::TooLong);
            }
            body.extend_from_slice(&piece);
        }
        Ok(Answer {
            status: response.status().as_u16(),
            headers: std::mem::take(response.headers_mut()),
            body: body.freeze(),
        })
    }
}

/// Whether an address is this machine's, or of the network that only this machine sees: that is
/// where instances and containers are told their credentials.
fn is_near(url: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    if host == "localhost" {
        return true;
    }
    match host.parse() {
        Ok(std::net::IpAddr::V4(address)) => address.is_loopback() || address.is_link_local(),
        Ok(std::net::IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unicast_link_local() || address.is_unique_local()
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_near;

    #[test]
    fn a_proxy_is_not_asked_for_what_only_this_machine_sees() {
        for near in
            ["http://169.254.169.254/latest", "http://[fd00:ec2::254]/", "http://localhost:1/"]
        {
            assert!(is_near(near), "{near}");
        }
        for far in ["https://sts.eu-west-1.amazonaws.com", "http://10.0.0.1:80/", "nonsense"] {
            assert!(!is_near(far), "{far}");
        }
    }
}
