//! What the tests share: a real registry, artifacts, and a proxy that breaks things.
#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses a part of this")]

pub mod faults;
pub mod stub;

use landfall_registry::{
    Base, Build, Built, Client, Credentials, ImageConfig, OnProgress, Options, Platform, Progress,
    Reference, Repository, build_image,
};
use landfall_store::artifact::{ArtifactSource, pack};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The name `ada` with the password `open sesame`, as `htpasswd -nbB` writes it.
const HTPASSWD: &str = "ada:$2y$05$WswSDqybTqXDVc2MsziNt.CHtQuMPmdXdvV9lxi56c.dVFmL3.D56\n";

/// Says that a test was skipped, past the test runner's capture, so that nobody takes it for run.
pub fn skipped(test: &str, why: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "skipped {test}: {why}");
}

/// A registry on this machine, which ends when it is dropped.
pub struct Registry {
    child: Child,
    pub host: String,
    folder: TempDir,
}

/// Where the program is, if it is installed.
fn program() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("LANDFALL_TEST_REGISTRY") {
        return Some(path.into());
    }
    installed("docker-registry")
}

pub fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// How a registry is started.
#[derive(Default)]
pub struct Setup {
    /// With a name and a password, see [`HTPASSWD`].
    pub login: bool,
    /// A certificate and its key, as PEM.
    pub tls: Option<(String, String)>,
}

impl Registry {
    /// One that anybody may use; a line says so when it is not installed.
    pub async fn start(test: &str) -> Option<Self> {
        Self::start_with(test, Setup::default()).await
    }

    pub async fn start_with(test: &str, setup: Setup) -> Option<Self> {
        let Some(program) = program() else {
            skipped(test, "docker-registry is not installed, see scripts/registry.sh");
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder");
        for _ in 0..5 {
            // Somebody may take the port in between: then once more.
            let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("it");
            let host = format!("127.0.0.1:{}", port.port());
            fs::write(folder.path().join("config.yml"), config(folder.path(), &host, &setup))
                .expect("write");
            let log = fs::File::create(folder.path().join("log")).expect("a log");
            let mut child = Command::new(&program)
                .arg("serve")
                .arg(folder.path().join("config.yml"))
                .env("OTEL_TRACES_EXPORTER", "none")
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
                .expect("docker-registry starts");
            if listens(&host, &mut child).await {
                return Some(Self { child, host, folder });
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        panic!("the registry does not start: {log}");
    }

    pub fn place(&self, path: &str) -> Repository {
        format!("{}/{path}", self.host).parse().expect("a place")
    }

    pub fn image(&self, rest: &str) -> Reference {
        format!("{}/{rest}", self.host).parse().expect("a name")
    }

    /// Removes a manifest, as who cleans up does.
    pub async fn delete(&self, reference: &Reference) {
        let digest = reference.digest().expect("a digest");
        let url =
            format!("http://{}/v2/{}/manifests/{digest}", self.host, reference.repository().path());
        let answer = reqwest::Client::new().delete(url).send().await.expect("an answer");
        assert_eq!(answer.status(), 202);
    }

    /// Bytes that it keeps of blobs.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config(folder: &Path, host: &str, setup: &Setup) -> String {
    let at = |name: &str| folder.join(name).display().to_string();
    let mut text = format!(
        "version: 0.1\nlog: {{level: info}}\nstorage:\n  filesystem: {{rootdirectory: '{}'}}\n  delete: {{enabled: true}}\nhttp:\n  addr: {host}\n",
        at("data")
    );
    if let Some((certificate, key)) = &setup.tls {
        fs::write(at("cert.pem"), certificate).expect("write");
        fs::write(at("key.pem"), key).expect("write");
        text +=
            &format!("  tls: {{certificate: '{}', key: '{}'}}\n", at("cert.pem"), at("key.pem"));
    }
    if setup.login {
        fs::write(at("htpasswd"), HTPASSWD).expect("write");
        text += &format!("auth:\n  htpasswd: {{realm: test, path: '{}'}}\n", at("htpasswd"));
    }
    text
}

async fn listens(host: &str, child: &mut Child) -> bool {
    let until = Instant::now() + Duration::from_secs(20);
    while Instant::now() < until && matches!(child.try_wait(), Ok(None)) {
        if tokio::net::TcpStream::connect(host).await.is_ok() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

pub fn client(credentials: Credentials) -> Client {
    Client::new(credentials, quick()).expect("a client")
}

pub fn anonymous() -> Client {
    client(Credentials::anonymous())
}

/// The usual options with short pauses.
pub fn quick() -> Options {
    Options { pause: Duration::from_millis(10), ..Options::default() }
}

pub fn amd64() -> Platform {
    "linux/amd64".parse().expect("a platform")
}

pub fn write(root: &Path, name: &str, content: impl AsRef<[u8]>, mode: u32) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
    fs::write(&path, content).expect("write");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
}

pub const LONG: &str = "deep/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb/c";

/// A small program with what surrounds it; `version` is in it.
pub fn shop(root: &Path, version: &str) {
    write(root, "shop", format!("#!/bin/sh\necho {version}\n"), 0o755);
    write(root, "assets/a.css", "body {}\n", 0o644);
    write(root, "assets-2/b.css", "p {}\n", 0o644);
    write(root, "empty", "", 0o644);
    write(root, LONG, "deep\n", 0o644);
    symlink("assets/a.css", root.join("main.css")).expect("link");
}

/// Packs a folder, as a release does.
pub async fn packed(root: &Path, to: &Path) -> PathBuf {
    let archive = to.join("artifact.tar.zst");
    let source = ArtifactSource { root: root.to_owned(), ..ArtifactSource::default() };
    pack(&source, &archive).await.expect("pack");
    archive
}

/// An image of [`shop()`].
pub async fn image(version: &str) -> Built {
    image_on(Base::Scratch, version).await
}

pub async fn image_on(base: Base, version: &str) -> Built {
    let (root, work) = (tempfile::tempdir().expect("root"), tempfile::tempdir().expect("work"));
    shop(root.path(), version);
    let archive = packed(root.path(), work.path()).await;
    let config = ImageConfig::new(amd64());
    // The layer outlives this function, and the work folder does not.
    let build = Build { archive, base, config, work: std::env::temp_dir() };
    build_image(build).await.expect("an image")
}

/// Keeps what it is told.
pub fn progress() -> (OnProgress, Arc<Mutex<Vec<Progress>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let keep = seen.clone();
    (Arc::new(move |it| keep.lock().expect("not poisoned").push(it)), seen)
}

pub fn silent() -> OnProgress {
    Arc::new(|_| {})
}

/// Bytes that do not compress, the same each time.
pub fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..size).map(|_| next()).collect()
}
