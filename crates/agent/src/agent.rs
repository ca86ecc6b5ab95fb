//! Start-up, recovery and shutdown of the agent.

use crate::certificates::Certificates;
use crate::edge::Edges;
use crate::ground::{Ground, Host};
use crate::keys::{self, KeysError};
use crate::materials::HostMaterials;
use crate::points::FolderPoints;
use crate::stack::Stack;
use crate::{Home, clock, durable, metrics, server};
use landfall_engine::{Engine, EngineError, Materials};
use landfall_engine_local::{LocalEngine, LocalEngineOptions};
use landfall_model::{Epoch, StackId, Timestamp};
use landfall_rollout::Points;
use landfall_store::{Folder, Store, StoreError};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

/// What the agent needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its folder.
    pub home: Home,
    /// The `landfall` program, for shims and the edge.
    pub program: PathBuf,
    /// Where its metrics should be; nothing for none.
    pub metrics: Option<SocketAddr>,
}

/// Why the agent could not run.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Another agent holds the folder.
    #[error("another agent already runs for {0}")]
    Running(String),
    /// The folder cannot be used.
    #[error("cannot {operation}: {error}")]
    Io {
        /// What was tried.
        operation: String,
        /// Why it failed.
        error: std::io::Error,
    },
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine cannot be used.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The keys cannot be used.
    #[error("{0}")]
    Keys(String),
}

impl AgentError {
    fn io(operation: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let operation = operation.into();
        move |error| Self::Io { operation, error }
    }
}

impl From<KeysError> for AgentError {
    fn from(error: KeysError) -> Self {
        Self::Keys(error.to_string())
    }
}

/// Tasks that are ended with the agent.
#[derive(Default)]
pub(crate) struct Tasks(Mutex<tokio::task::JoinSet<()>>);

impl Tasks {
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while set.try_join_next().is_some() {}
        set.spawn(task);
    }

    pub(crate) fn end(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

/// What every part of the agent shares.
pub(crate) struct Shared {
    pub(crate) since: Timestamp,
    pub(crate) store: Arc<Store>,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) materials: Arc<dyn Materials>,
    pub(crate) ground: Ground,
    pub(crate) points: Option<Arc<dyn Points>>,
    pub(crate) tasks: Tasks,
    pub(crate) stop: Notify,
    /// Where blobs are received.
    pub(crate) uploads: PathBuf,
    uploaded: AtomicU64,
    stacks: Mutex<BTreeMap<StackId, Arc<Stack>>>,
}

impl Shared {
    pub(crate) fn new(
        store: Arc<Store>,
        engine: Arc<dyn Engine>,
        materials: Arc<dyn Materials>,
        ground: Ground,
        points: Option<Arc<dyn Points>>,
        uploads: PathBuf,
    ) -> Self {
        Self {
            since: clock::now(),
            store,
            engine,
            materials,
            ground,
            points,
            tasks: Tasks::default(),
            stop: Notify::new(),
            uploads,
            uploaded: AtomicU64::new(0),
            stacks: Mutex::default(),
        }
    }

    fn map(&self) -> MutexGuard<'_, BTreeMap<StackId, Arc<Stack>>> {
        self.stacks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stack(&self, id: &StackId) -> Option<Arc<Stack>> {
        self.map().get(id).cloned()
    }

    pub(crate) fn stacks(&self) -> Vec<Arc<Stack>> {
        self.map().values().cloned().collect()
    }

    /// The stack of this name, which is new when there is none.
    pub(crate) fn stack_or_new(self: &Arc<Self>, id: &StackId) -> Arc<Stack> {
        let mut map = self.map();
        let new = || Arc::new(Stack::new(id.clone(), Arc::clone(self)));
        Arc::clone(map.entry(id.clone()).or_insert_with(new))
    }

    /// A number for the next upload's file.
    pub(crate) fn upload(&self) -> u64 {
        self.uploaded.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn forget(&self, id: &StackId) {
        self.map().remove(id);
    }
}

/// Runs the agent until it is told to stop. Instances and the edge go on without it.
///
/// # Errors
/// When it cannot start: another agent runs, or its folder, store or engine cannot be used.
pub async fn serve(options: Options) -> Result<(), AgentError> {
    let home = options.home.clone();
    let text = home.path().display().to_string();
    durable::home_folder(home.path()).map_err(AgentError::io(format!("make {text}")))?;
    let _lock = lock(&home)?;
    let epoch = next_epoch(&home)?;
    keys::ensure(&home)?;
    // What an agent was receiving when it was killed.
    let _ = std::fs::remove_dir_all(home.uploads());
    let store = Arc::new(Store::open(Arc::new(Folder::open(home.store())?)).await?);
    let edge = Edges::open(&home, &options.program, options.metrics);
    let certificates = Arc::new(Certificates::open(&home));
    let materials = Arc::new(HostMaterials {
        store: Arc::clone(&store),
        certificates: Arc::clone(&certificates),
        folder: home.engine().join("blobs"),
    });
    let engine_options = engine_options(&options, Arc::clone(&materials) as _);
    let engine = LocalEngine::open(engine_options, Arc::clone(&edge) as _).await?;
    let points = FolderPoints::from_environment().map(|points| Arc::new(points) as _);
    let host = Host {
        home: home.clone(),
        edge: Arc::clone(&edge),
        certificates,
        epoch,
        metrics: OnceLock::new(),
    };
    let local = Arc::clone(&engine);
    let ground = Ground::Host(Box::new(host));
    let shared = Arc::new(Shared::new(store, engine, materials, ground, points, home.uploads()));
    for id in shared.store.stacks().await? {
        shared.stack_or_new(&id).recover().await;
    }
    let expected = local.stacks();
    shared.tasks.spawn(async move {
        edge.release(&expected).await;
        edge.watch().await;
    });
    if let Some(address) = options.metrics {
        metrics::serve(&shared, address).await;
    }
    let listener = listen(&home)?;
    tracing::info!(%epoch, home = %text, "the agent is ready");
    until_stopped(&shared, listener).await;
    shared.tasks.end();
    local.shutdown().await;
    let _ = std::fs::remove_file(home.socket());
    Ok(())
}

async fn until_stopped(shared: &Arc<Shared>, listener: UnixListener) {
    let terminate = async {
        if let Ok(mut stream) = signal(SignalKind::terminate()) {
            stream.recv().await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = server::accept(shared, listener) => {}
        () = shared.stop.notified() => {}
        () = terminate => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// The lock of the one agent; the kernel gives it back when the process ends, however it ends.
fn lock(home: &Home) -> Result<File, AgentError> {
    let path = home.lock();
    let operation = format!("open {}", path.display());
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(AgentError::io(operation))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| AgentError::Running(home.path().display().to_string()))?;
    Ok(file)
}

/// Every agent reigns in an epoch of its own, so that whatever its predecessor still does is
/// refused by whoever receives it.
fn next_epoch(home: &Home) -> Result<Epoch, AgentError> {
    let file = home.epoch();
    let last = match std::fs::read_to_string(&file) {
        Ok(text) => text.trim().parse().map_err(|_| AgentError::Io {
            operation: format!("read {}", file.display()),
            error: std::io::Error::other(format!("`{}` is no number", text.trim())),
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(AgentError::io(format!("read {}", file.display()))(error)),
    };
    let epoch = Epoch(last + 1);
    durable::write(&file, epoch.to_string().as_bytes())
        .map_err(AgentError::io(format!("write {}", file.display())))?;
    Ok(epoch)
}

fn engine_options(options: &Options, materials: Arc<dyn Materials>) -> LocalEngineOptions {
    let folder = options.home.engine();
    let program = options.program.clone();
    let mut engine = LocalEngineOptions::new(folder, program, boot_id(), Arc::new(unpack));
    engine.materials = Some(materials);
    engine
}

/// Unpacks an archive, off the threads that wait, and removes it.
fn unpack(archive: &Path, to: &Path) -> Result<(), String> {
    // The engine made the folder; unpacking makes it itself, whole or not at all.
    std::fs::remove_dir(to).map_err(|error| error.to_string())?;
    let unpacked = tokio::runtime::Handle::current()
        .block_on(landfall_store::artifact::unpack(archive, to))
        .map_err(|error| crate::stack::chain(&error));
    let _ = std::fs::remove_file(archive);
    unpacked
}

/// What changes with every boot of the machine.
fn boot_id() -> String {
    if let Ok(id) = std::env::var("LANDFALL_TEST_BOOT_ID") {
        return id;
    }
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

fn listen(home: &Home) -> Result<UnixListener, AgentError> {
    let path = home.socket();
    let text = path.display().to_string();
    if text.len() > 100 {
        let error = std::io::Error::other("the path is longer than a socket's may be");
        return Err(AgentError::Io { operation: format!("listen on {text}"), error });
    }
    let _ = std::fs::remove_file(&path);
    let listener =
        UnixListener::bind(&path).map_err(AgentError::io(format!("listen on {text}")))?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, mode).map_err(AgentError::io(format!("protect {text}")))?;
    Ok(listener)
}
