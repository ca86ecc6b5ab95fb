//! The address that a person opens.

use landfall_model::{Certificate, Listener, ListenerProtocol};

/// The URL of a listener that browsers can open: with the name of its certificate where there is
/// one that means a host, otherwise with the address it listens on.
pub(crate) fn url(listener: &Listener, certificate: Option<&Certificate>) -> Option<String> {
    let (scheme, usual) = match listener.protocol {
        ListenerProtocol::Https => ("https", 443),
        ListenerProtocol::Tls => ("https", 443),
        ListenerProtocol::Http => ("http", 80),
        ListenerProtocol::Tcp => return None,
    };
    let named = listener.hosts.iter().chain(certificate.iter().flat_map(|it| &it.names));
    let named = named.filter(|name| !name.starts_with("*.")).map(String::as_str).next();
    let ip = listener.listen.ip();
    let host = match named {
        Some(name) => name.to_owned(),
        None if ip.is_unspecified() => "localhost".to_owned(),
        None if ip.is_ipv6() => format!("[{ip}]"),
        None => ip.to_string(),
    };
    let port = listener.listen.port();
    Some(if port == usual {
        format!("{scheme}://{host}/")
    } else {
        format!("{scheme}://{host}:{port}/")
    })
}
