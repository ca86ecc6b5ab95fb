//! A user of its own for each service, when the agent runs as root.

use crate::disk::{self, DiskError};
use landfall_model::{ServiceName, StackId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Whether services are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Each service of each stack has its own user and group id, from here on. Needs root. The
    /// usual range is one that systemd leaves unused (<https://systemd.io/UIDS-GIDS/>).
    PerService {
        /// The first id that may be given.
        first: u32,
        /// How many ids may be given.
        count: u32,
    },
    /// Services run as the agent's own user.
    None,
}

impl Default for Isolation {
    fn default() -> Self {
        Self::PerService { first: 60_600, count: 580 }
    }
}

/// Gives user ids, durably.
#[derive(Debug)]
pub struct Users {
    path: PathBuf,
    range: Option<(u32, u32)>,
    why_not: Option<String>,
    given: Mutex<Record>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Record {
    version: u16,
    given: BTreeMap<String, u32>,
}

impl Users {
    /// Opens the record in the engine's folder.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn open(root: &Path, isolation: Isolation) -> Result<Self, DiskError> {
        let path = root.join("users.json");
        let given = disk::read_record(&path)?.unwrap_or_default();
        let (range, why_not) = match isolation {
            Isolation::None => (None, Some("this agent was told not to".to_owned())),
            Isolation::PerService { first, count } => match obstacle(root) {
                Some(why) => (None, Some(why)),
                None => (Some((first, count)), None),
            },
        };
        Ok(Self { path, range, why_not, given: Mutex::new(given) })
    }

    /// Why services are not kept apart; none when they are.
    #[must_use]
    pub fn why_not(&self) -> Option<&str> {
        self.why_not.as_deref()
    }

    /// The user of a service; none when services are not kept apart.
    ///
    /// # Errors
    /// When no id is left or the record cannot be written.
    pub fn of(&self, stack: &StackId, service: &ServiceName) -> Result<Option<u32>, DiskError> {
        let Some((first, count)) = self.range else { return Ok(None) };
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let key = format!("{stack}/{service}");
        if let Some(user) = given.given.get(&key) {
            return Ok(Some(*user));
        }
        let taken: BTreeSet<u32> = given.given.values().copied().chain(known_to_host()).collect();
        let user = (first..first.saturating_add(count)).find(|id| !taken.contains(id)).ok_or_else(
            || DiskError::Record {
                path: self.path.display().to_string(),
                why: format!("no user id is left for {key}"),
            },
        )?;
        let mut next = given.clone();
        next.version = 1;
        next.given.insert(key, user);
        disk::write_record(&self.path, &next)?;
        *given = next;
        Ok(Some(user))
    }
}

fn known_to_host() -> Vec<u32> {
    let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    text.lines().filter_map(|line| line.split(':').nth(2)?.parse().ok()).collect()
}

/// What stands in the way of users of their own.
fn obstacle(root: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    if !rustix::process::geteuid().is_root() {
        return Some("the agent does not run as root".to_owned());
    }
    root.ancestors().skip(1).find_map(|folder| {
        let mode = std::fs::metadata(folder).ok()?.permissions().mode();
        (mode & 0o001 == 0)
            .then(|| format!("{} cannot be entered by other users", folder.display()))
    })
}
