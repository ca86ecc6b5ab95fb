//! What the shop says it served, for tests that compare it with what clients say they got.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// A list of ids, one a line.
pub struct Served(Option<Mutex<File>>);

impl Served {
    /// Appends to a file, when there is one.
    pub fn open(path: Option<PathBuf>) -> std::io::Result<Self> {
        let file = path.map(|path| OpenOptions::new().create(true).append(true).open(path));
        Ok(Self(file.transpose()?.map(Mutex::new)))
    }

    /// One more. A line is one write, so that lines of several instances never mix.
    pub fn add(&self, id: &str) -> std::io::Result<()> {
        let Some(file) = &self.0 else { return Ok(()) };
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(format!("{id}\n").as_bytes())
    }
}
