//! Listeners.

use super::{At, Decoder, Fields};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::keys;
use crate::tree::{self, Entry, Kind, Node};
use landfall_model::{Balancer, CertificateName, ListenerProtocol, OptionValue, ServiceName};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The policy of listeners that name none: AWS's recommendation for new listeners.
pub(crate) const DEFAULT_POLICY: &str = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09";

const PROTOCOLS: [(&str, ListenerProtocol); 4] = [
    ("tls", ListenerProtocol::Tls),
    ("tcp", ListenerProtocol::Tcp),
    ("https", ListenerProtocol::Https),
    ("http", ListenerProtocol::Http),
];

/// A listener as far as it could be read.
#[derive(Default)]
pub(crate) struct DraftListener {
    pub(crate) listen: Option<At<SocketAddr>>,
    pub(crate) protocol: Option<ListenerProtocol>,
    pub(crate) certificate: Option<At<CertificateName>>,
    pub(crate) policy: Option<String>,
    pub(crate) hosts: BTreeSet<String>,
    pub(crate) to: Option<At<ServiceName>>,
    pub(crate) redirect: Option<At<Redirect>>,
    pub(crate) balancer: Option<Balancer>,
}

/// Where a redirect goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Redirect {
    /// To the only listener that speaks TLS.
    Only,
    /// To this port.
    Port(u16),
}

impl Decoder<'_, '_> {
    pub(super) fn listener(&mut self, entry: &Entry, what: String) -> Option<DraftListener> {
        let fields = self.fields(&entry.value, &keys::LISTENER, &entry.key_span, what)?;
        let listen = self
            .required(&fields, "listen", "listen: 8443")
            .and_then(|entry| self.listen(&entry.value, &fields.of("listen")));
        let protocol = self
            .required(&fields, "protocol", "protocol: https")
            .and_then(|entry| self.word(&entry.value, &fields.of("protocol"), &PROTOCOLS, &[]));
        let mut draft = DraftListener { listen, protocol, ..DraftListener::default() };
        self.security(&fields, &mut draft);
        if let Some(entry) = fields.get("hosts") {
            draft.hosts = self
                .hosts(Some(entry), &fields.of("hosts"), false)
                .unwrap_or_default()
                .into_iter()
                .collect();
            if protocol == Some(ListenerProtocol::Tcp) {
                let message = format!("{} is `tcp`, which carries no host name", fields.what);
                self.not_here(entry, message, "remove `hosts`, or use `tls`, `https` or `http`");
            }
        }
        self.route(&fields, &mut draft);
        draft.balancer = self.balancer(&fields, protocol);
        Some(draft)
    }

    fn security(&mut self, fields: &Fields<'_>, draft: &mut DraftListener) {
        let Some(protocol) = draft.protocol else {
            return;
        };
        if protocol.terminates_tls() {
            draft.certificate = self.reference(fields, "certificate", "certificate: NAME");
            draft.policy = match fields.get("policy") {
                None => Some(DEFAULT_POLICY.to_owned()),
                Some(entry) => self.full_text(&entry.value, &fields.of("policy")),
            };
            return;
        }
        let instead = if protocol == ListenerProtocol::Tcp { "tls" } else { "https" };
        for entry in ["certificate", "policy"].iter().filter_map(|key| fields.get(key)) {
            let message = format!(
                "{} is `{protocol}`, where TLS does not end, so it has no `{}`",
                fields.what, entry.key
            );
            let help = format!("remove `{}`, or write `protocol: {instead}`", entry.key);
            self.not_here(entry, message, &help);
        }
    }

    fn route(&mut self, fields: &Fields<'_>, draft: &mut DraftListener) {
        match (fields.get("to"), fields.get("redirect")) {
            (Some(to), Some(redirect)) => self.exclusive(
                fields,
                to,
                redirect,
                "keep `to` to serve, or `redirect` to send clients elsewhere; a stack takes the other away with `null`",
            ),
            (Some(_), None) => draft.to = self.reference(fields, "to", "to: web"),
            (None, Some(entry)) => {
                if draft.protocol.is_some_and(|protocol| protocol != ListenerProtocol::Http) {
                    let message =
                        format!("{} cannot redirect: only `http` listeners can", fields.what);
                    self.not_here(entry, message, "write `to: SERVICE`, or `protocol: http`");
                }
                draft.redirect = self
                    .redirect(entry, fields)
                    .map(|value| At { value, span: entry.value.span.clone() });
            }
            (None, None) if !fields.misses("to") || !fields.misses("redirect") => {}
            (None, None) => self.add(
                Diagnostic::error(
                    codes::MISSING_KEY,
                    fields.owner.clone(),
                    format!("{} leads nowhere", fields.what),
                )
                .caret("needs `to` or `redirect`")
                .help("add `to: SERVICE`; or, on an `http` listener, `redirect: https`"),
            ),
        }
    }

    fn redirect(&mut self, entry: &Entry, listener: &Fields<'_>) -> Option<Redirect> {
        let what = listener.of("redirect");
        if !matches!(entry.value.kind, Kind::Map(_)) {
            if matches!(entry.value.kind, Kind::List(_)) {
                let help = "write `https` or `{ https: 8443 }`".to_owned();
                self.wrong_type(&entry.value, &what, "`https` or a map", Some(help));
                return None;
            }
            return self.word(&entry.value, &what, &[("https", Redirect::Only)], &[]);
        }
        let fields = self.fields(&entry.value, &keys::REDIRECT, &entry.key_span, what)?;
        let port = self.required(&fields, "https", "https: 8443")?;
        let port = self.integer(&port.value, &fields.of("https"), 1..=65_535)?;
        u16::try_from(port).ok().map(Redirect::Port)
    }

    fn listen(&mut self, node: &Node, what: &str) -> Option<At<SocketAddr>> {
        let number = match &node.kind {
            Kind::Plain(text) => tree::integer(text).is_some(),
            Kind::Option { value: Some(OptionValue::Integer(_)), .. } => true,
            Kind::List(_) | Kind::Map(_) | Kind::Null => {
                let help = "write a port, like `8443`, or an address, like `127.0.0.1:8443`";
                self.wrong_type(node, what, "a port or an address", Some(help.to_owned()));
                return None;
            }
            _ => false,
        };
        let port = |port: i64| u16::try_from(port).ok();
        if number {
            let port = port(self.integer(node, what, 1..=65_535)?)?;
            let value = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
            return Some(At { value, span: node.span.clone() });
        }
        let text = self.text(node, what)?;
        let address = match tree::integer(&text).and_then(port) {
            Some(port) => Some(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)),
            None => text.parse().ok(),
        };
        if let Some(value) = address.filter(|address| address.port() > 0) {
            return Some(At { value, span: node.span.clone() });
        }
        self.add(
            Diagnostic::error(
                codes::BAD_ADDRESS,
                node.span.clone(),
                format!("{what} must be a port or an IP address with a port, and `{text}` is not"),
            )
            .label_if(super::scalar::origin(node), "the value comes from here")
            .help(address_help(&text)),
        );
        None
    }

    /// A list of host names, at least one, in lower case.
    pub(super) fn hosts(
        &mut self,
        entry: Option<&Entry>,
        what: &str,
        addresses: bool,
    ) -> Option<Vec<String>> {
        let node = &entry?.value;
        let items = self.items(node, what, "write a list, like `[shop.example]`")?;
        if items.is_empty() {
            self.add(
                Diagnostic::error(codes::EMPTY, node.span.clone(), format!("{what} is empty"))
                    .help("write at least one name, like `[shop.example]`, or remove the key"),
            );
            return None;
        }
        let names: Vec<Option<String>> =
            items.iter().map(|item| self.host(item, what, addresses)).collect();
        let mut unique = Vec::new();
        for name in names {
            let name = name?;
            if !unique.contains(&name) {
                unique.push(name);
            }
        }
        Some(unique)
    }

    fn host(&mut self, node: &Node, what: &str, addresses: bool) -> Option<String> {
        let text = self.text(node, &format!("a name in {what}"))?;
        let name = text.to_ascii_lowercase();
        let is_address = name.parse::<IpAddr>().is_ok();
        if (is_address && addresses) || (!is_address && is_host(&name)) {
            return Some(name);
        }
        let help = if is_address {
            "host names only: use `listen` for the address".to_owned()
        } else if name.contains("://") || name.contains('/') || name.contains(':') {
            "write only the host name, without scheme, port and path".to_owned()
        } else if !name.is_ascii() {
            "write the name in its ASCII form, which begins with `xn--`".to_owned()
        } else if name.contains('*') {
            "a wildcard stands alone in front: `*.shop.example`".to_owned()
        } else {
            "write it like `shop.example` or `*.shop.example`".to_owned()
        };
        self.add(
            Diagnostic::error(
                codes::BAD_HOST,
                node.span.clone(),
                format!("`{text}` in {what} is not a host name"),
            )
            .help(help),
        );
        None
    }
}

fn is_host(name: &str) -> bool {
    let bare = name.strip_prefix("*.").unwrap_or(name);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last_is_number =
        bare.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    name.len() <= 253 && bare.split('.').all(label) && !last_is_number
}

fn address_help(text: &str) -> String {
    match text.rsplit_once(':') {
        Some(("", port)) if port.parse::<u16>().is_ok() => {
            format!("write `{port}` for all interfaces")
        }
        Some(("localhost", port)) => format!("write `127.0.0.1:{port}`"),
        Some(("*", port)) => format!("write `{port}` for all interfaces"),
        Some((host, _)) if host.contains(':') && !host.starts_with('[') => {
            "write an IPv6 address in brackets and quotes: `\"[::1]:8443\"`".to_owned()
        }
        None if text.parse::<IpAddr>().is_ok() => format!("add the port: `{text}:8443`"),
        _ => "write a port, like `8443`, or an address, like `127.0.0.1:8443`".to_owned(),
    }
}
