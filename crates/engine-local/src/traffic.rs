//! What the load balancer is told, and the task that tells it and hears what it counted.

use crate::load_balancer::{LoadBalancer, StackPart, StackStats};
use landfall_engine::{KeyPair, Materials};
use landfall_model::{
    Certificate, CertificateName, GroupId, Listener, ListenerName, Route, StackId,
};
use landfall_protocol::edge;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

/// How long the load balancer may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How often is counted while something drains.
const BUSY: Duration = Duration::from_millis(200);
/// How often is counted otherwise.
const CALM: Duration = Duration::from_secs(1);
/// The first wait after a failure.
const RETRY: Duration = Duration::from_millis(200);

/// A listener that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WantedListener {
    pub name: ListenerName,
    pub listener: Listener,
    pub certificate: Option<Certificate>,
    /// Shares by key of the group.
    pub weights: BTreeMap<String, u16>,
}

/// What is wanted of the load balancer for one stack.
#[derive(Clone)]
pub(crate) struct Wanted {
    /// Rises with every change.
    pub revision: u64,
    pub content: WantedContent,
    pub materials: Arc<dyn Materials>,
}

/// The part of it that matters for whether something changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct WantedContent {
    pub listeners: Vec<WantedListener>,
    pub groups: BTreeMap<String, edge::TargetGroup>,
    /// Shares by group, as they are reported once they are in force.
    pub traffic: BTreeMap<ListenerName, BTreeMap<GroupId, u16>>,
}

impl WantedContent {
    fn drains(&self) -> bool {
        self.groups.values().any(|group| {
            group.drain_until.is_some() || group.targets.iter().any(|t| t.drain_until.is_some())
        })
    }
}

/// What is heard of the load balancer.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A revision is in force, except for these listeners.
    InForce {
        revision: u64,
        traffic: BTreeMap<ListenerName, BTreeMap<GroupId, u16>>,
        problems: Vec<String>,
    },
    /// It could not be told.
    Failed(String),
    /// What was counted, after this revision was in force.
    Counted { revision: u64, stats: StackStats },
}

/// Talks to the load balancer for one stack.
pub(crate) struct Talker {
    pub stack: StackId,
    pub load_balancer: Arc<dyn LoadBalancer>,
    pub tell: mpsc::UnboundedSender<Heard>,
    /// The newest key pairs that were had, so that a store in trouble closes no listener.
    pub certificates: BTreeMap<CertificateName, (Certificate, KeyPair)>,
}

impl Talker {
    /// Talks until nobody wants anything any more.
    pub async fn talk(mut self, mut wanted: watch::Receiver<Option<Arc<Wanted>>>) {
        let mut in_force = None;
        let mut wait = RETRY;
        loop {
            let current = wanted.borrow_and_update().clone();
            let mut pause = CALM;
            if let Some(current) = current {
                if in_force == Some(current.revision) {
                    wait = RETRY;
                } else if self.tell_it(&current).await {
                    in_force = Some(current.revision);
                    wait = RETRY;
                } else {
                    wait = (wait * 2).min(Duration::from_secs(2));
                }
                if in_force == Some(current.revision) {
                    self.count(current.revision).await;
                    pause = if current.content.drains() { BUSY } else { CALM };
                } else {
                    pause = wait;
                }
            }
            tokio::select! {
                changed = wanted.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn tell_it(&mut self, wanted: &Wanted) -> bool {
        let (part, mut problems) = self.part(wanted).await;
        let told = timeout(ANSWER, self.load_balancer.configure(&self.stack, part)).await;
        let heard = match told {
            Ok(Ok(refused)) => {
                problems.extend(refused);
                let traffic = wanted.content.traffic.iter();
                Heard::InForce {
                    revision: wanted.revision,
                    traffic: traffic
                        .filter(|(name, _)| !problems.contains_key(*name))
                        .map(|(name, shares)| (name.clone(), shares.clone()))
                        .collect(),
                    problems: problems
                        .into_iter()
                        .map(|(name, why)| format!("listener {name}: {why}"))
                        .collect(),
                }
            }
            Ok(Err(error)) => Heard::Failed(error.to_string()),
            Err(_) => Heard::Failed("the load balancer does not answer".to_owned()),
        };
        let done = matches!(heard, Heard::InForce { .. });
        let _ = self.tell.send(heard);
        done
    }

    async fn count(&self, revision: u64) {
        let counted = timeout(ANSWER, self.load_balancer.stats(&self.stack)).await;
        if let Ok(Ok(stats)) = counted {
            let _ = self.tell.send(Heard::Counted { revision, stats });
        }
    }

    async fn part(&mut self, wanted: &Wanted) -> (StackPart, BTreeMap<ListenerName, String>) {
        let mut part = StackPart { listeners: Vec::new(), groups: wanted.content.groups.clone() };
        let mut problems = BTreeMap::new();
        for listener in &wanted.content.listeners {
            match self.pair(wanted, listener).await {
                Ok(pair) => part.listeners.push(self.listener(listener, pair)),
                Err(why) => {
                    problems.insert(listener.name.clone(), why);
                }
            }
        }
        (part, problems)
    }

    /// The key pair of a listener where TLS ends.
    async fn pair(
        &mut self,
        wanted: &Wanted,
        listener: &WantedListener,
    ) -> Result<Option<KeyPair>, String> {
        let (Some(name), Some(certificate)) =
            (&listener.listener.certificate, &listener.certificate)
        else {
            return Ok(None);
        };
        if let Some((had, pair)) = self.certificates.get(name)
            && had == certificate
        {
            return Ok(Some(pair.clone()));
        }
        let got = timeout(ANSWER, wanted.materials.certificate(&self.stack, name, certificate));
        match got.await {
            Ok(Ok(pair)) => {
                self.certificates.insert(name.clone(), (certificate.clone(), pair.clone()));
                Ok(Some(pair))
            }
            Ok(Err(error)) => self.older(name).ok_or_else(|| error.to_string()),
            Err(_) => self.older(name).ok_or_else(|| "its certificate does not come".to_owned()),
        }
    }

    fn older(&self, name: &CertificateName) -> Option<Option<KeyPair>> {
        let (_, pair) = self.certificates.get(name)?;
        tracing::warn!(stack = %self.stack, certificate = %name, "served with its older version");
        Some(Some(pair.clone()))
    }

    fn listener(&self, wanted: &WantedListener, pair: Option<KeyPair>) -> edge::Listener {
        let (chain_pem, key_pem) = match pair {
            Some(pair) => (Some(pair.chain_pem), Some(pair.key_pem.expose().to_owned())),
            None => (None, None),
        };
        edge::Listener {
            stack: self.stack.to_string(),
            name: wanted.name.to_string(),
            listen: wanted.listener.listen,
            protocol: wanted.listener.protocol,
            hosts: wanted.listener.hosts.clone(),
            policy: wanted.listener.policy.clone(),
            chain_pem,
            key_pem,
            action: match &wanted.listener.route {
                Route::To(_) => edge::Action::Forward(wanted.weights.clone()),
                Route::RedirectHttps { port } => edge::Action::RedirectHttps(*port),
            },
        }
    }
}
