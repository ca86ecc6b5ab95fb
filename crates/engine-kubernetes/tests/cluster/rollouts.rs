//! Whole rollouts, by the loop that drives every engine, over a real cluster: the journal in
//! Secrets of its namespace, pods on a real node, and a client that asks through the Service all
//! the while and never retries.

use crate::world::World;
use k8s_openapi::api::core::v1::Service as KubernetesService;
use kube::Api;
use landfall_engine::Engine;
use landfall_engine::conformance::{Harness, Kind};
use landfall_model::{
    Content, Epoch, FORMAT, Listener, ListenerProtocol, Measured, Millis, Outcome, Release,
    ReleaseNumber, RolloutPolicy, Route, RunId, Sequence, Source, Strategy, Timestamp, Verb,
};
use landfall_rollout::{Context, Drive, NoPoints, RECORD_FORMAT, Record, State, begin, drive};
use landfall_store::{Cluster, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a rollout may take.
const PATIENCE: Duration = Duration::from_secs(120);

fn now() -> Timestamp {
    Timestamp(u64::try_from(jiff::Timestamp::now().as_millisecond()).expect("after 1970"))
}

/// A release of the image's own server, which ends at once when it is asked to.
pub fn release(
    world: &World,
    number: u64,
    strategy: Strategy,
    spoil: Option<&str>,
) -> Arc<Release> {
    let mut service = world.service(Kind::Good);
    service.command = vec!["/app".into(), "serve".into()];
    service.replicas = 2;
    service.env.insert("VERSION".into(), number.to_string());
    if let Some(script) = spoil {
        service.command = ["sh", "-c", script].map(String::from).to_vec();
    }
    let listener = Listener {
        listen: ([0, 0, 0, 0], 80).into(),
        protocol: ListenerProtocol::Tcp,
        certificate: None,
        policy: None,
        hosts: BTreeSet::new(),
        route: Route::To("web".parse().expect("a name")),
        balancer: None,
    };
    let stack = world.stack();
    Arc::new(Release {
        format: FORMAT,
        app: stack.app,
        stack: stack.stack,
        number: ReleaseNumber(number),
        restores: None,
        substitutions: Vec::new(),
        sealed_at: now(),
        sealed_by: "me@here".into(),
        source: Source::default(),
        content: Content {
            options: BTreeMap::new(),
            certificates: BTreeMap::new(),
            services: BTreeMap::from([("web".parse().expect("a name"), service)]),
            listeners: BTreeMap::from([("public".parse().expect("a name"), listener)]),
            hooks: Vec::new(),
            rollout: RolloutPolicy {
                strategy,
                drain: Millis(2000),
                bake: Millis(0),
                deadline: Millis(60_000),
            },
        },
    })
}

/// One writer with its store and its engine.
pub struct Writer {
    pub world: World,
    store: Arc<Store>,
    engine: Arc<dyn Engine>,
    sequence: u64,
    said: Arc<Mutex<Vec<String>>>,
}

impl Writer {
    async fn new(name: &str) -> Option<Self> {
        Some(Self::over(World::new(name).await?).await)
    }

    pub async fn over(world: World) -> Self {
        let cluster = Cluster::new(world.client(), world.namespace());
        let store = Arc::new(Store::open(Arc::new(cluster)).await.expect("a safe store"));
        let engine = world.open().await;
        Self { world, store, engine, sequence: 0, said: Arc::default() }
    }

    /// Rolls out, and says how it ended and why.
    pub async fn roll_out(
        &mut self,
        verb: Verb,
        from: Option<&Arc<Release>>,
        to: Option<&Arc<Release>>,
    ) -> (Outcome, String) {
        self.said.lock().expect("no panic").clear();
        let stack = self.world.stack();
        let context = Context { stack: stack.clone(), verb, from: from.cloned(), to: to.cloned() };
        self.sequence += 1;
        let record = Record {
            format: RECORD_FORMAT,
            sequence: Sequence(self.sequence),
            epoch: Epoch(1),
            at: now(),
            run: RunId(format!("{stack}.{verb}.{}", self.sequence)),
            verb,
            from: from.map(|it| it.number),
            to: to.map(|it| it.number),
            by: "me@here".into(),
            idempotency_key: None,
            began: now(),
            counted: Measured::default(),
            state: State::begin(&context, now()),
            because: "asked for".into(),
        };
        let said = Arc::clone(&self.said);
        let drive_of = Drive {
            context,
            store: Arc::clone(&self.store),
            engine: Arc::clone(&self.engine),
            materials: self.world.materials(),
            epoch: Epoch(1),
            clock: Arc::new(now),
            points: Arc::new(NoPoints),
            told: Arc::new(move |it| said.lock().expect("no panic").push(it.message)),
            written: Arc::new(|_| {}),
        };
        begin(&drive_of, &record).await.expect("begun");
        let (_commands, mut commands) = tokio::sync::mpsc::channel(1);
        let driven = tokio::time::timeout(PATIENCE, drive(&drive_of, record, &mut commands)).await;
        let said = self.said.lock().expect("no panic").join("\n");
        let last = driven.unwrap_or_else(|_| panic!("no end:\n{said}")).expect("driven");
        self.sequence = last.sequence.0;
        (last.state.ended().expect("ended"), said)
    }

    async fn address(&self) -> SocketAddr {
        let services: Api<KubernetesService> = self.world.api();
        let service = services.get("shop-public").await.expect("the listener");
        let address = service.spec.and_then(|spec| spec.cluster_ip).expect("an address");
        SocketAddr::new(address.parse().expect("an address"), 80)
    }
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200") { Ok(answer) } else { Err(std::io::Error::other(answer)) }
}

/// A client that asks all the while, one connection a request.
struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    clients: Vec<std::thread::JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(address: SocketAddr) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let clients = (0..4).map(|_| {
            let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
            std::thread::spawn(move || {
                let mut lost = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    asked.fetch_add(1, Ordering::Relaxed);
                    lost.extend(ask(address).err().map(|error| error.to_string()));
                    std::thread::sleep(Duration::from_millis(5));
                }
                lost
            })
        });
        let clients = clients.collect();
        Self { stop, asked, clients }
    }

    /// How many were asked, and what was lost.
    fn end(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let lost = self.clients.into_iter().flat_map(|it| it.join().expect("a client")).collect();
        (self.asked.load(Ordering::Relaxed), lost)
    }
}

/// `LANDFALL_ROLLOUTS` says how often it goes forth and back (3).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_by_rollouts_on_a_real_node() {
    let Some(mut writer) = Writer::new("rollouts").await else { return };
    let rounds = std::env::var("LANDFALL_ROLLOUTS").map_or(3, |it| it.parse().expect("a number"));
    let mut serving = release(&writer.world, 1, Strategy::BlueGreen, None);
    let (outcome, said) = writer.roll_out(Verb::Up, None, Some(&serving)).await;
    assert_eq!(outcome, Outcome::Succeeded, "{said}");
    let address = writer.address().await;
    let load = Load::start(address);
    let mut rollouts = 0;
    for round in 0..rounds {
        for strategy in [Strategy::BlueGreen, Strategy::Rolling] {
            rollouts += 1;
            let next = release(&writer.world, 1 + rollouts, strategy, None);
            let verb = if round % 2 == 0 { Verb::Up } else { Verb::Rollback };
            let (outcome, said) = writer.roll_out(verb, Some(&serving), Some(&next)).await;
            assert_eq!(outcome, Outcome::Succeeded, "{strategy:?}: {said}");
            serving = next;
        }
    }
    let (asked, lost) = load.end();
    eprintln!("{rollouts} rollouts, {asked} requests, {} lost", lost.len());
    assert_eq!(lost, Vec::<String>::new(), "of {asked}");
    assert!(asked > 100, "only {asked} requests");
    let (outcome, said) = writer.roll_out(Verb::Down, Some(&serving), None).await;
    assert_eq!(outcome, Outcome::Succeeded, "{said}");
    writer.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_does_not_get_well_leaves_the_one_before() {
    let Some(mut writer) = Writer::new("failing").await else { return };
    let first = release(&writer.world, 1, Strategy::BlueGreen, None);
    let (outcome, said) = writer.roll_out(Verb::Up, None, Some(&first)).await;
    assert_eq!(outcome, Outcome::Succeeded, "{said}");
    let load = Load::start(writer.address().await);
    let broken =
        release(&writer.world, 2, Strategy::BlueGreen, Some("echo no table orders; exit 7"));
    let began = tokio::time::Instant::now();
    let (outcome, said) = writer.roll_out(Verb::Up, Some(&first), Some(&broken)).await;
    assert_eq!(outcome, Outcome::Failed, "{said}");
    assert!(said.contains("no table orders") && said.contains("code 7"), "{said}");
    assert!(
        began.elapsed() < Duration::from_secs(55),
        "before the deadline: {:?}",
        began.elapsed()
    );
    let (asked, lost) = load.end();
    assert_eq!(lost, Vec::<String>::new(), "of {asked}");
    writer.world.end().await;
}
