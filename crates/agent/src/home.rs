//! Where the agent keeps everything.

use std::path::{Path, PathBuf};

/// The agent's folder. Its layout:
///
/// ```text
/// agent.sock  agent.lock  agent.log  epoch
/// keys/         owner.key, trusted
/// store/        blobs, releases, journal (see docs/store-format.md)
/// certificates/ APP/STACK/NAME/VERSION/{chain.pem,key.pem}, authority/
/// engine/       instances, artifacts, volumes, logs
/// edge/         edge-N.sock, edge.log
/// uploads/      blobs that are being received; emptied at every start
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home(PathBuf);

impl Home {
    /// The folder that `LANDFALL_HOME` names; otherwise `/var/lib/landfall` for root and
    /// `$XDG_STATE_HOME/landfall` (`~/.local/state/landfall`) for everybody else.
    #[must_use]
    pub fn find() -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        if let Some(home) = variable("LANDFALL_HOME") {
            return Self(std::path::absolute(&home).unwrap_or_else(|_| home.into()));
        }
        if rustix::process::geteuid().is_root() {
            return Self("/var/lib/landfall".into());
        }
        let state = variable("XDG_STATE_HOME").map(PathBuf::from);
        let state = state.or_else(|| {
            variable("HOME").map(|home| PathBuf::from(home).join(".local").join("state"))
        });
        Self(state.unwrap_or_else(|| "/tmp".into()).join("landfall"))
    }

    /// A folder of one's own choice.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Whether an agent was ever started for it.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.epoch().exists()
    }

    /// The agent's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.0.join("agent.sock")
    }

    /// Where the agent writes its own log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.0.join("agent.log")
    }

    /// The lock of the one agent.
    pub(crate) fn lock(&self) -> PathBuf {
        self.0.join("agent.lock")
    }

    pub(crate) fn epoch(&self) -> PathBuf {
        self.0.join("epoch")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    pub(crate) fn engine(&self) -> PathBuf {
        self.0.join("engine")
    }

    /// Blobs that are being received.
    pub(crate) fn uploads(&self) -> PathBuf {
        self.0.join("uploads")
    }

    pub(crate) fn edge(&self) -> PathBuf {
        self.0.join("edge")
    }

    pub(crate) fn certificates(&self) -> PathBuf {
        self.0.join("certificates")
    }

    /// The key that signs the owner's releases.
    #[must_use]
    pub fn owner_key(&self) -> PathBuf {
        self.0.join("keys").join("owner.key")
    }

    /// The keys that may deploy.
    #[must_use]
    pub fn trusted_keys(&self) -> PathBuf {
        self.0.join("keys").join("trusted")
    }
}
