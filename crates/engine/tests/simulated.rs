//! The simulated engine is an engine.

use async_trait::async_trait;
use landfall_engine::conformance::{Harness, Kind, NoMaterials, run};
use landfall_engine::simulated::{SimulatedEngine, World};
use landfall_engine::{Engine, Materials};
use landfall_model::{
    Artifact, Bytes, Digest, Health, HealthCheck, Millis, Resources, Service, Signal, Stop,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// A world holds one stack, so each case that starts with revision 1 gets a world of its own.
struct Simulated {
    world: Mutex<Arc<Mutex<World>>>,
    crashed: Mutex<bool>,
}

fn service(env: &[(&str, &str)]) -> Service {
    Service {
        artifact: Some(Artifact {
            digest: Digest::from_bytes([1; 32]),
            size: Bytes(1),
            path: "./dist".into(),
        }),
        image: None,
        preloaded: false,
        port: None,
        command: vec!["./web".into()],
        replicas: 1,
        env: env.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        health: Health {
            check: HealthCheck::Tcp,
            every: Millis(100),
            timeout: Millis(100),
            healthy: 1,
            unhealthy: 1,
        },
        stop: Stop { signal: Signal::Term, grace: Millis(100) },
        overlap: true,
        volumes: BTreeMap::new(),
        resources: Resources::default(),
    }
}

#[async_trait]
impl Harness for Simulated {
    async fn open(&self) -> Arc<dyn Engine> {
        let mut world = self.world.lock().expect("not poisoned");
        if !std::mem::take(&mut *self.crashed.lock().expect("not poisoned")) {
            *world = Arc::default();
        }
        Arc::new(SimulatedEngine::open(Arc::clone(&world)))
    }

    async fn crash(&self, engine: Arc<dyn Engine>) {
        drop(engine);
        *self.crashed.lock().expect("not poisoned") = true;
    }

    fn materials(&self) -> Arc<dyn Materials> {
        Arc::new(NoMaterials)
    }

    fn service(&self, kind: Kind) -> Service {
        match kind {
            Kind::Good => service(&[]),
            Kind::NeverHealthy => service(&[("SIM_READY", "never")]),
            Kind::Crashes => service(&[("SIM_CRASH", "20"), ("SIM_READY", "never")]),
        }
    }

    fn job(&self, code: Option<i32>) -> (Service, Vec<String>) {
        let kind = code.map_or_else(|| "hang".to_owned(), |code| code.to_string());
        (service(&[("SIM_JOB", &kind)]), vec!["job".into()])
    }
}

#[tokio::test(start_paused = true)]
async fn the_simulated_engine_conforms() {
    run(&Simulated { world: Mutex::default(), crashed: Mutex::new(false) }).await;
}
