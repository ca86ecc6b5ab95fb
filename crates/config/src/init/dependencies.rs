//! Dependencies that are installed into the folder, so that a release has them in its artifact.

use super::command::Runs;
use super::{Folder, node, python};

/// What an installation puts into the folder, and what a service needs to use it.
#[derive(Debug, Default)]
pub(super) struct Dependencies {
    /// The file that names them.
    pub file: &'static str,
    /// What installs them, in this order.
    pub commands: Vec<String>,
    /// What is packed although a `.gitignore` leaves it out.
    pub include: Vec<String>,
    /// What is not packed.
    pub exclude: Vec<String>,
    /// Variables with which the packed ones are found.
    pub env: Vec<(String, String)>,
    /// How programs among them are started.
    pub runs: Runs,
    pub notes: Vec<String>,
}

/// Those of a folder whose processes another file names.
pub(super) fn of(folder: &dyn Folder) -> Vec<Dependencies> {
    [node::dependencies(folder), python::dependencies(folder)].into_iter().flatten().collect()
}
