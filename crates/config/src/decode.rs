//! From the tree to values: each function reads one kind of value, reports what is wrong, and lets
//! the others go on.

mod balancer;
mod command;
mod health;
mod hook;
mod listener;
mod quantity;
mod rollout;
mod scalar;
mod service;

pub(crate) use balancer::{ALPN, CLASSES, KINDS, PROVIDERS, SCHEMES};
pub(crate) use command::split_words;
pub(crate) use health::default_health;
pub(crate) use listener::{DraftListener, Redirect};
pub(crate) use quantity::quantity_help;
pub(crate) use rollout::DraftRollout;
pub(crate) use scalar::{article, old_boolean};
pub(crate) use service::{DraftService, soonest_healthy, variable_name};

use crate::codes;
use crate::diagnostic::{Diagnostic, Report};
use crate::keys::{self, Keys};
use crate::nearest::{nearest, suggest};
use crate::resolve::CertificateRequest;
use crate::source::Span;
use crate::tree::{Entry, Kind, Node};
use landfall_model::{CertificateName, Hook, ListenerName, NameError, ServiceName};
use std::collections::BTreeMap;
use std::str::FromStr;

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// Everything that a stack's tree says, before the parts are held against each other.
pub(crate) struct Draft {
    pub(crate) services: BTreeMap<ServiceName, At<Option<DraftService>>>,
    pub(crate) certificates: BTreeMap<CertificateName, At<Option<CertificateRequest>>>,
    pub(crate) listeners: BTreeMap<ListenerName, At<Option<DraftListener>>>,
    pub(crate) hooks: Vec<DraftHook>,
    pub(crate) rollout: Option<DraftRollout>,
}

/// A hook with the places that cross checks point at.
pub(crate) struct DraftHook {
    pub(crate) service: Option<At<ServiceName>>,
    pub(crate) hook: Option<Hook>,
}

/// The map of a named thing.
pub(crate) struct Fields<'n> {
    node: &'n Node,
    keys: &'static Keys,
    /// Where the thing is named; missing keys are reported there.
    pub(crate) owner: Span,
    /// The thing, like "service `web`".
    pub(crate) what: String,
}

impl<'n> Fields<'n> {
    /// A key that has a value.
    pub(crate) fn get(&self, key: &str) -> Option<&'n Entry> {
        self.node.get(key).filter(|entry| !entry.value.is_null())
    }

    /// Whether the key stands there at all.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.node.get(key).is_some()
    }

    /// Whether a key was probably meant by another one, which was already reported.
    fn is_meant(&self, key: &str) -> bool {
        self.node.entries().iter().any(|entry| {
            let unknown = !self.keys.names().any(|name| name == entry.key);
            unknown && (entry.key == "<<" || nearest(&entry.key, self.keys.names()) == Some(key))
        })
    }

    /// Whether a missing key should be reported.
    pub(crate) fn misses(&self, key: &str) -> bool {
        !self.has(key) && !self.is_meant(key)
    }

    /// A key of this thing, for messages.
    pub(crate) fn of(&self, key: &str) -> String {
        format!("`{key}` of {}", self.what)
    }
}

/// Reads values and reports what is wrong with them.
pub(crate) struct Decoder<'r, 's> {
    pub(crate) report: &'r mut Report<'s>,
}

impl Decoder<'_, '_> {
    pub(crate) fn add(&mut self, diagnostic: Diagnostic) {
        self.report.add(diagnostic);
    }

    /// Reads the whole tree of one stack, after overlays and references.
    pub(crate) fn draft(&mut self, root: &Node) -> Draft {
        let services = self.named(root, "services", "service", |decoder, entry, what| {
            decoder.service(entry, what)
        });
        let certificates =
            self.named(root, "certificates", "certificate", |decoder, entry, what| {
                decoder.certificate(entry, what)
            });
        let listeners = self.named(root, "listeners", "listener", |decoder, entry, what| {
            decoder.listener(entry, what)
        });
        let hooks = self.hooks(root);
        let rollout = self.rollout(root);
        Draft { services, certificates, listeners, hooks, rollout }
    }

    /// Reads a map of named things. A thing that could not be read still has its name.
    fn named<N, T>(
        &mut self,
        root: &Node,
        key: &str,
        thing: &str,
        mut read: impl FnMut(&mut Self, &Entry, String) -> Option<T>,
    ) -> BTreeMap<N, At<Option<T>>>
    where
        N: FromStr<Err = NameError> + Ord,
    {
        let mut all = BTreeMap::new();
        let Some(entries) = root.get(key).and_then(|entry| self.map_of(entry, thing)) else {
            return all;
        };
        for entry in entries {
            let name = self.name::<N>(&entry.key, &entry.key_span, thing);
            let value = if entry.value.is_null() {
                self.no_value(entry, thing);
                None
            } else {
                read(self, entry, format!("{thing} `{}`", entry.key))
            };
            if let Some(name) = name {
                all.insert(name, At { value, span: entry.key_span.clone() });
            }
        }
        all
    }

    /// The entries under a key that holds named things.
    pub(crate) fn map_of<'n>(&mut self, entry: &'n Entry, thing: &str) -> Option<&'n [Entry]> {
        match &entry.value.kind {
            Kind::Map(entries) => Some(entries),
            Kind::Unknown => None,
            Kind::Null => {
                self.no_value(entry, &entry.key);
                None
            }
            _ => {
                let message = format!(
                    "`{}` must be a map from names to {thing}s, not {}",
                    entry.key,
                    entry.value.what()
                );
                self.add(
                    Diagnostic::error(codes::WRONG_TYPE, entry.value.span.clone(), message)
                        .caret("expected a map")
                        .help(format!(
                            "write the name of each {thing} as a key under `{}`",
                            entry.key
                        )),
                );
                None
            }
        }
    }

    /// The map of one thing, with unknown and empty keys reported.
    pub(crate) fn fields<'n>(
        &mut self,
        node: &'n Node,
        keys: &'static Keys,
        owner: &Span,
        what: String,
    ) -> Option<Fields<'n>> {
        let Kind::Map(entries) = &node.kind else {
            self.wrong_type(node, &what, "a map", Some(example(keys)));
            return None;
        };
        for entry in entries {
            if !self.known(entry, keys, &what) {
                continue;
            }
            if entry.value.is_null() {
                self.no_value(entry, &entry.key);
            }
        }
        Some(Fields { node, keys, owner: owner.clone(), what })
    }

    /// Reports a key that the map does not have.
    pub(crate) fn known(&mut self, entry: &Entry, keys: &Keys, what: &str) -> bool {
        if keys.names().any(|name| name == entry.key) {
            return true;
        }
        let key = &entry.key;
        if key == "<<" {
            return false;
        }
        if let Some(capability) = keys.capability(key) {
            let what = match what {
                "the file" => format!("`{key}`"),
                _ => format!("`{key}` of {what}"),
            };
            self.not_yet(&entry.key_span, &what, capability);
            return false;
        }
        self.add(
            Diagnostic::error(
                codes::UNKNOWN_KEY,
                entry.key_span.clone(),
                format!("{what} has no key `{key}`"),
            )
            .caret("unknown key")
            .help_if(suggest(key, keys.names(), &format!("the keys of {}", keys.what))),
        );
        false
    }

    /// Reports something of the design that this version cannot do.
    pub(crate) fn not_yet(&mut self, span: &Span, what: &str, capability: &str) {
        self.add(
            Diagnostic::error(
                codes::NOT_YET,
                span.clone(),
                format!("{what} is not part of this version of Landfall"),
            )
            .caret(format!("belongs to {capability}"))
            .help("remove it for now; a later version brings it under this name"),
        );
    }

    pub(crate) fn no_value(&mut self, entry: &Entry, what: &str) {
        let stop = matches!(entry.value.kind, Kind::Null).then(|| entry.key_span.clone());
        let things = ["service", "listener", "certificate", "hook", "option"];
        let help = if keys::TOP.names().any(|name| name == what) || things.contains(&what) {
            "write its content below it, indented, or remove the key"
        } else {
            "write a value behind the colon, or remove the key; only a stack may write `null`, to take away what it inherits"
        };
        self.add(
            Diagnostic::error(
                codes::NO_VALUE,
                stop.unwrap_or_else(|| entry.value.span.clone()),
                format!("`{}` has no value", entry.key),
            )
            .help(help),
        );
    }

    /// A key that must be there.
    pub(crate) fn required<'n>(
        &mut self,
        fields: &Fields<'n>,
        key: &str,
        example: &str,
    ) -> Option<&'n Entry> {
        if fields.misses(key) {
            self.add(
                Diagnostic::error(
                    codes::MISSING_KEY,
                    fields.owner.clone(),
                    format!("{} has no `{key}`", fields.what),
                )
                .caret(format!("needs `{key}`"))
                .help(format!("add it, like `{example}`")),
            );
        }
        fields.get(key)
    }

    /// Reports two keys of which only one can be given.
    pub(crate) fn exclusive(&mut self, fields: &Fields<'_>, one: &Entry, two: &Entry, help: &str) {
        self.add(
            Diagnostic::error(
                codes::EXCLUSIVE,
                two.key_span.clone(),
                format!("{} has both `{}` and `{}`", fields.what, one.key, two.key),
            )
            .caret("and this")
            .label(one.key_span.clone(), "this")
            .help(help),
        );
    }

    /// Reports a key that has no meaning beside what else is said.
    pub(crate) fn not_here(&mut self, entry: &Entry, message: String, help: &str) {
        self.add(
            Diagnostic::error(codes::NOT_HERE, entry.key_span.clone(), message)
                .caret("not here")
                .help(help),
        );
    }

    /// A name, checked.
    pub(crate) fn name<N: FromStr<Err = NameError>>(
        &mut self,
        text: &str,
        span: &Span,
        thing: &str,
    ) -> Option<N> {
        match text.parse() {
            Ok(name) => Some(name),
            Err(error) => {
                self.add(
                    Diagnostic::error(
                        codes::BAD_NAME,
                        span.clone(),
                        format!("`{text}` cannot be the name of {}", named(thing)),
                    )
                    .caret("not a name")
                    .help(name_help(text, thing, &error)),
                );
                None
            }
        }
    }

    fn certificate(&mut self, entry: &Entry, what: String) -> Option<CertificateRequest> {
        let fields = self.fields(&entry.value, &keys::CERTIFICATE, &entry.key_span, what)?;
        let names = self.required(&fields, "names", "names: [shop.example]")?;
        let names = self.hosts(Some(names), &fields.of("names"), true)?;
        let arn = match fields.get("arn") {
            None => None,
            Some(entry) => Some(self.certificate_arn(entry, &fields)?),
        };
        Some(CertificateRequest { names, arn })
    }

    /// `arn:aws:acm:REGION:ACCOUNT:certificate/ID`.
    fn certificate_arn(&mut self, entry: &Entry, fields: &Fields<'_>) -> Option<String> {
        let what = fields.of("arn");
        let text = self.full_text(&entry.value, &what)?;
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let sound = matches!(parts[..], ["arn", partition, "acm", region, account, resource]
            if partition.starts_with("aws")
                && !region.is_empty()
                && account.len() == 12
                && account.bytes().all(|it| it.is_ascii_digit())
                && resource.strip_prefix("certificate/").is_some_and(|id| !id.is_empty()));
        if sound {
            return Some(text);
        }
        self.add(
            Diagnostic::error(
                codes::BAD_ARN,
                entry.value.span.clone(),
                format!("{what} is `{text}`, which is no ARN of a certificate"),
            )
            .help("write it like `arn:aws:acm:eu-west-1:123456789012:certificate/ID`; `aws acm list-certificates` shows them"),
        );
        None
    }
}

fn example(keys: &Keys) -> String {
    let names: Vec<&str> = keys.names().collect();
    format!("{} is a map with the keys {}", keys.what, crate::nearest::list(&names))
}

/// A thing with its article.
fn named(thing: &str) -> String {
    match thing {
        "application" => "the application".to_owned(),
        "option" => "an option".to_owned(),
        _ => format!("a {thing}"),
    }
}

/// What to write instead of a text that is not a name.
fn name_help(text: &str, thing: &str, error: &NameError) -> String {
    let also = if thing == "option" { '_' } else { '-' };
    let mut better = String::new();
    for character in text.to_lowercase().chars() {
        let character = if character.is_ascii_alphanumeric() { character } else { also };
        if better.is_empty() && !character.is_ascii_lowercase() {
            continue;
        }
        if character == also && better.ends_with(also) {
            continue;
        }
        better.push(character);
    }
    better.truncate(40);
    let better = better.trim_end_matches(also);
    let rule = format!(
        "a name has up to 40 lower-case letters, digits and `{also}`, and begins with a letter"
    );
    let letter = text.starts_with(|c: char| c.is_ascii_alphabetic());
    if better.is_empty() || !letter || *error == NameError::Empty || text.contains("${") {
        rule
    } else {
        format!("{rule}; write `{better}`")
    }
}
