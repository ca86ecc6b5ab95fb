//! The engine itself.

use crate::apply::Place;
use crate::watcher::{Accepted, Watch};
use crate::{check, exec, logs};
use async_trait::async_trait;
use futures::stream::BoxStream;
use kube::Client;
use landfall_engine::{
    Capabilities, Engine, EngineError, ExecRequest, LogLine, LogQuery, Materials, Session,
};
use landfall_model::{
    Content, Desired, Difference, Finding, Manifest, Observed, StackId, Strategy,
};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// How it works.
#[derive(Debug, Clone)]
pub struct Options {
    /// The namespace of the stack.
    pub namespace: String,
    /// Take fields that another field manager owns, instead of saying so.
    pub take_ownership: bool,
}

/// An engine over one namespace of a cluster.
pub struct KubernetesEngine {
    client: Client,
    options: Options,
    watches: Mutex<HashMap<StackId, Arc<Watch>>>,
}

impl KubernetesEngine {
    /// An engine that uses this connection. Nothing is asked of the cluster yet.
    #[must_use]
    pub fn new(client: Client, options: Options) -> Self {
        Self { client, options, watches: Mutex::new(HashMap::new()) }
    }

    fn watching(&self, stack: &StackId) -> Arc<Watch> {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        let start = || Arc::new(Watch::start(&self.client, &self.options.namespace, stack));
        Arc::clone(watches.entry(stack.clone()).or_insert_with(start))
    }
}

#[async_trait]
impl Engine for KubernetesEngine {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "kubernetes",
            strategies: vec![Strategy::BlueGreen, Strategy::Rolling],
            counts_connections: false,
            counts_requests: false,
            exec: true,
        }
    }

    async fn check(&self, _stack: &StackId, content: &Content) -> Vec<Finding> {
        check::check(content)
    }

    /// Returns once everything is written. Instances behind an NLB are only made when that has a
    /// target group: for each NLB that has none it waits up to a minute, or as long as its
    /// controller takes to say that it fails. What is held back by then is an error, is shown as
    /// the reason why its group is not well, and is made by applying the same state again.
    async fn apply(
        &self,
        desired: Desired,
        _materials: Arc<dyn Materials>,
    ) -> Result<(), EngineError> {
        let watch = self.watching(&desired.stack);
        let place = Place {
            client: &self.client,
            namespace: &self.options.namespace,
            stack: &desired.stack,
            fence: desired.fence,
            take_ownership: self.options.take_ownership,
        };
        let standing = place.apply(&desired).await?;
        let withheld = standing.withheld.clone();
        watch.accept(Accepted { desired: Arc::new(desired), standing: Arc::new(standing) });
        match withheld.into_iter().next() {
            None => Ok(()),
            Some((id, why)) => Err(EngineError::Failed { operation: format!("start {id}"), why }),
        }
    }

    fn render(&self, desired: &Desired) -> Vec<Manifest> {
        crate::objects::objects(desired)
            .into_iter()
            .map(|it| Manifest {
                kind: it.kind.word().to_owned(),
                name: it.name,
                manifest: it.manifest,
            })
            .collect()
    }

    async fn differences(&self, desired: &Desired) -> Result<Vec<Difference>, EngineError> {
        crate::drift::differences(&self.client, &self.options.namespace, desired).await
    }

    fn watch(&self, stack: &StackId) -> watch::Receiver<Observed> {
        self.watching(stack).reports()
    }

    fn logs(&self, query: LogQuery) -> BoxStream<'static, Result<LogLine, EngineError>> {
        logs::lines(self.client.clone(), self.options.namespace.clone(), query)
    }

    async fn forget(&self, stack: &StackId) -> Result<(), EngineError> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner).remove(stack);
        crate::apply::forget(&self.client, &self.options.namespace, stack).await
    }

    async fn exec(&self, request: ExecRequest) -> Result<Session, EngineError> {
        exec::exec(&self.client, &self.options.namespace, request).await
    }
}
