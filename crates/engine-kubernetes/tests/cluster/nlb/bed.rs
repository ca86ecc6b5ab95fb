//! A cluster of its own with fake nodes: the other tests' may have a real one, on which a pod behind
//! an NLB takes three minutes to go.

use std::path::{Path, PathBuf};
use std::process::Command;

pub struct Bed {
    folder: tempfile::TempDir,
}

fn script() -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut command = Command::new(root.join("scripts/kubernetes.sh"));
    command.env_remove("KUBECONFIG");
    command
}

impl Bed {
    /// Nothing, with a line that says so, when there is no cluster to test with.
    pub fn up(test: &str) -> Option<Self> {
        if std::env::var_os("LANDFALL_TEST_KUBECONFIG").is_none() {
            eprintln!("skipped: {test}: no cluster to test with");
            return None;
        }
        let bed = Self { folder: tempfile::tempdir().expect("a folder") };
        let owner = std::process::id().to_string();
        let mut command = script();
        command.arg("up").arg(bed.folder.path()).args(["--nodes", "2", "--while", &owner]);
        let output = command.output().expect("bash");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{test}: {said}");
        Some(bed)
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("etc/admin.kubeconfig")
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = script().arg("down").arg(self.folder.path()).output();
    }
}
