//! A configuration made ready to be followed: which listener answers where, and which targets may
//! get something new. It never changes; a new configuration is a new table.

use crate::count::{ListenerCount, StackCount};
use crate::live::ListenerKey;
use crate::target::Target;
use crate::tls::{Identity, Material};
use landfall_model::ListenerProtocol;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// A whole configuration.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) revision: u64,
    pub(crate) addresses: BTreeMap<SocketAddr, AddressTable>,
}

/// What begins on a connection of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A TLS handshake, of `tls` and `https` listeners.
    Tls,
    /// A request, of `http` listeners.
    Http,
    /// Anything, of the one `tcp` listener.
    Tcp,
}

impl Kind {
    /// What begins on a listener's connections.
    pub(crate) const fn of(protocol: ListenerProtocol) -> Self {
        match protocol {
            ListenerProtocol::Tls | ListenerProtocol::Https => Self::Tls,
            ListenerProtocol::Http => Self::Http,
            ListenerProtocol::Tcp => Self::Tcp,
        }
    }
}

/// The listeners that share an address.
pub(crate) struct AddressTable {
    pub(crate) kind: Kind,
    pub(crate) exact: HashMap<String, Arc<Route>>,
    /// By what follows `*.`.
    pub(crate) wildcard: HashMap<String, Arc<Route>>,
    pub(crate) default: Option<Arc<Route>>,
}

impl AddressTable {
    /// One without listeners.
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, exact: HashMap::new(), wildcard: HashMap::new(), default: None }
    }

    /// The listener for a host (lower case, no port, no final dot): one that names it, or one with a
    /// wildcard for its last part but one label, or one that takes all.
    pub(crate) fn find(&self, host: Option<&str>) -> Option<&Arc<Route>> {
        let named = host.and_then(|host| {
            let parent = host.split_once('.').map(|(_, parent)| parent);
            self.exact.get(host).or_else(|| parent.and_then(|parent| self.wildcard.get(parent)))
        });
        named.or(self.default.as_ref())
    }
}

/// A listener and where its traffic goes.
pub(crate) struct Route {
    pub(crate) key: ListenerKey,
    pub(crate) stack: Arc<StackCount>,
    pub(crate) count: Arc<ListenerCount>,
    pub(crate) protocol: ListenerProtocol,
    pub(crate) action: RouteAction,
    pub(crate) tls: Option<RouteTls>,
    /// Rises with every choice, so that shares come out even.
    pub(crate) turn: AtomicU64,
}

/// A listener's identity, and what it was made from.
#[derive(Clone)]
pub(crate) struct RouteTls {
    pub(crate) material: Arc<Material>,
    pub(crate) identity: Arc<dyn Identity>,
}

/// Where a listener's traffic goes.
pub(crate) enum RouteAction {
    /// To targets.
    Forward(Vec<Share>),
    /// Back to the client with the `https` address on this port.
    RedirectHttps(u16),
}

/// A group's share.
pub(crate) struct Share {
    pub(crate) weight: u64,
    /// Those that may get something new: healthy and not draining.
    pub(crate) targets: Vec<Arc<Target>>,
}
