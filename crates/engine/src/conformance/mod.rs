//! What every engine must do, as tests that know nothing of any engine.
//!
//! An engine crate writes a [`Harness`] and calls [`run`]; every case gets a stack of its own.

mod cases;

use crate::{Engine, EngineError, KeyPair, Materials};
use async_trait::async_trait;
use landfall_model::{
    Certificate, CertificateName, Desired, Digest, Epoch, Fence, Group, GroupId, Listener,
    ListenerName, ListenerProtocol, ListenerState, Millis, Observed, ReleaseNumber, Revision,
    Route, Service, StackId,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How an engine is made and broken in tests.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The engine under test, opened over the same state as before; the first call opens a new one.
    async fn open(&self) -> Arc<dyn Engine>;

    /// Lets the engine die as a crash would, without a word. Instances go on.
    async fn crash(&self, engine: Arc<dyn Engine>);

    /// Parts for the services.
    fn materials(&self) -> Arc<dyn Materials>;

    /// A service that behaves like this.
    fn service(&self, kind: Kind) -> Service;

    /// The command of a hook that ends with this code after a moment; nothing: never.
    fn job(&self, code: Option<i32>) -> (Service, Vec<String>);

    /// How long the slowest thing of a case may take.
    fn patience(&self) -> Duration {
        Duration::from_secs(20)
    }
}

/// Nothing: for services that need no parts.
pub struct NoMaterials;

#[async_trait]
impl Materials for NoMaterials {
    async fn blob(&self, digest: &Digest) -> Result<PathBuf, EngineError> {
        Err(EngineError::NotFound(digest.to_string()))
    }

    async fn certificate(
        &self,
        _: &StackId,
        name: &CertificateName,
        _: &Certificate,
    ) -> Result<KeyPair, EngineError> {
        Err(EngineError::NotFound(name.to_string()))
    }
}

/// How the service of a case behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Becomes healthy soon and stays so.
    Good,
    /// Runs and never becomes healthy.
    NeverHealthy,
    /// Ends by itself, again and again.
    Crashes,
}

/// Runs every case, one after the other, and panics with the name of the first that fails.
pub async fn run(harness: &dyn Harness) {
    cases::all(harness).await;
}

/// One case at work: its stack, its engine, and the revision it has reached.
struct Case<'a> {
    harness: &'a dyn Harness,
    engine: Arc<dyn Engine>,
    stack: StackId,
    revision: u64,
    name: &'static str,
}

impl<'a> Case<'a> {
    async fn new(harness: &'a dyn Harness, name: &'static str) -> Self {
        let stack = StackId {
            app: "conformance".parse().expect("a good name"),
            stack: name.parse().expect("a good name"),
        };
        Self { harness, engine: harness.open().await, stack, revision: 0, name }
    }

    async fn reopen(&mut self) {
        self.harness.crash(Arc::clone(&self.engine)).await;
        self.engine = self.harness.open().await;
    }

    fn group(&self, release: u64) -> GroupId {
        GroupId { service: "web".parse().expect("a good name"), release: ReleaseNumber(release) }
    }

    fn desired(&mut self, groups: &[(u64, Kind, u16)]) -> Desired {
        self.revision += 1;
        let fence = Fence { epoch: Epoch(1), revision: Revision(self.revision) };
        let mut desired = Desired::nothing(self.stack.clone(), fence);
        for (release, kind, replicas) in groups {
            let group = Group {
                replicas: *replicas,
                service: self.harness.service(*kind),
                drain: Millis(200),
            };
            desired.groups.insert(self.group(*release), group);
        }
        desired
    }

    async fn apply(&self, desired: Desired) {
        let result = self.engine.apply(desired, self.harness.materials()).await;
        if let Err(error) = result {
            panic!("{}: apply failed: {error}", self.name);
        }
    }

    /// Waits until a report satisfies a condition.
    async fn until(&self, what: &str, condition: impl Fn(&Observed) -> bool) -> Observed {
        let mut watch = self.engine.watch(&self.stack);
        let deadline = tokio::time::Instant::now() + self.harness.patience();
        loop {
            let report = watch.borrow_and_update().clone();
            let fence = Fence { epoch: Epoch(1), revision: Revision(self.revision) };
            if report.accepted >= fence && condition(&report) {
                return report;
            }
            let changed = tokio::time::timeout_at(deadline, watch.changed()).await;
            assert!(changed.is_ok(), "{}: waited in vain for {what}; last: {report:#?}", self.name);
        }
    }

    async fn ready(&self, release: u64, replicas: u16) -> Observed {
        let group = self.group(release);
        self.until("healthy instances", |report| {
            report.groups.get(&group).is_some_and(|status| status.ready == replicas)
        })
        .await
    }

    async fn clean(mut self) {
        let nothing = self.desired(&[]);
        self.apply(nothing).await;
        self.until("nothing", |report| report.groups.is_empty()).await;
    }
}

fn listener(weights: BTreeMap<GroupId, u16>) -> (ListenerName, ListenerState) {
    let listener = Listener {
        listen: ([127, 0, 0, 1], free_port()).into(),
        protocol: ListenerProtocol::Tcp,
        certificate: None,
        policy: None,
        hosts: std::collections::BTreeSet::new(),
        route: Route::To("web".parse().expect("a good name")),
        balancer: None,
    };
    let state = ListenerState { listener, certificate: None, weights };
    ("public".parse().expect("a good name"), state)
}

fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0))
        .and_then(|socket| socket.local_addr())
        .map_or(0, |address| address.port())
}
