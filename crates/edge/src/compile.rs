//! Makes a configuration ready to be followed, and says what could not be.

use crate::host;
use crate::live::Live;
use crate::table::{AddressTable, Kind, Route, RouteAction, RouteTls, Share, Table};
use crate::target::Target;
use crate::tls::{Material, Terminator};
use landfall_model::ListenerProtocol;
use landfall_protocol::edge::{Action, Config, Listener};
use std::collections::BTreeMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// What there is already.
pub(crate) struct Compiler<'a> {
    pub(crate) live: &'a Live,
    pub(crate) terminator: &'a dyn Terminator,
    /// The table in force, whose identities are used again where nothing changed.
    pub(crate) before: &'a Table,
}

/// Problems by `app/stack listener`.
pub(crate) type Problems = BTreeMap<String, String>;

impl Compiler<'_> {
    /// The table for a configuration. A listener with a problem is left out, or goes on with its older
    /// certificate and policy.
    pub(crate) fn compile(&self, config: &Config, problems: &mut Problems) -> Table {
        let usable = self.usable_targets(config);
        let mut table = Table { revision: config.revision, ..Table::default() };
        for listener in &config.listeners {
            let mut why = Vec::new();
            if let Some(route) = self.route(listener, &usable, &mut why) {
                let kind = Kind::of(listener.protocol);
                let at = table
                    .addresses
                    .entry(listener.listen)
                    .or_insert_with(|| AddressTable::new(kind));
                why.extend(place(at, listener, kind, &Arc::new(route)).err());
            }
            if !why.is_empty() {
                problems.insert(name(listener), why.join("; "));
            }
        }
        table
    }

    fn usable_targets(&self, config: &Config) -> BTreeMap<String, Vec<Arc<Target>>> {
        let mut usable = BTreeMap::new();
        for (key, group) in &config.groups {
            let targets = group
                .targets
                .iter()
                .filter(|target| target.healthy && target.drain_until.is_none())
                .filter(|_| group.drain_until.is_none())
                .map(|target| self.live.target(key, &target.id, target.address))
                .collect();
            usable.insert(key.clone(), targets);
        }
        usable
    }

    fn route(
        &self,
        listener: &Listener,
        usable: &BTreeMap<String, Vec<Arc<Target>>>,
        why: &mut Vec<String>,
    ) -> Option<Route> {
        let key = (listener.stack.clone(), listener.name.clone());
        let before = self.before(listener);
        let tls = if listener.protocol.terminates_tls() {
            Some(self.tls(listener, before.as_deref(), why)?)
        } else {
            None
        };
        let action = action(listener, usable, why)?;
        Some(Route {
            stack: self.live.stack(&listener.stack),
            count: self.live.listener(&key),
            protocol: listener.protocol,
            turn: AtomicU64::new(0),
            key,
            action,
            tls,
        })
    }

    /// The same listener in the table in force.
    fn before(&self, listener: &Listener) -> Option<Arc<Route>> {
        let at = self.before.addresses.get(&listener.listen)?;
        let mut routes = at.exact.values().chain(at.wildcard.values()).chain(&at.default);
        routes.find(|route| route.key.0 == listener.stack && route.key.1 == listener.name).cloned()
    }

    fn tls(
        &self,
        listener: &Listener,
        before: Option<&Route>,
        why: &mut Vec<String>,
    ) -> Option<RouteTls> {
        let (Some(chain_pem), Some(key_pem)) = (&listener.chain_pem, &listener.key_pem) else {
            why.push("it has no certificate".to_owned());
            return None;
        };
        let policy = listener.policy.as_deref().unwrap_or(landfall_tls_policy::DEFAULT);
        let material = Material {
            policy: policy.to_owned(),
            chain_pem: chain_pem.clone(),
            key_pem: key_pem.clone(),
            requests: listener.protocol == ListenerProtocol::Https,
        };
        let before = before.and_then(|route| route.tls.as_ref());
        if let Some(same) = before.filter(|tls| *tls.material == material) {
            return Some(same.clone());
        }
        match self.terminator.identity(&material) {
            Ok(identity) => Some(RouteTls { material: Arc::new(material), identity }),
            Err(error) => {
                why.push(error.to_string());
                let kept = before.filter(|tls| tls.material.requests == material.requests)?;
                why.push("the certificate and policy that it had stay in use".to_owned());
                Some(kept.clone())
            }
        }
    }
}

fn action(
    listener: &Listener,
    usable: &BTreeMap<String, Vec<Arc<Target>>>,
    why: &mut Vec<String>,
) -> Option<RouteAction> {
    let shares = match &listener.action {
        Action::RedirectHttps(_) if is_opaque(listener.protocol) => {
            why.push("only a listener that understands requests can redirect".to_owned());
            return None;
        }
        Action::RedirectHttps(port) => return Some(RouteAction::RedirectHttps(*port)),
        Action::Forward(shares) => shares,
    };
    let unknown = shares.keys().filter(|group| !usable.contains_key(*group));
    why.extend(unknown.map(|group| format!("there is no target group {group}")));
    let share = |(group, weight): (&String, &u16)| Share {
        weight: u64::from(*weight),
        targets: usable.get(group).cloned().unwrap_or_default(),
    };
    let shares = shares.iter().filter(|(_, weight)| **weight > 0).map(share).collect();
    Some(RouteAction::Forward(shares))
}

const fn is_opaque(protocol: ListenerProtocol) -> bool {
    matches!(protocol, ListenerProtocol::Tls | ListenerProtocol::Tcp)
}

/// How a listener is called in problems.
pub(crate) fn name(listener: &Listener) -> String {
    format!("{} {}", listener.stack, listener.name)
}

fn place(
    at: &mut AddressTable,
    listener: &Listener,
    kind: Kind,
    route: &Arc<Route>,
) -> Result<(), String> {
    let taken = |other: &Route, what: &str| {
        Err(format!(
            "{} {} already answers to {what} at {}",
            other.key.0, other.key.1, listener.listen
        ))
    };
    if at.kind != kind {
        return Err(format!("another listener speaks something else at {}", listener.listen));
    }
    if kind == Kind::Tcp && !listener.hosts.is_empty() {
        return Err("a tcp listener cannot tell hosts apart".to_owned());
    }
    if listener.hosts.is_empty() {
        if let Some(other) = &at.default {
            return taken(other, "all hosts");
        }
        at.default = Some(Arc::clone(route));
    }
    let mut refused = Ok(());
    for pattern in &listener.hosts {
        if !host::is_pattern(pattern) {
            refused = Err(format!("{pattern} is no host"));
            continue;
        }
        let plain = host::plain(pattern);
        let entry = match plain.strip_prefix("*.") {
            Some(parent) => at.wildcard.entry(parent.to_owned()),
            None => at.exact.entry(plain),
        };
        match entry {
            Entry::Occupied(other) => refused = taken(other.get(), pattern),
            Entry::Vacant(free) => drop(free.insert(Arc::clone(route))),
        }
    }
    refused
}
