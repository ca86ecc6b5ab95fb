//! Between agent and edge.
//!
//! The agent opens listening sockets and passes the *same* descriptors to every edge process with
//! `SCM_RIGHTS`, beside the frame that names them. A restarted agent asks the edge for duplicates.
//! The edge keeps its last configuration and goes on serving it when nobody talks to it.
//!
//! Both sides greet with a [`Hello`](crate::Hello), then the agent asks and the edge answers, one
//! after the other. Several agents may be connected; the newest revision wins. An edge that retires
//! still takes configurations (its last connections must follow them, or they would go to instances
//! that are gone) and still says what it counted, until it exits: two seconds after its last connection
//! ended while an agent is connected, at once otherwise.

pub mod client;
pub mod passing;

use landfall_model::{ListenerProtocol, Measured, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// What the agent says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Request {
    /// Take over a whole configuration. Answered with [`Reply::Configured`] once it is in force.
    Configure {
        /// The configuration.
        config: Config,
        /// The addresses of the listening sockets whose descriptors come with this frame, in
        /// their order. Sockets the edge already has are not sent again.
        sockets: Vec<SocketAddr>,
    },
    /// What has been counted. Answered with [`Reply::Stats`].
    Stats,
    /// Send duplicates of all listening sockets. Answered with [`Reply::Sockets`].
    Sockets,
    /// Stop accepting, finish what runs until then, and exit. Answered with [`Reply::Retiring`].
    Retire {
        /// When the connections that remain are cut.
        until: Timestamp,
    },
}

/// What the edge answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// The configuration is in force: no new request or connection follows an older one.
    Configured {
        /// Its revision.
        revision: u64,
        /// Listeners that could not be served as asked, by `app/stack listener`, and why. The rest
        /// is in force. A listener whose new certificate or policy cannot be used goes on with the
        /// one that it had, if it had one; the reason then says so.
        problems: BTreeMap<String, String>,
    },
    /// What has been counted.
    Stats(Stats),
    /// The listening sockets, whose descriptors come with this frame, in their order.
    Sockets {
        /// Their addresses.
        addresses: Vec<SocketAddr>,
    },
    /// It stopped accepting and will exit.
    Retiring,
    /// The request could not be done.
    Failed {
        /// Why.
        why: String,
    },
}

/// Everything an edge serves: all stacks of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Rises with every change; an older one than that in force is refused, the same one is
    /// taken again.
    pub revision: u64,
    /// The listeners.
    pub listeners: Vec<Listener>,
    /// The target groups by key.
    pub groups: BTreeMap<String, TargetGroup>,
}

/// A listener. Several may share an address when their hosts differ.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// `app/stack`, for counting and messages.
    pub stack: String,
    /// Its name in the file.
    pub name: String,
    /// Where it listens.
    pub listen: SocketAddr,
    /// What is spoken there.
    pub protocol: ListenerProtocol,
    /// The hosts it answers to (SNI, and `Host` where requests are understood); none means all.
    pub hosts: BTreeSet<String>,
    /// The named TLS policy.
    pub policy: Option<String>,
    /// The certificate chain as PEM, leaf first.
    pub chain_pem: Option<String>,
    /// The private key as PEM. Never printed.
    pub key_pem: Option<String>,
    /// Where its traffic goes.
    pub action: Action,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Listener")
            .field("stack", &self.stack)
            .field("name", &self.name)
            .field("listen", &self.listen)
            .field("protocol", &self.protocol)
            .field("hosts", &self.hosts)
            .field("policy", &self.policy)
            .field("action", &self.action)
            .finish_non_exhaustive()
    }
}

/// Where a listener's traffic goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// To target groups, by share.
    Forward(BTreeMap<String, u16>),
    /// Back to the client with the `https` address on this port.
    RedirectHttps(u16),
}

/// A group of targets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetGroup {
    /// `app/stack`, for counting.
    pub stack: String,
    /// The targets. One that leaves this list without ever having had a time to drain until gets
    /// nothing new, and what remains is cut half a minute later.
    pub targets: Vec<Target>,
    /// When set, the whole group gets nothing new and what remains is cut at this time.
    pub drain_until: Option<Timestamp>,
}

/// An instance behind the load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The instance.
    pub id: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it may get something new.
    pub healthy: bool,
    /// When set, it gets nothing new and what remains is cut at this time.
    pub drain_until: Option<Timestamp>,
}

/// What an edge has counted since it started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// The revision in force.
    pub revision: u64,
    /// Counters by `app/stack`.
    pub measured: BTreeMap<String, Measured>,
    /// Running requests (`https`, `http`) or open connections (`tls`, `tcp`) by target group key.
    pub connections: BTreeMap<String, u64>,
    /// The same by target id.
    pub targets: BTreeMap<String, u64>,
}
