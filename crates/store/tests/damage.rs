//! What stands in the way of a store: each a clear error that names the object, and nothing lost.

mod common;

use async_trait::async_trait;
use bytes::Bytes;
use common::{key, sealed, skipped, stack};
use landfall_model::{ReleaseNumber, Sequence};
use landfall_store::{Backend, Folder, Key, Memory, Put, Result, Sealed, Store, StoreError};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

async fn open(path: &Path) -> Result<Store> {
    Store::open(Arc::new(Folder::open(path)?)).await
}

const RELEASES: &str = "stacks/shop/prod/releases";

fn release_file(root: &Path, number: u64) -> PathBuf {
    root.join(format!("{RELEASES}/{number:020}"))
}

async fn with_releases(root: &Path, count: u64) -> Store {
    let store = open(root).await.expect("open");
    for number in 1..=count {
        store.seal(&sealed(&stack("shop", "prod"), number, &[])).await.expect("seal");
    }
    store
}

#[tokio::test]
async fn a_truncated_release_is_named_and_the_others_stay_readable() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = with_releases(folder.path(), 3).await;
    let shop = stack("shop", "prod");
    let file = release_file(folder.path(), 3);
    let whole = fs::read(&file).expect("read");
    for length in [0, 5, 60, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &whole[..length]).expect("write");
        let error = store.head(&shop).await.expect_err("cut");
        assert!(matches!(error, StoreError::Corrupt { .. }), "{length}: {error}");
        assert!(error.to_string().contains("releases/00000000000000000003"), "{error}");
    }
    assert!(store.release(&shop, ReleaseNumber(2)).await.expect("get").is_some());
    // A damaged number is not written over either.
    let error = store.prune(&shop, 1, &[].into(), false).await.expect_err("unknown needs");
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert!(store.release(&shop, ReleaseNumber(1)).await.expect("get").is_some(), "not pruned");
}

#[tokio::test]
async fn foreign_files_are_told_or_passed_over_and_never_touched() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = with_releases(folder.path(), 2).await;
    let shop = stack("shop", "prod");
    let releases = folder.path().join(RELEASES);
    for name in [".DS_Store", ".nfs0001", "tmp-1-2-3"] {
        fs::write(releases.join(name), "x").expect("write");
        fs::write(folder.path().join(name), "x").expect("write");
    }
    assert_eq!(store.head(&shop).await.expect("head").expect("one").release.number.0, 2);
    store.prune(&shop, 1, &[].into(), false).await.expect("prune");
    for name in ["notes.txt", "00000000000000000002~", "3", "copy of 2"] {
        let path = releases.join(name);
        fs::write(&path, "x").expect("write");
        let error = store.releases(&shop, None, 10).await.expect_err(name);
        assert!(matches!(error, StoreError::Foreign { .. }), "{name}: {error}");
        assert!(
            error.to_string().contains(name) && error.to_string().contains("move it"),
            "{error}"
        );
        assert!(path.exists(), "{name} is not ours to delete");
        fs::remove_file(path).expect("remove");
    }
    std::os::unix::fs::symlink("/etc/passwd", release_file(folder.path(), 9)).expect("link");
    assert!(matches!(store.head(&shop).await, Err(StoreError::Foreign { .. })));
    assert!(releases.join(".DS_Store").exists() && folder.path().join(".DS_Store").exists());
}

#[tokio::test]
async fn a_folder_with_other_things_does_not_become_a_store() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["holiday.jpg", "my thesis.doc"] {
        let path = folder.path().join(name);
        fs::write(&path, "x").expect("write");
        let error = open(folder.path()).await.expect_err("not a store");
        assert!(matches!(&error, StoreError::NotAStore { .. }), "{error}");
        assert!(error.to_string().contains(name), "{error}");
        assert!(!folder.path().join("format").exists());
        fs::remove_file(path).expect("remove");
    }
    open(folder.path()).await.expect("an empty one does");
}

#[tokio::test]
async fn a_newer_store_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    with_releases(folder.path(), 1).await;
    let payload = r#"{"format":2}"#;
    let digest = landfall_store::seal::digest_of(payload.as_bytes());
    fs::write(
        folder.path().join("format"),
        format!("landfall store 1\ndigest: {digest}\n\n{payload}"),
    )
    .expect("write");
    let error = open(folder.path()).await.expect_err("newer");
    assert!(matches!(error, StoreError::NewerFormat { found: 2, known: 1, .. }), "{error}");
    assert!(error.to_string().contains("newer landfall"), "{error}");
}

#[tokio::test]
async fn damaged_blobs_are_refused_and_can_be_healed() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder.path().join("store")).await.expect("open");
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fs::write(&from, "the artifact").expect("write");
    let (digest, size) = store.put_blob_file(&from).await.expect("put");
    assert_eq!(size, 12);
    assert!(store.has_blob(&digest).await.expect("has"));
    store.fetch_blob(&digest, &to).await.expect("fetch");
    assert_eq!(fs::read(&to).expect("read"), b"the artifact");
    fs::remove_file(&to).expect("remove");
    let hex = digest.hex();
    let file = folder.path().join("store/blobs/sha256").join(&hex[..2]).join(&hex);
    for damage in ["the", "the artefact"] {
        fs::write(&file, damage).expect("write");
        let error = store.fetch_blob(&digest, &to).await.expect_err("damaged");
        assert!(
            matches!(&error, StoreError::Corrupt { object, .. } if object.contains(&hex)),
            "{error}"
        );
        assert!(store.read_blob(&digest).await.is_err());
        assert!(!to.exists());
    }
    fs::write(&file, "the").expect("write");
    store.put_blob_file(&from).await.expect("put again");
    assert_eq!(&store.read_blob(&digest).await.expect("read")[..], b"the artifact");
    let absent = common::blob("never uploaded");
    let error = store.fetch_blob(&absent, &to).await.expect_err("absent");
    assert!(matches!(error, StoreError::MissingBlob(digest) if digest == absent));
    let names = fs::read_dir(folder.path()).expect("read").count();
    assert_eq!(names, 2, "no half file is left");
}

#[tokio::test]
async fn old_temporary_files_are_cleared_and_new_ones_are_not() {
    let folder = tempfile::tempdir().expect("a folder");
    open(folder.path()).await.expect("open");
    let (old, new) = (folder.path().join(".work/tmp-old"), folder.path().join(".work/tmp-new"));
    for path in [&old, &new] {
        fs::write(path, "half").expect("write");
    }
    let file = fs::File::options().append(true).open(&old).expect("open");
    file.set_modified(SystemTime::now() - Duration::from_secs(2 * 60 * 60)).expect("touch");
    open(folder.path()).await.expect("open");
    assert!(!old.exists() && new.exists());
}

#[tokio::test]
async fn only_the_owner_can_look_in() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("store");
    with_releases(&root, 1).await;
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&root), mode(&root.join(RELEASES))), (0o700, 0o700));
    assert_eq!(mode(&release_file(&root, 1)), 0o600);
}

/// A file system of its own, unmounted at the end.
struct Mount(PathBuf);

impl Mount {
    /// Nothing when this machine does not let us mount.
    fn make(path: &Path, arguments: &[&str]) -> Option<Self> {
        let status = Command::new("mount").args(arguments).arg(path).output().ok()?;
        status.status.success().then(|| Self(path.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let small = folder.path().join("small");
    fs::create_dir(&small).expect("a folder");
    let Some(_mount) = Mount::make(&small, &["-t", "tmpfs", "-o", "size=512k", "tmpfs"]) else {
        return skipped("a_full_disk_is_told_and_loses_nothing", "no right to mount");
    };
    let store = with_releases(&small.join("store"), 3).await;
    let shop = stack("shop", "prod");
    let mut sequence = 0;
    let error = loop {
        sequence += 1;
        match store.append(&shop, Sequence(sequence), &vec![b'x'; 10_000]).await {
            Ok(put) => assert_eq!(put, Put::Created),
            Err(error) => break error,
        }
        assert!(sequence < 1000, "512 KiB are never full?");
    };
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert!(
        error.to_string().contains("journal") && error.to_string().contains("prune"),
        "{error}"
    );
    let large = folder.path().join("large");
    fs::write(&large, vec![b'x'; 1_000_000]).expect("write");
    let error = store.put_blob_file(&large).await.expect_err("full");
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    let left = fs::read_dir(small.join("store/.work")).expect("read").count();
    assert_eq!(left, 0, "no half file takes space");
    let last = store.last_entry(&shop).await.expect("last").expect("an entry");
    assert_eq!(last.0, Sequence(sequence - 1));
    assert_eq!(store.head(&shop).await.expect("head").expect("one").release.number.0, 3);
    store.trim_journal(&shop, 1).await.expect("trim");
    let put = store.append(&shop, Sequence(sequence), b"again").await.expect("space again");
    assert_eq!(put, Put::Created);
}

#[tokio::test]
async fn a_read_only_folder_can_be_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let (root, view) = (folder.path().join("store"), folder.path().join("view"));
    with_releases(&root, 2).await;
    fs::create_dir(&view).expect("a folder");
    let source = root.display().to_string();
    let mount = Mount::make(&view, &["--bind", &source]);
    let read_only = mount.is_some()
        && Command::new("mount")
            .args(["-o", "remount,ro,bind"])
            .arg(&view)
            .status()
            .is_ok_and(|status| status.success());
    if !read_only {
        return skipped("a_read_only_folder_can_be_read", "no right to mount");
    }
    let store = open(&view).await.expect("reading is enough to open");
    let shop = stack("shop", "prod");
    assert_eq!(store.head(&shop).await.expect("head").expect("one").release.number.0, 2);
    let error = store.seal(&sealed(&shop, 3, &[])).await.expect_err("read-only");
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
    let error = open(&view.join("new")).await.expect_err("nothing there");
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
    drop(mount);
}

/// A store whose put-if-absent lets everybody win, or only those that come at once.
struct Careless {
    inner: Memory,
    only_at_once: bool,
}

#[async_trait]
impl Backend for Careless {
    fn name(&self) -> String {
        "careless".to_owned()
    }
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.inner.get(key).await
    }
    async fn put_if_absent(&self, key: &Key, bytes: Bytes) -> Result<Put> {
        if self.only_at_once {
            if self.inner.get(key).await?.is_some() {
                return Ok(Put::Exists);
            }
            tokio::task::yield_now().await;
        }
        self.inner.overwrite(key, bytes);
        Ok(Put::Created)
    }
    async fn put_hint(&self, key: &Key, bytes: Bytes) -> Result<()> {
        self.inner.put_hint(key, bytes).await
    }
    async fn list(&self, prefix: &Key, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.inner.list(prefix, after, limit).await
    }
    async fn delete(&self, key: &Key) -> Result<()> {
        self.inner.delete(key).await
    }
}

#[tokio::test]
async fn a_store_where_two_writers_win_is_refused_before_anything_is_kept() {
    for only_at_once in [false, true] {
        let backend = Arc::new(Careless { inner: Memory::new(), only_at_once });
        let error =
            Store::open(Arc::clone(&backend) as Arc<dyn Backend>).await.expect_err("unsafe");
        assert!(matches!(error, StoreError::Unsafe { .. }), "{error}");
        assert!(error.to_string().contains("Google Cloud Storage"), "{error}");
        let left = backend.list(&Key::root(), None, 10).await.expect("list");
        assert!(left.is_empty(), "{left:?}");
    }
}

#[tokio::test]
async fn a_safe_store_is_tried_once() {
    let backend = Arc::new(landfall_store::Counted::new(Memory::new()));
    let as_backend = || Arc::clone(&backend) as Arc<dyn Backend>;
    Store::open(as_backend()).await.expect("open");
    assert!(backend.take().puts > 20, "it was tried");
    Store::open(as_backend()).await.expect("open");
    let requests = backend.take();
    assert_eq!((requests.puts, requests.total()), (0, 2), "{requests:?}");
    let store = Store::open(as_backend()).await.expect("open");
    let release = sealed(&stack("shop", "prod"), 1, &[]);
    assert_eq!(store.seal(&release).await.expect("seal"), Sealed::Created);
    assert!(backend.inner().get(&key("format")).await.expect("get").is_some());
}
