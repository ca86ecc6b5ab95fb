//! What all stacks of this host share, and where everything lies on disk.

use crate::artifact::{Artifacts, Unpack};
use crate::cgroup::Cgroups;
use crate::disk::{self, DiskError};
use crate::load_balancer::LoadBalancer;
use crate::ports::{self, Ports};
use crate::users::{Isolation, Users};
use landfall_engine::{EngineError, Materials};
use landfall_model::{ServiceName, StackId, VolumeName};
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How an engine is set up.
#[derive(Clone)]
pub struct LocalEngineOptions {
    /// The engine's folder; nobody else writes there.
    pub root: PathBuf,
    /// The program that has the verbs `shim` and `shim-exec`.
    pub program: PathBuf,
    /// The ports that instances may get.
    pub ports: RangeInclusive<u16>,
    /// The address that instances listen on.
    pub host: IpAddr,
    /// The boot that this host is in: `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// Whether services get users of their own.
    pub isolate: Isolation,
    /// Unpacks archives.
    pub unpack: Unpack,
    /// Parts of releases before the first desired state is applied again; without it, instances
    /// run on and the load balancer keeps what it has until then.
    pub materials: Option<Arc<dyn Materials>>,
    /// How large a log file of an instance becomes, in bytes.
    pub log_size: u64,
    /// How many log files of an instance are kept.
    pub log_files: u32,
    /// How many ended instances of a service are kept for their logs.
    pub keep_ended: usize,
}

impl LocalEngineOptions {
    /// The usual, for a folder, a program, a boot and a way to unpack.
    #[must_use]
    pub fn new(root: PathBuf, program: PathBuf, boot_id: String, unpack: Unpack) -> Self {
        Self {
            root,
            program,
            ports: ports::DEFAULT,
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            boot_id,
            isolate: Isolation::default(),
            unpack,
            materials: None,
            log_size: 10 << 20,
            log_files: 5,
            keep_ended: 5,
        }
    }
}

/// What all stacks share.
pub(crate) struct Host {
    pub root: PathBuf,
    pub program: PathBuf,
    pub host: IpAddr,
    pub boot: String,
    pub ports: Ports,
    pub users: Users,
    pub cgroups: Cgroups,
    pub artifacts: Artifacts,
    pub load_balancer: Arc<dyn LoadBalancer>,
    pub log_size: u64,
    pub log_files: u32,
    pub keep_ended: usize,
    /// The lock on the folder: two engines would both start what is missing.
    lock: Mutex<Option<File>>,
}

/// How long is waited for an engine that is about to let go of the folder.
const LET_GO: Duration = Duration::from_secs(10);

/// Takes the lock on the folder.
fn take_lock(root: &Path) -> Result<File, DiskError> {
    let path = root.join("lock");
    let begin = Instant::now();
    loop {
        if let Some(lock) = disk::try_lock(&path)? {
            return Ok(lock);
        }
        if begin.elapsed() > LET_GO {
            let why = "another engine has this folder".to_owned();
            return Err(DiskError::Record { path: path.display().to_string(), why });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Host {
    pub fn open(
        options: LocalEngineOptions,
        load_balancer: Arc<dyn LoadBalancer>,
    ) -> Result<Self, DiskError> {
        disk::make_folder(&options.root, 0o700)?;
        let lock = Mutex::new(Some(take_lock(&options.root)?));
        let users = Users::open(&options.root, options.isolate)?;
        let host = Self {
            ports: Ports::new(options.host, options.ports),
            cgroups: Cgroups::detect(),
            artifacts: Artifacts::open(
                options.root.join("artifacts"),
                options.boot_id.clone(),
                options.unpack,
            )?,
            users,
            root: options.root,
            program: options.program,
            host: options.host,
            boot: options.boot_id,
            load_balancer,
            log_size: options.log_size,
            log_files: options.log_files,
            keep_ended: options.keep_ended,
            lock,
        };
        for folder in [host.root.clone(), host.stacks(), host.root.join("volumes")] {
            host.folder(&folder)?;
        }
        Ok(host)
    }

    /// Lets go of the folder.
    pub fn release(&self) {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Makes a folder that services pass through and cannot list.
    pub fn folder(&self, path: &Path) -> Result<(), DiskError> {
        disk::make_folder(path, if self.users.why_not().is_none() { 0o711 } else { 0o700 })
    }

    pub fn stacks(&self) -> PathBuf {
        self.root.join("stacks")
    }

    pub fn stack(&self, stack: &StackId) -> StackFolder {
        StackFolder(self.stacks().join(folder_name(stack)))
    }

    pub fn volume_parent(&self, stack: &StackId) -> PathBuf {
        self.root.join("volumes").join(folder_name(stack))
    }

    pub fn volume(&self, stack: &StackId, service: &ServiceName, name: &VolumeName) -> PathBuf {
        self.volume_parent(stack).join(service.as_str()).join(name.as_str())
    }
}

/// Names have no dots, so this is unambiguous.
fn folder_name(stack: &StackId) -> String {
    format!("{}.{}", stack.app, stack.stack)
}

/// Reads the stack from the name of its folder.
pub(crate) fn parse_folder_name(name: &str) -> Option<StackId> {
    let (app, stack) = name.split_once('.')?;
    Some(StackId { app: app.parse().ok()?, stack: stack.parse().ok()? })
}

/// The parts of releases, once somebody has offered them: the newest offer counts, also for what
/// began to wait before it.
#[derive(Clone, Default)]
pub(crate) struct Offer(Arc<Mutex<Option<Arc<dyn Materials>>>>);

impl Offer {
    pub fn new(materials: Option<Arc<dyn Materials>>) -> Self {
        Self(Arc::new(Mutex::new(materials)))
    }

    pub fn take_over(&self, materials: Arc<dyn Materials>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(materials);
    }

    pub fn newest(&self) -> Option<Arc<dyn Materials>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The folder of one stack.
#[derive(Debug, Clone)]
pub(crate) struct StackFolder(pub PathBuf);

impl StackFolder {
    pub fn desired(&self) -> PathBuf {
        self.0.join("desired.json")
    }

    pub fn instances(&self) -> PathBuf {
        self.0.join("instances")
    }

    pub fn instance(&self, id: &str) -> PathBuf {
        self.instances().join(id)
    }

    pub fn jobs(&self) -> PathBuf {
        self.0.join("jobs")
    }
}

/// A failure of the disk as the engine's.
pub(crate) fn disk_failed(operation: &str) -> impl Fn(DiskError) -> EngineError + '_ {
    move |error| EngineError::Failed { operation: operation.to_owned(), why: error.to_string() }
}
