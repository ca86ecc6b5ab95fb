//! The cases that every engine must pass.

use crate::world::{self, PROGRAM, World};
use async_trait::async_trait;
use landfall_engine::conformance::{Harness, Kind, run};
use landfall_engine::{Engine, Materials};
use landfall_engine_local::LocalEngine;
use landfall_model::Service;
use std::sync::Arc;
use tokio::sync::Mutex;

struct Local {
    world: World,
    current: Mutex<Option<Arc<LocalEngine>>>,
}

#[async_trait]
impl Harness for Local {
    async fn open(&self) -> Arc<dyn Engine> {
        let mut current = self.current.lock().await;
        if let Some(before) = current.take() {
            before.shutdown().await;
        }
        let mut options = self.world.options.clone();
        options.materials = Some(self.world.materials());
        let engine = LocalEngine::open(options, self.world.balancer.clone()).await.unwrap();
        *current = Some(Arc::clone(&engine));
        engine
    }

    async fn crash(&self, _: Arc<dyn Engine>) {
        if let Some(engine) = self.current.lock().await.take() {
            engine.shutdown().await;
        }
    }

    fn materials(&self) -> Arc<dyn Materials> {
        self.world.materials()
    }

    fn service(&self, kind: Kind) -> Service {
        match kind {
            Kind::Good => world::serve(),
            Kind::NeverHealthy => world::service(&[PROGRAM, "serve", "status", "500"]),
            Kind::Crashes => world::shell("exit 1"),
        }
    }

    fn job(&self, code: Option<i32>) -> (Service, Vec<String>) {
        let script = match code {
            Some(code) => format!("sleep 0.2; exit {code}"),
            None => "sleep 600".to_owned(),
        };
        (world::serve(), ["sh".to_owned(), "-c".to_owned(), script].to_vec())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_an_engine() {
    let world = World::new().await;
    world.engine.shutdown().await;
    let local = Local { world, current: Mutex::new(None) };
    run(&local).await;
    if let Some(engine) = local.current.lock().await.take() {
        engine.shutdown().await;
    }
}
