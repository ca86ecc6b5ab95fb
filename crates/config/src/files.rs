//! Files beside `landfall.yaml`, read when a stack is resolved.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The largest file that is read, in bytes.
pub(crate) const LARGEST: u64 = 256 * 1024;

/// Gives the content of files by their path relative to the folder of `landfall.yaml`.
pub trait Files {
    /// The whole file.
    ///
    /// # Errors
    /// When there is no such file, it cannot be read, or it has more than 256 KiB.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;
}

/// Files in a folder of this machine.
#[derive(Debug, Clone)]
pub struct FolderFiles {
    root: PathBuf,
}

impl FolderFiles {
    /// Files below a folder.
    #[must_use]
    pub fn new(root: impl AsRef<Path>) -> Self {
        Self { root: root.as_ref().to_path_buf() }
    }
}

impl Files for FolderFiles {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let path = self.root.join(path);
        // Asked before opening, because opening a pipe waits for its other end.
        if !std::fs::metadata(&path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
        }
        let mut content = Vec::new();
        File::open(path)?.take(LARGEST + 1).read_to_end(&mut content)?;
        if content.len() as u64 > LARGEST {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 256 KiB"));
        }
        Ok(content)
    }
}

/// Files in memory, for tests.
impl Files for BTreeMap<String, String> {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        match self.get(path) {
            Some(text) => Ok(text.clone().into_bytes()),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "there is no such file")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_small_files_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("small"), "x").expect("a file");
        std::fs::write(folder.path().join("large"), vec![b'x'; 300 * 1024]).expect("a file");
        let files = FolderFiles::new(folder.path());
        assert_eq!(files.read("small").expect("small"), b"x");
        assert_eq!(files.read("large").expect_err("large").kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(files.read(".").expect_err("folder").kind(), io::ErrorKind::InvalidInput);
        assert_eq!(files.read("none").expect_err("none").kind(), io::ErrorKind::NotFound);
    }
}
