//! What listens on a cluster: the keys of a listener that its engine `kubernetes` reads.

use super::{Decoder, Fields};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::tree::Kind;
use landfall_model::{
    Balancer, ListenerProtocol, Nlb, NlbAlpn, NlbClass, NlbScheme, Provider, ServiceKind,
};
use std::collections::BTreeMap;

/// Whose load balancer, as the file says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Service,
    AwsNlb,
}

pub(crate) const PROVIDERS: [&str; 2] = ["service", "aws-nlb"];
pub(crate) const KINDS: [&str; 3] = ["ClusterIP", "NodePort", "LoadBalancer"];
pub(crate) const SCHEMES: [&str; 2] = ["internal", "internet-facing"];
pub(crate) const ALPN: [&str; 5] =
    ["None", "HTTP1Only", "HTTP2Only", "HTTP2Optional", "HTTP2Preferred"];
pub(crate) const CLASSES: [&str; 2] = ["controller", "auto-mode"];

/// The keys that only one provider has.
const OF_SERVICE: [&str; 2] = ["type", "node_port"];
const OF_NLB: [&str; 3] = ["scheme", "alpn", "class"];

impl Decoder<'_, '_> {
    /// What the listener says for a cluster; the edge of one machine does not read it.
    pub(super) fn balancer(
        &mut self,
        fields: &Fields<'_>,
        protocol: Option<ListenerProtocol>,
    ) -> Option<Balancer> {
        let named = match fields.get("provider") {
            // Only an NLB ends TLS.
            None if protocol == Some(ListenerProtocol::Tls) => Named::AwsNlb,
            None => Named::Service,
            Some(entry) => {
                let words = [(PROVIDERS[0], Named::Service), (PROVIDERS[1], Named::AwsNlb)];
                self.word(&entry.value, &fields.of("provider"), &words, &[])?
            }
        };
        let (foreign, other): (&[&str], _) = match named {
            Named::Service => (&OF_NLB, PROVIDERS[1]),
            Named::AwsNlb => (&OF_SERVICE, PROVIDERS[0]),
        };
        for entry in foreign.iter().filter_map(|key| fields.get(key)) {
            let message = format!("`{}` of {} is for `provider: {other}`", entry.key, fields.what);
            let help = format!("remove `{}`, or write `provider: {other}`", entry.key);
            self.not_here(entry, message, &help);
        }
        let annotations = self.annotations(fields)?;
        let provider = match named {
            Named::Service => self.service_provider(fields)?,
            Named::AwsNlb => Provider::AwsNlb(self.nlb(fields)?),
        };
        Some(Balancer { provider, annotations })
    }

    fn service_provider(&mut self, fields: &Fields<'_>) -> Option<Provider> {
        let node_port = match fields.get("node_port") {
            None => None,
            Some(entry) => {
                let port = self.integer(&entry.value, &fields.of("node_port"), 1..=65_535)?;
                Some(u16::try_from(port).ok()?)
            }
        };
        let kind = match fields.get("type") {
            None if node_port.is_some() => ServiceKind::NodePort,
            None => ServiceKind::LoadBalancer,
            Some(entry) => {
                let words = [
                    (KINDS[0], ServiceKind::ClusterIp),
                    (KINDS[1], ServiceKind::NodePort),
                    (KINDS[2], ServiceKind::LoadBalancer),
                ];
                self.word(&entry.value, &fields.of("type"), &words, &[])?
            }
        };
        if let (ServiceKind::ClusterIp, Some(entry)) = (kind, fields.get("node_port")) {
            let message =
                format!("{} is of type `ClusterIP`, which has no port on nodes", fields.what);
            self.not_here(entry, message, "remove `node_port`, or write `type: NodePort`");
        }
        Some(Provider::Service { kind, node_port })
    }

    fn nlb(&mut self, fields: &Fields<'_>) -> Option<Nlb> {
        let class = match fields.get("class") {
            None => NlbClass::Controller,
            Some(entry) => {
                let words = [(CLASSES[0], NlbClass::Controller), (CLASSES[1], NlbClass::AutoMode)];
                self.word(&entry.value, &fields.of("class"), &words, &[])?
            }
        };
        let scheme = match fields.get("scheme") {
            // A listener is for everybody unless it says something else, as on one machine.
            None => NlbScheme::InternetFacing,
            Some(entry) => {
                let words =
                    [(SCHEMES[0], NlbScheme::Internal), (SCHEMES[1], NlbScheme::InternetFacing)];
                self.word(&entry.value, &fields.of("scheme"), &words, &[])?
            }
        };
        let alpn = match fields.get("alpn") {
            None => NlbAlpn::None,
            Some(entry) => {
                let words = [
                    (ALPN[0], NlbAlpn::None),
                    (ALPN[1], NlbAlpn::Http1Only),
                    (ALPN[2], NlbAlpn::Http2Only),
                    (ALPN[3], NlbAlpn::Http2Optional),
                    (ALPN[4], NlbAlpn::Http2Preferred),
                ];
                self.word(&entry.value, &fields.of("alpn"), &words, &[])?
            }
        };
        Some(Nlb { class, scheme, alpn })
    }

    fn annotations(&mut self, fields: &Fields<'_>) -> Option<BTreeMap<String, String>> {
        let mut all = BTreeMap::new();
        let Some(entry) = fields.get("annotations") else { return Some(all) };
        let what = fields.of("annotations");
        let Kind::Map(entries) = &entry.value.kind else {
            let help = "write `{ example.com/name: text }`".to_owned();
            self.wrong_type(&entry.value, &what, "a map from names to text", Some(help));
            return None;
        };
        let mut sound = true;
        for entry in entries {
            let value = self.text(&entry.value, &format!("`{}` in {what}", entry.key));
            if entry.key.starts_with("landfall.dev/") || !is_annotation(&entry.key) {
                let (message, help) = if entry.key.starts_with("landfall.dev/") {
                    (
                        format!("`{}` in {what} is written by Landfall itself", entry.key),
                        "remove it",
                    )
                } else {
                    (
                        format!("`{}` in {what} is not the name of an annotation", entry.key),
                        "write it like `example.com/name`: up to 63 letters, digits, `-`, `_` and `.` after an optional domain and `/`",
                    )
                };
                self.add(
                    Diagnostic::error(codes::BAD_ANNOTATION, entry.key_span.clone(), message)
                        .help(help),
                );
                sound = false;
                continue;
            }
            match value {
                Some(value) => drop(all.insert(entry.key.clone(), value)),
                None => sound = false,
            }
        }
        sound.then_some(all)
    }
}

/// Whether Kubernetes takes it as the name of an annotation.
fn is_annotation(key: &str) -> bool {
    let (domain, name) = match key.split_once('/') {
        Some((domain, name)) => (Some(domain), name),
        None => (None, key),
    };
    let ends = |text: &str| {
        text.starts_with(|it: char| it.is_ascii_alphanumeric())
            && text.ends_with(|it: char| it.is_ascii_alphanumeric())
    };
    let inner =
        |text: &str| text.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_.".contains(&it));
    let label = |text: &str| {
        ends(text)
            && text.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-')
    };
    name.len() <= 63
        && ends(name)
        && inner(name)
        && domain.is_none_or(|domain| domain.len() <= 253 && domain.split('.').all(label))
}
