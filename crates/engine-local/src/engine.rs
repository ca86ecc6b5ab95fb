//! The front of the engine: fences, durable desired states, and one task for each stack.

use crate::host::{Host, LocalEngineOptions, disk_failed, parse_folder_name};
use crate::load_balancer::LoadBalancer;
use crate::stack::{Ask, Opening, Stack};
use crate::{disk, findings, logs, process, session};
use async_trait::async_trait;
use futures::stream::BoxStream;
use landfall_engine::{
    Capabilities, Engine, EngineError, ExecRequest, LogLine, LogQuery, Materials, Session,
};
use landfall_model::{Content, Desired, Fence, Finding, Observed, StackId, Strategy};
use landfall_protocol::shim::EXEC_MARKER;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// How long a stack's task may take to answer; it never waits for anything itself.
const ANSWER: Duration = Duration::from_secs(10);

/// Runs groups of processes on this machine.
pub struct LocalEngine {
    host: Arc<Host>,
    materials: Option<Arc<dyn Materials>>,
    stacks: Mutex<BTreeMap<StackId, Arc<Front>>>,
    closing: watch::Sender<bool>,
}

/// One stack, seen from the front.
struct Front {
    /// The highest fence that was accepted; held while a desired state is written.
    accepted: tokio::sync::Mutex<Option<Fence>>,
    asks: mpsc::UnboundedSender<Ask>,
    observed: watch::Receiver<Observed>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl LocalEngine {
    /// Opens the engine's folder and takes over whatever runs from an earlier life. To be called
    /// within a runtime of tokio.
    ///
    /// # Errors
    /// When the folder cannot be read or written, or another engine has it.
    pub async fn open(
        options: LocalEngineOptions,
        load_balancer: Arc<dyn LoadBalancer>,
    ) -> Result<Arc<Self>, EngineError> {
        let materials = options.materials.clone();
        let host = tokio::task::spawn_blocking(move || Host::open(options, load_balancer))
            .await
            .map_err(|error| EngineError::Failed {
                operation: "open the engine's folder".to_owned(),
                why: error.to_string(),
            })?
            .map_err(disk_failed("open the engine's folder"))?;
        let (closing, _) = watch::channel(false);
        let engine = Self { host: Arc::new(host), materials, stacks: Mutex::default(), closing };
        engine.open_stacks()?;
        Ok(Arc::new(engine))
    }

    fn open_stacks(&self) -> Result<(), EngineError> {
        let failed = disk_failed("read the engine's folder");
        let folder = self.host.stacks();
        let entries = std::fs::read_dir(&folder)
            .map_err(|error| failed(disk::DiskError::io("read", &folder, error)))?;
        self.end_forgotten_commands();
        for entry in entries.flatten() {
            if let Some(stack) = entry.file_name().to_str().and_then(parse_folder_name) {
                // One stack whose record is broken does not stop the others; it is left alone, and
                // whoever asks for it hears why.
                if let Err(error) = self.front(&stack) {
                    tracing::error!(%stack, %error, "a stack cannot be taken over");
                }
            }
        }
        Ok(())
    }

    /// Kills commands that an earlier life ran beside instances: nobody listens to them any more.
    fn end_forgotten_commands(&self) {
        for (stat, id) in process::marked(EXEC_MARKER) {
            let ours = std::fs::read_dir(self.host.stacks())
                .into_iter()
                .flatten()
                .flatten()
                .any(|stack| stack.path().join("instances").join(&id).is_dir());
            if ours {
                process::kill(&stat);
            }
        }
    }

    /// The stacks that a desired state was accepted for, and that were not forgotten.
    pub fn stacks(&self) -> Vec<StackId> {
        let stacks = self.stacks.lock().unwrap_or_else(PoisonError::into_inner);
        stacks.keys().filter(|stack| self.host.stack(stack).desired().exists()).cloned().collect()
    }

    /// Stops supervising and waits until every task has ended. What runs goes on running.
    pub async fn shutdown(&self) {
        self.closing.send_replace(true);
        let fronts: Vec<Arc<Front>> = {
            let stacks = self.stacks.lock().unwrap_or_else(PoisonError::into_inner);
            stacks.values().cloned().collect()
        };
        for front in fronts {
            front.join().await;
        }
        self.host.release();
    }

    /// Forgets a stack of which nothing is left: its desired state, its fence, its logs and its
    /// job records. Its volumes stay.
    ///
    /// # Errors
    /// When something of it still runs or is wanted, or its folder cannot be removed.
    async fn forget_state(&self, stack: &StackId) -> Result<(), EngineError> {
        let operation = format!("forget {stack}");
        let Some(front) = self.known(stack) else { return Ok(()) };
        let (answer, answered) = oneshot::channel();
        if front.asks.send(Ask::End(answer)).is_ok() {
            let said = tokio::time::timeout(ANSWER, answered).await;
            let failed = |why: String| EngineError::Failed { operation: operation.clone(), why };
            said.map_err(|_| failed("it does not answer".to_owned()))?
                .map_err(|_| failed("it is closing".to_owned()))?
                .map_err(failed)?;
        }
        front.join().await;
        let folder = self.host.stack(stack).0;
        disk::remove_folder(&folder).map_err(disk_failed(&operation))?;
        self.stacks.lock().unwrap_or_else(PoisonError::into_inner).remove(stack);
        Ok(())
    }

    /// Removes the volumes of a stack, for good.
    ///
    /// # Errors
    /// When they cannot be removed.
    fn remove_volumes(&self, stack: &StackId) -> Result<(), EngineError> {
        let folder = self.host.volume_parent(stack);
        disk::remove_folder(&folder).map_err(disk_failed(&format!("remove the volumes of {stack}")))
    }

    fn known(&self, stack: &StackId) -> Option<Arc<Front>> {
        self.stacks.lock().unwrap_or_else(PoisonError::into_inner).get(stack).cloned()
    }

    /// The front of a stack, opened when it is new.
    fn front(&self, stack: &StackId) -> Result<Arc<Front>, EngineError> {
        let mut stacks = self.stacks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(front) = stacks.get(stack) {
            return Ok(Arc::clone(front));
        }
        let operation = format!("open the folder of {stack}");
        let path = self.host.stack(stack).desired();
        let desired: Option<Desired> = disk::read_record(&path).map_err(disk_failed(&operation))?;
        let accepted = desired.as_ref().map(|desired| desired.fence);
        let (asks, asked) = mpsc::unbounded_channel();
        let (observed_in, observed) = watch::channel(Observed {
            accepted: accepted.unwrap_or_default(),
            ..Observed::default()
        });
        let opening = Opening {
            host: Arc::clone(&self.host),
            id: stack.clone(),
            desired,
            materials: self.materials.clone(),
            asks: asked,
            closing: self.closing.subscribe(),
            observed: observed_in,
        };
        let (task, ears) = Stack::open(opening).map_err(disk_failed(&operation))?;
        let task = Mutex::new(Some(tokio::spawn(task.live(ears))));
        let accepted = tokio::sync::Mutex::new(accepted);
        let front = Arc::new(Front { accepted, asks, observed, task });
        stacks.insert(stack.clone(), Arc::clone(&front));
        Ok(front)
    }

    fn closed(operation: &str) -> EngineError {
        EngineError::Failed { operation: operation.to_owned(), why: "the engine is closing".into() }
    }
}

impl Front {
    async fn join(&self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "a stack's task ended in disorder");
        }
    }
}

impl Drop for LocalEngine {
    fn drop(&mut self) {
        self.closing.send_replace(true);
    }
}

#[async_trait]
impl Engine for LocalEngine {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "local",
            strategies: vec![Strategy::BlueGreen, Strategy::Rolling],
            counts_connections: true,
            counts_requests: true,
            exec: true,
        }
    }

    async fn check(&self, _stack: &StackId, content: &Content) -> Vec<Finding> {
        findings::of(&self.host, content)
    }

    async fn apply(
        &self,
        desired: Desired,
        materials: Arc<dyn Materials>,
    ) -> Result<(), EngineError> {
        let operation = format!("apply {} to {}", desired.fence, desired.stack);
        let front = self.front(&desired.stack)?;
        let mut accepted = front.accepted.lock().await;
        if let Some(accepted) = *accepted
            && desired.fence < accepted
        {
            return Err(EngineError::Superseded { accepted, offered: desired.fence });
        }
        let path = self.host.stack(&desired.stack).desired();
        let desired = tokio::task::spawn_blocking(move || {
            disk::write_record(&path, &desired).map(|()| desired)
        })
        .await
        .map_err(|error| EngineError::Failed {
            operation: operation.clone(),
            why: error.to_string(),
        })?
        .map_err(disk_failed(&operation))?;
        *accepted = Some(desired.fence);
        front
            .asks
            .send(Ask::Apply(Box::new(desired), materials))
            .map_err(|_| Self::closed(&operation))
    }

    fn watch(&self, stack: &StackId) -> watch::Receiver<Observed> {
        match self.front(stack) {
            Ok(front) => front.observed.clone(),
            Err(error) => {
                let observed =
                    Observed { problems: vec![error.to_string()], ..Observed::default() };
                watch::channel(observed).1
            }
        }
    }

    fn logs(&self, query: LogQuery) -> BoxStream<'static, Result<LogLine, EngineError>> {
        let folder = self.host.stack(&query.stack).instances();
        logs::stream(folder, query, self.closing.subscribe())
    }

    async fn forget(&self, stack: &StackId) -> Result<(), EngineError> {
        self.forget_state(stack).await?;
        self.remove_volumes(stack)
    }

    async fn exec(&self, request: ExecRequest) -> Result<Session, EngineError> {
        let missing = || EngineError::NotFound(format!("a ready instance of {}", request.service));
        let front = self.known(&request.stack).ok_or_else(missing)?;
        let (answer, answered) = oneshot::channel();
        front
            .asks
            .send(Ask::Newest(request.service.clone(), answer))
            .map_err(|_| Self::closed("exec"))?;
        let spec = tokio::time::timeout(ANSWER, answered)
            .await
            .ok()
            .and_then(Result::ok)
            .flatten()
            .ok_or_else(missing)?;
        let folder = self.host.stack(&request.stack).instance(&spec.id);
        session::start(&self.host.program, &folder, &request.command, self.closing.subscribe())
    }
}
