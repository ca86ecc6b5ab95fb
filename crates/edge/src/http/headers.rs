//! Header fields on their way through.

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, Entry, FORWARDED, HOST, HeaderMap, HeaderName,
    HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};
use std::net::{IpAddr, SocketAddr};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Other fields that claim to know the client; whoever believes one would believe the client.
const CLAIMS: [HeaderName; 5] = [
    FORWARDED,
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-server"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-forwarded-scheme"),
];
/// Fields of a connection, not of a message (RFC 9110, 7.6.1), beside those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 6] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes what concerns only one connection.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = tokens(headers, &CONNECTION)
        .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
        .filter(|name| *name != HOST && *name != CONTENT_LENGTH)
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Whether a field that is a list of tokens has this one.
pub(super) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|found| found.eq_ignore_ascii_case(token))
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

/// Who asks, as the target is told.
pub(super) struct Origin<'a> {
    pub(super) peer: IpAddr,
    pub(super) scheme: &'static str,
    pub(super) authority: Option<&'a str>,
    /// What to put into `Host` when the client, as HTTP/1.0 allows, named none.
    pub(super) fallback: SocketAddr,
    /// The value of `Upgrade` when the client wants to change the protocol.
    pub(super) upgrade: Option<HeaderValue>,
}

/// Makes a request's fields ready for a target. What the client says about itself is not believed.
pub(super) fn prepare(headers: &mut HeaderMap, origin: Origin<'_>) {
    let trailers = has_token(headers, &TE, "trailers");
    remove_hop_by_hop(headers);
    for name in CLAIMS.iter().chain([&EXPECT, &X_FORWARDED_FOR, &X_FORWARDED_HOST]) {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    if let Some(protocol) = origin.upgrade {
        headers.insert(UPGRADE, protocol);
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
    if let Ok(peer) = HeaderValue::try_from(origin.peer.to_canonical().to_string()) {
        headers.insert(X_FORWARDED_FOR, peer);
    }
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(origin.scheme));
    if let Some(authority) = origin.authority.and_then(|text| HeaderValue::try_from(text).ok()) {
        headers.insert(HOST, authority.clone());
        headers.insert(X_FORWARDED_HOST, authority);
    } else if let Ok(fallback) = HeaderValue::try_from(origin.fallback.to_string()) {
        headers.insert(HOST, fallback);
    }
    join_cookies(headers);
}

/// HTTP/2 may split cookies into several fields, HTTP/1.1 may not (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let Entry::Occupied(cookies) = headers.entry(COOKIE) else { return };
    if cookies.iter().nth(1).is_none() {
        return;
    }
    let joined = cookies.iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b"; "[..]);
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn prepared(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let origin = Origin {
            peer: "::ffff:192.0.2.7".parse().expect("an address"),
            scheme: "https",
            authority: Some("example.org:8443"),
            fallback: ([192, 0, 2, 1], 443).into(),
            upgrade: None,
        };
        prepare(&mut headers, origin);
        headers
    }

    #[test]
    fn what_the_client_says_about_itself_is_not_believed() {
        let headers = prepared(&[
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-for", "10.0.0.2"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "evil.example"),
            ("forwarded", "for=10.0.0.1"),
            ("x-real-ip", "10.0.0.1"),
            ("host", "example.org:8443"),
        ]);
        assert_eq!(
            headers,
            fields(&[
                ("x-forwarded-for", "192.0.2.7"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "example.org:8443"),
                ("host", "example.org:8443"),
            ])
        );
    }

    #[test]
    fn fields_of_the_connection_stay_there() {
        let headers = prepared(&[
            ("connection", "close, X-Secret, host"),
            ("connection", "x-other"),
            ("x-secret", "1"),
            ("x-other", "2"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("te", "gzip"),
            ("expect", "100-continue"),
            ("accept", "*/*"),
        ]);
        assert_eq!(headers.len(), 5, "{headers:?}");
        assert!(headers.contains_key("accept") && headers.contains_key("host"));
    }

    #[test]
    fn split_cookies_are_joined() {
        let headers = prepared(&[("cookie", "a=1"), ("cookie", "b=2")]);
        let cookies: Vec<_> = headers.get_all("cookie").into_iter().collect();
        assert_eq!(cookies, ["a=1; b=2"]);
    }
}
