//! The simulated world behind the engine trait.

use super::World;
use crate::{
    Capabilities, Engine, EngineError, ExecRequest, LogLine, LogQuery, Materials, Session,
};
use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use landfall_model::{Content, Desired, Finding, Observed, StackId, Strategy, Timestamp};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How often the world moves.
const TICK: Duration = Duration::from_millis(5);

/// A simulated engine with one stack. Dropping it is a crash of whoever held it: the world, which
/// several engines may share one after the other, goes on.
pub struct SimulatedEngine {
    world: Arc<Mutex<World>>,
    observed: watch::Sender<Observed>,
    ticker: tokio::task::JoinHandle<()>,
}

impl SimulatedEngine {
    /// An engine over a world, moved by the runtime's clock.
    #[must_use]
    pub fn open(world: Arc<Mutex<World>>) -> Self {
        let observed = watch::Sender::new(lock(&world).observe());
        let (moved, sender) = (Arc::clone(&world), observed.clone());
        let ticker = tokio::spawn(async move {
            let (start, began) = (lock(&moved).now(), tokio::time::Instant::now());
            loop {
                tokio::time::sleep(TICK).await;
                let gone = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                let report = {
                    let mut world = lock(&moved);
                    world.advance(Timestamp(start.0 + gone));
                    world.observe()
                };
                sender.send_replace(report);
            }
        });
        Self { world, observed, ticker }
    }
}

impl Drop for SimulatedEngine {
    fn drop(&mut self) {
        self.ticker.abort();
    }
}

fn lock(world: &Mutex<World>) -> std::sync::MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Engine for SimulatedEngine {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "simulated",
            strategies: vec![Strategy::BlueGreen, Strategy::Rolling],
            counts_connections: false,
            counts_requests: false,
            exec: false,
        }
    }

    async fn check(&self, _: &StackId, _: &Content) -> Vec<Finding> {
        Vec::new()
    }

    async fn apply(&self, desired: Desired, _: Arc<dyn Materials>) -> Result<(), EngineError> {
        let offered = desired.fence;
        let report = {
            let mut world = lock(&self.world);
            world
                .apply(desired)
                .map_err(|accepted| EngineError::Superseded { accepted, offered })?;
            world.observe()
        };
        self.observed.send_replace(report);
        Ok(())
    }

    fn watch(&self, _: &StackId) -> watch::Receiver<Observed> {
        self.observed.subscribe()
    }

    fn logs(&self, _: LogQuery) -> BoxStream<'static, Result<LogLine, EngineError>> {
        stream::empty().boxed()
    }

    async fn forget(&self, _: &StackId) -> Result<(), EngineError> {
        Ok(())
    }

    async fn exec(&self, _: ExecRequest) -> Result<Session, EngineError> {
        Err(EngineError::Failed {
            operation: "run a command".into(),
            why: "a simulated engine has no processes".into(),
        })
    }
}
