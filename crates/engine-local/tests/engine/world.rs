//! What the tests share: an engine over a temporary folder, a load balancer that takes notes, and
//! desired states in one line.

use async_trait::async_trait;
use landfall_engine::{Engine, EngineError, KeyPair, Materials};
use landfall_engine_local::{
    Isolation, LoadBalancer, LocalEngine, LocalEngineOptions, StackPart, StackStats,
};
use landfall_model::*;
use landfall_protocol::edge::Target;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_landfall-shim-host");

/// A load balancer that takes notes and counts what it is told to count.
#[derive(Default)]
pub struct NotingBalancer {
    pub parts: Mutex<Vec<StackPart>>,
    pub stats: Mutex<StackStats>,
    pub refuse: Mutex<Option<String>>,
}

impl NotingBalancer {
    pub fn target(&self, id: &str) -> Option<Target> {
        let parts = self.parts.lock().unwrap();
        let part = parts.last()?;
        part.groups.values().flat_map(|g| &g.targets).find(|t| t.id == id).cloned()
    }
}

#[async_trait]
impl LoadBalancer for NotingBalancer {
    async fn configure(
        &self,
        _: &StackId,
        part: StackPart,
    ) -> Result<BTreeMap<ListenerName, String>, EngineError> {
        if let Some(why) = self.refuse.lock().unwrap().clone() {
            return Err(EngineError::Failed { operation: "configure".into(), why });
        }
        self.parts.lock().unwrap().push(part);
        Ok(BTreeMap::new())
    }

    async fn stats(&self, _: &StackId) -> Result<StackStats, EngineError> {
        Ok(self.stats.lock().unwrap().clone())
    }
}

/// Blobs that are lists of files, and certificates that are nothing.
pub struct Files(PathBuf);

#[async_trait]
impl Materials for Files {
    async fn blob(&self, digest: &Digest) -> Result<PathBuf, EngineError> {
        let path = self.0.join(digest.hex());
        if path.exists() {
            Ok(path)
        } else {
            Err(EngineError::Material { what: digest.to_string(), why: "it is gone".into() })
        }
    }

    async fn certificate(
        &self,
        _: &StackId,
        _: &CertificateName,
        _: &Certificate,
    ) -> Result<KeyPair, EngineError> {
        Err(EngineError::NotFound("any certificate".into()))
    }
}

fn unpack(archive: &Path, to: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    let say = |error: std::io::Error| error.to_string();
    let text = std::fs::read_to_string(archive).map_err(say)?;
    let files: BTreeMap<String, String> = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    for (name, content) in files {
        let path = to.join(name);
        std::fs::write(&path, content).map_err(say)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o555)).map_err(say)?;
    }
    Ok(())
}

pub struct World {
    pub folder: tempfile::TempDir,
    pub blobs: tempfile::TempDir,
    pub engine: Arc<LocalEngine>,
    pub balancer: Arc<NotingBalancer>,
    pub options: LocalEngineOptions,
    pub revision: u64,
}

pub fn stack() -> StackId {
    StackId { app: "shop".parse().unwrap(), stack: "local".parse().unwrap() }
}

pub fn group(release: u64) -> GroupId {
    format!("web@{release}").parse().unwrap()
}

pub fn artifact() -> Digest {
    Digest::from_bytes([7; 32])
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut LocalEngineOptions)) -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        // Apart from other worlds, and mostly from other runs on this machine.
        let run = u16::try_from(std::process::id() % 6).unwrap();
        let first = 12_000 + run * 3_000 + NEXT.fetch_add(1, Ordering::Relaxed) * 60;
        let folder = tempfile::tempdir().unwrap();
        let blobs = tempfile::tempdir().unwrap();
        let files = BTreeMap::from([("hello", "#!/bin/sh\necho hello from the artifact\n")]);
        let blob = blobs.path().join(artifact().hex());
        std::fs::write(blob, serde_json::to_string(&files).unwrap()).unwrap();
        let mut options = LocalEngineOptions::new(
            folder.path().to_owned(),
            PROGRAM.into(),
            "boot-1".into(),
            Arc::new(unpack),
        );
        options.ports = first..=first + 59;
        options.isolate = Isolation::None;
        change(&mut options);
        let balancer = Arc::new(NotingBalancer::default());
        let engine = LocalEngine::open(options.clone(), balancer.clone()).await.unwrap();
        Self { folder, blobs, engine, balancer, options, revision: 0 }
    }

    pub fn materials(&self) -> Arc<dyn Materials> {
        Arc::new(Files(self.blobs.path().to_owned()))
    }

    /// The engine dies and lives again; nothing else does.
    pub async fn reopen(&mut self) {
        self.engine.shutdown().await;
        self.engine = LocalEngine::open(self.options.clone(), self.balancer.clone()).await.unwrap();
    }

    pub fn desired(&mut self) -> Desired {
        self.revision += 1;
        let fence = Fence { epoch: Epoch(1), revision: Revision(self.revision) };
        Desired::nothing(stack(), fence)
    }

    /// Wants groups of `web`, each served by the one listener with its weight.
    pub async fn want(&mut self, groups: &[(u64, u16, u16, &Service)]) {
        let desired = self.wanted(groups);
        self.apply(desired).await;
    }

    pub fn wanted(&mut self, groups: &[(u64, u16, u16, &Service)]) -> Desired {
        let mut desired = self.desired();
        let mut weights = BTreeMap::new();
        for (release, replicas, weight, service) in groups {
            let group_id = group(*release);
            let service = Service::clone(service);
            let what = Group { replicas: *replicas, service, drain: Millis(4000) };
            desired.groups.insert(group_id.clone(), what);
            if *weight > 0 {
                weights.insert(group_id, *weight);
            }
        }
        let listener = Listener {
            listen: "127.0.0.1:1".parse().unwrap(),
            protocol: ListenerProtocol::Http,
            certificate: None,
            policy: None,
            hosts: BTreeSet::new(),
            route: Route::To("web".parse().unwrap()),
            balancer: None,
        };
        let state = ListenerState { listener, certificate: None, weights };
        desired.listeners.insert("public".parse().unwrap(), state);
        desired
    }

    pub async fn apply(&self, desired: Desired) {
        self.engine.apply(desired, self.materials()).await.unwrap();
    }

    pub async fn job(&mut self, name: &str, command: &[&str], timeout: u64) -> JobId {
        let mut desired = self.desired();
        let id = JobId(name.to_owned());
        desired.jobs.insert(id.clone(), job(command, timeout));
        self.apply(desired).await;
        id
    }

    /// Waits until what is observed is as it should be.
    pub async fn until(&self, what: &str, good: impl Fn(&Observed) -> bool) -> Observed {
        let mut watch = self.engine.watch(&stack());
        let waited = tokio::time::timeout(Duration::from_secs(30), watch.wait_for(&good));
        match waited.await.map(|seen| seen.map(|seen| seen.clone())) {
            Ok(Ok(seen)) => seen,
            _ => panic!("never {what}: {:#?}", self.engine.watch(&stack()).borrow().clone()),
        }
    }

    pub async fn until_ready(&self, release: u64, count: u16) -> Observed {
        let name = format!("{count} ready in release {release}");
        self.until(&name, |seen| {
            seen.groups.get(&group(release)).is_some_and(|status| {
                status.ready == count && usize::from(count) == status.instances.len()
            })
        })
        .await
    }

    pub async fn until_nothing(&self) -> Observed {
        self.until("nothing", |seen| seen.groups.is_empty()).await
    }

    pub fn instances(&self) -> PathBuf {
        self.folder.path().join("stacks/shop.local/instances")
    }

    pub fn read<T: serde::de::DeserializeOwned>(&self, id: &str, file: &str) -> T {
        let text = std::fs::read_to_string(self.instances().join(id).join(file)).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Nothing may outlive a test, whatever became of it; and nobody may start it again.
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(self.engine.shutdown());
        });
        for stack in entries(&self.folder.path().join("stacks")) {
            for run in
                entries(&stack.join("instances")).into_iter().chain(entries(&stack.join("jobs")))
            {
                clear_away(&run);
            }
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn clear_away(run: &Path) {
    let text = std::fs::read_to_string(run.join("spec.json")).unwrap_or_default();
    let Ok(spec) = serde_json::from_str::<landfall_protocol::shim::Spec>(&text) else { return };
    for group in spec.cgroups {
        for _ in 0..400 {
            kill_marked(&spec.id);
            match std::fs::remove_dir(&group.folder) {
                Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {}
                _ => break,
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    kill_marked(&spec.id);
}

pub fn service(command: &[&str]) -> Service {
    Service {
        artifact: Some(Artifact { digest: artifact(), size: Bytes(1), path: "./dist".into() }),
        image: None,
        preloaded: false,
        port: None,
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        replicas: 1,
        env: BTreeMap::from([("COLOUR".to_owned(), "green".to_owned())]),
        health: Health {
            check: HealthCheck::Http { path: "/healthz".into() },
            every: Millis(200),
            timeout: Millis(1000),
            healthy: 2,
            unhealthy: 2,
        },
        stop: Stop { signal: Signal::Term, grace: Millis(2000) },
        overlap: true,
        volumes: BTreeMap::new(),
        resources: Resources::default(),
    }
}

pub fn serve() -> Service {
    service(&[PROGRAM, "serve"])
}

pub fn shell(script: &str) -> Service {
    service(&["sh", "-c", script])
}

pub fn job(command: &[&str], timeout: u64) -> Job {
    Job {
        group: group(1),
        service: serve(),
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        timeout: Millis(timeout),
    }
}

/// Process ids whose environment has the marker of an instance.
pub fn marked(id: &str) -> Vec<i32> {
    let entry = format!("LANDFALL_INSTANCE={id}");
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|byte| *byte == 0).any(|found| found == entry.as_bytes())
        })
        .collect()
}

pub fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

fn kill_marked(id: &str) {
    for pid in marked(id) {
        kill(u32::try_from(pid).unwrap());
    }
}

pub async fn eventually(what: &str, good: impl Fn() -> bool) {
    for _ in 0..3000 {
        if good() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never {what}");
}

pub async fn get(address: std::net::SocketAddr, path: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}
