//! Artifacts: unpacked once for each digest, shared and read-only.
//!
//! A folder is only trusted within the boot it was unpacked in: unpacking is not synced file by
//! file, and a power cut could leave it in pieces. After a reboot it is unpacked again from the
//! verified blob.

use crate::disk::{self, DiskError};
use landfall_engine::{EngineError, Materials};
use landfall_model::Digest;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Unpacks an archive into a folder that exists and is empty, read-only for everybody.
pub type Unpack = Arc<dyn Fn(&Path, &Path) -> Result<(), String> + Send + Sync>;

/// The unpacked artifacts of this host.
pub struct Artifacts {
    folder: PathBuf,
    boot: String,
    unpack: Unpack,
    /// One unpacking at a time.
    gate: tokio::sync::Mutex<()>,
    /// When each was last asked for: what is about to be used is not removed.
    asked: Mutex<BTreeMap<String, Instant>>,
}

/// How long an artifact stays after it was asked for, used or not.
const REST: Duration = Duration::from_secs(600);

impl Artifacts {
    /// In this folder.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(folder: PathBuf, boot: String, unpack: Unpack) -> Result<Self, DiskError> {
        disk::make_folder(&folder, 0o711)?;
        Ok(Self {
            folder,
            boot,
            unpack,
            gate: tokio::sync::Mutex::new(()),
            asked: Mutex::default(),
        })
    }

    fn seal(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{}.boot", digest.hex()))
    }

    fn is_whole(&self, digest: &Digest) -> bool {
        self.folder.join(digest.hex()).is_dir()
            && std::fs::read_to_string(self.seal(digest)).is_ok_and(|boot| boot == self.boot)
    }

    /// The folder of an artifact, unpacked from its blob when it is not there.
    ///
    /// # Errors
    /// When the blob cannot be had or unpacked.
    pub async fn get(
        &self,
        digest: &Digest,
        materials: Option<Arc<dyn Materials>>,
    ) -> Result<PathBuf, EngineError> {
        let target = self.folder.join(digest.hex());
        {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.insert(digest.hex(), Instant::now());
            if self.is_whole(digest) {
                return Ok(target);
            }
        }
        let _one = self.gate.lock().await;
        if self.is_whole(digest) {
            return Ok(target);
        }
        let materials = materials.ok_or_else(|| EngineError::Material {
            what: format!("the artifact {}", digest.short()),
            why: "it is not unpacked, and nobody has offered its archive yet".to_owned(),
        })?;
        let archive = materials.blob(digest).await?;
        let (unpack, seal, boot) = (Arc::clone(&self.unpack), self.seal(digest), self.boot.clone());
        let place = target.clone();
        tokio::task::spawn_blocking(move || unpack_into(&unpack, &archive, &place, &seal, &boot))
            .await
            .map_err(|error| EngineError::Failed {
                operation: "unpack an artifact".to_owned(),
                why: error.to_string(),
            })?
            .map_err(|why| EngineError::Material {
                what: format!("the artifact {}", digest.short()),
                why,
            })?;
        Ok(target)
    }

    /// Removes every artifact that is not named and was not asked for lately.
    pub async fn retain(&self, wanted: &BTreeSet<String>) {
        let _one = self.gate.lock().await;
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let hex = name.split('.').next().unwrap_or_default();
            if name != hex || wanted.contains(hex) || !self.take_away(hex) {
                continue;
            }
            if let Err(error) = disk::remove_folder(&self.folder.join(format!("{hex}.old"))) {
                tracing::warn!(%error, "an artifact that nobody uses stays");
            }
        }
    }

    /// Renames an artifact away, so that whoever asks from now on finds none.
    fn take_away(&self, hex: &str) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.get(hex).is_some_and(|at| at.elapsed() < REST) {
            return false;
        }
        asked.remove(hex);
        let _ = std::fs::remove_file(self.folder.join(format!("{hex}.boot")));
        let old = self.folder.join(format!("{hex}.old"));
        std::fs::rename(self.folder.join(hex), old).is_ok()
    }
}

fn unpack_into(
    unpack: &Unpack,
    archive: &Path,
    target: &Path,
    seal: &Path,
    boot: &str,
) -> Result<(), String> {
    let say = |error: DiskError| error.to_string();
    let temporary = target.with_extension("new");
    disk::remove_folder(&temporary).map_err(say)?;
    disk::remove_folder(target).map_err(say)?;
    disk::make_folder(&temporary, 0o755).map_err(say)?;
    unpack(archive, &temporary)?;
    std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(0o555))
        .map_err(|error| DiskError::io("set the mode of", &temporary, error).to_string())?;
    std::fs::rename(&temporary, target)
        .map_err(|error| DiskError::io("rename to", target, error).to_string())?;
    std::fs::write(seal, boot).map_err(|error| DiskError::io("write", seal, error).to_string())
}
