//! The kill matrix: whoever dies at whatever instant, the next command ends with exactly what was
//! intended.
//!
//! [`matrix()`] stops a rollout at the moments of its journal entries (before the entry is written,
//! after, and after its effect) and kills one of those who take part. [`random()`] kills somebody at
//! a random instant of a random verb, from a seed. Both judge afterwards by what runs in `/proc`,
//! by what answers to a request, and by what the next verbs say. [`table()`] and [`document`] write
//! down what was seen.

mod chance;
mod judge;
mod matrix;
mod random;
mod table;
mod world;

pub use matrix::{Matrix, Row, Rows, Selection, matrix};
pub use random::{Random, Round, Rounds, random};
pub use table::{document, rounds, table};

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Victim {
    /// The verb.
    Cli,
    /// The agent.
    Agent,
    /// An instance, or what a hook runs.
    Instance,
    /// What holds an instance or a hook.
    Shim,
    /// The load balancer.
    Edge,
}

impl Victim {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Cli, Self::Agent, Self::Instance, Self::Shim, Self::Edge];
}

impl fmt::Display for Victim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Cli => "CLI",
            Self::Agent => "agent",
            Self::Instance => "instance",
            Self::Shim => "shim",
            Self::Edge => "edge",
        })
    }
}

/// A moment in the life of a journal entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Moment {
    /// It is not written yet.
    BeforeWrite,
    /// It is written and nothing came of it yet.
    AfterWrite,
    /// Its desired state was applied.
    AfterEffect,
}

impl Moment {
    /// All of them, in their order.
    pub const ALL: [Self; 3] = [Self::BeforeWrite, Self::AfterWrite, Self::AfterEffect];

    /// Its name in the agent's test points.
    const fn name(self) -> &'static str {
        match self {
            Self::BeforeWrite => "before-write",
            Self::AfterWrite => "after-write",
            Self::AfterEffect => "after-effect",
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::BeforeWrite => "before the write",
            Self::AfterWrite => "after the write",
            Self::AfterEffect => "after the effect",
        })
    }
}

/// What is going on when somebody dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// A new release.
    Up,
    /// Back to an older one.
    Rollback,
    /// Undoing a rollback.
    Forward,
}

impl fmt::Display for Verb {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Up => "up",
            Self::Rollback => "rollback",
            Self::Forward => "forward",
        })
    }
}

/// Which release served in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Served {
    /// The one that was asked for.
    New,
    /// The one before.
    Previous,
}

impl fmt::Display for Served {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::New => "new",
            Self::Previous => "previous",
        })
    }
}

/// How it went on after somebody was killed, and was found to be in order.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Who it was, more exactly.
    pub killed: String,
    /// Which release serves.
    pub served: Served,
    /// What the verb exited with; nothing when it was the victim.
    pub code: Option<i32>,
    /// What a person had to answer about a hook of which nobody knew the outcome.
    pub answered: Option<&'static str>,
    /// From the kill until all was found in order.
    pub took: Duration,
}

/// Copies of the programs, so that nothing changes while they are tried for a while.
struct Programs {
    folder: tempfile::TempDir,
}

impl Programs {
    fn keep(program: &Path) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let copies = [(program.to_owned(), "landfall"), (crate::shop(program), "shop")];
        for (from, name) in copies {
            std::fs::copy(&from, folder.path().join(name))
                .map_err(|error| format!("cannot copy {}: {error}", from.display()))?;
        }
        // Services may have users of their own.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), mode).map_err(|error| error.to_string())?;
        Ok(Self { folder })
    }

    fn landfall(&self) -> PathBuf {
        self.folder.path().join("landfall")
    }
}

/// Does each piece of work, so many at once, each worker in a world of its own that is made anew
/// whenever a piece goes wrong.
fn in_parallel<W, T: Send, R: Send>(
    work: Vec<T>,
    at_once: usize,
    make: impl Fn() -> Result<W, String> + Sync,
    piece: impl Fn(&mut W, &T) -> Result<R, String> + Sync,
) -> Vec<(T, Result<R, String>)> {
    /// How many pieces are done in one world.
    const PIECES: usize = 15;
    let count = work.len();
    let queue: Mutex<VecDeque<(usize, T)>> = Mutex::new(work.into_iter().enumerate().collect());
    let done = Mutex::new(Vec::with_capacity(count));
    let take = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    std::thread::scope(|scope| {
        for _ in 0..at_once.max(1) {
            scope.spawn(|| {
                let mut world: Option<(W, usize)> = None;
                while let Some((index, task)) = take() {
                    let result = caught(|| {
                        if world.as_ref().is_none_or(|(_, pieces)| *pieces >= PIECES) {
                            world = None;
                            world = Some((make()?, 0));
                        }
                        let Some((inside, pieces)) = &mut world else {
                            return Err("no world".into());
                        };
                        *pieces += 1;
                        piece(inside, &task)
                    });
                    if result.is_err() {
                        world = None;
                    }
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((index, task, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, ..)| *index);
    done.into_iter().map(|(_, task, result)| (task, result)).collect()
}

/// A panic of a test's helper is a failure of this piece of work only.
fn caught<R>(work: impl FnOnce() -> Result<R, String>) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned()));
        Err(text.unwrap_or_else(|| "panicked".into()))
    })
}
