//! Names of hosts, as they are compared.

use http::uri::Authority;

/// A name as it is compared: in lower case and without a final dot.
pub(crate) fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Reads what stands in `Host` or `:authority`; none when it is no host.
pub(crate) fn authority(text: &str) -> Option<Authority> {
    if text.contains('@') {
        return None;
    }
    let authority: Authority = text.parse().ok()?;
    let host = authority.host();
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let named = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    let port = &authority.as_str()[host.len()..];
    let port = port.is_empty() || authority.port_u16().is_some();
    (!host.is_empty() && (bracketed || named) && port).then_some(authority)
}

/// Whether this is what a listener may answer to: a host, or `*.` and a host.
pub(crate) fn is_pattern(text: &str) -> bool {
    let host = text.strip_prefix("*.").unwrap_or(text);
    authority(host).is_some_and(|found| found.host() == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_are_hosts() {
        for good in ["example.org", "Example.org:8443", "127.0.0.1:80", "[::1]:443", "a_b.local"] {
            assert!(authority(good).is_some(), "{good}");
        }
        for bad in ["", ":80", "user@example.org", "a b", "a/b", "a\"b", "a:99999", "a:b"] {
            assert!(authority(bad).is_none(), "{bad}");
        }
        assert!(is_pattern("*.example.org") && is_pattern("example.org"));
        assert!(!is_pattern("*") && !is_pattern("a.*.org") && !is_pattern("example.org:443"));
    }
}
