//! Packing is deterministic, unpacking trusts nothing.

mod common;

use landfall_store::artifact::{
    ArtifactError, ArtifactSource, Limits, Packed, pack, remove, unpack, unpack_within,
};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tar::{Builder, EntryType, Header};

fn source(root: &Path) -> ArtifactSource {
    ArtifactSource { root: root.to_owned(), ..ArtifactSource::default() }
}

fn write(root: &Path, name: &str, text: &str, mode: u32) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
    fs::write(&path, text).expect("write");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
}

const LONG: &str = "deep/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb/c";

fn shop(root: &Path) {
    write(root, "shop", "#!/bin/sh\nexec true\n", 0o755);
    write(root, "assets/a.css", "body {}\n", 0o644);
    write(root, "assets-2/b.css", "p {}\n", 0o644);
    write(root, ".env.example", "LOG=info\n", 0o644);
    write(root, LONG, "deep\n", 0o644);
    symlink("assets/a.css", root.join("main.css")).expect("link");
}

async fn packed(source: &ArtifactSource) -> Packed {
    let folder = tempfile::tempdir().expect("a folder");
    pack(source, &folder.path().join("archive")).await.expect("pack")
}

/// The names in an archive, in its order.
fn names(archive: &Path) -> Vec<String> {
    let file = fs::File::open(archive).expect("open");
    let mut archive = tar::Archive::new(zstd::stream::read::Decoder::new(file).expect("zstd"));
    let entries = archive.entries().expect("entries");
    entries.map(|e| e.expect("entry").path().expect("path").display().to_string()).collect()
}

async fn packed_names(source: &ArtifactSource) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = folder.path().join("archive");
    pack(source, &archive).await.expect("pack");
    names(&archive)
}

#[tokio::test]
async fn the_same_content_has_the_same_digest() {
    let (one, two) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two"));
    shop(one.path());
    // The same, made in another order, at another time, with other modes, and an empty folder.
    symlink("assets/a.css", two.path().join("main.css")).expect("link");
    write(two.path(), LONG, "deep\n", 0o600);
    write(two.path(), "assets-2/b.css", "p {}\n", 0o666);
    write(two.path(), "assets/a.css", "body {}\n", 0o640);
    write(two.path(), ".env.example", "LOG=info\n", 0o444);
    write(two.path(), "shop", "#!/bin/sh\nexec true\n", 0o700);
    fs::create_dir(two.path().join("empty")).expect("a folder");
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for name in ["shop", "assets/a.css"] {
        let file = fs::File::options().append(true).open(two.path().join(name)).expect("open");
        file.set_modified(old).expect("touch");
    }
    let (first, second) = (packed(&source(one.path())).await, packed(&source(two.path())).await);
    assert_eq!(first, second);
    assert_eq!(first.entries, 6);
    write(two.path(), "shop", "#!/bin/sh\nexec true\n", 0o644);
    assert_ne!(packed(&source(two.path())).await.digest, first.digest, "the executable bit counts");
    // What a known tree has had since format 1. When an upgrade of zstd changes it, say so in the
    // change log: every artifact is uploaded anew once.
    assert_eq!(first.digest.to_string(), KNOWN);
}

const KNOWN: &str = "sha256:0a404256f0ad3ea6c9f0e6ba17b35361dd6f2d66817391c83a6061373fbff495";

#[tokio::test]
async fn it_comes_back_read_only_and_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, archive, to) =
        (folder.path().join("from"), folder.path().join("a"), folder.path().join("to"));
    shop(&from);
    pack(&source(&from), &archive).await.expect("pack");
    unpack(&archive, &to).await.expect("unpack");
    let mode = |name: &str| {
        fs::symlink_metadata(to.join(name)).expect("there").permissions().mode() & 0o7777
    };
    assert_eq!((mode("shop"), mode("assets/a.css"), mode("assets")), (0o555, 0o444, 0o555));
    assert_eq!(fs::read_to_string(to.join(LONG)).expect("read"), "deep\n");
    assert_eq!(fs::read_link(to.join("main.css")).expect("a link"), Path::new("assets/a.css"));
    assert_eq!(packed(&source(&to)).await, packed(&source(&from)).await);
    assert!(unpack(&archive, &to).await.is_err(), "never over something");
    let names: Vec<_> = fs::read_dir(folder.path()).expect("read").collect();
    assert_eq!(names.len(), 3, "nothing is left behind: {names:?}");
    remove(&to).await.expect("remove");
    remove(&to).await.expect("and again");
    assert!(!to.exists());
}

#[tokio::test]
async fn ignore_files_include_and_exclude_decide() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("app");
    for name in [
        "app.js",
        "node_modules/x/y.js",
        "build/out.js",
        "build/map/out.map",
        "secret.key",
        "sub/local.log",
        ".git/config",
    ] {
        write(&root, name, name, 0o644);
    }
    write(&root, ".gitignore", "/build\nnode_modules/\n*.key\n", 0o644);
    write(&root, "sub/.gitignore", "*.log\n", 0o644);
    // Above the folder, and of another tool: these do not count.
    write(folder.path(), ".gitignore", "*.js\n", 0o644);
    write(&root, ".ignore", "app.js\n", 0o644);
    let plain = source(&root);
    let base = [".gitignore", ".ignore", "app.js", "sub/.gitignore"];
    assert_eq!(packed_names(&plain).await, base);
    let with = ArtifactSource {
        include: vec!["build/".to_owned(), "sub/*.log".to_owned()],
        exclude: vec!["*.map".to_owned(), "/.ignore".to_owned()],
        ..plain.clone()
    };
    let expected = [".gitignore", "app.js", "build/out.js", "sub/.gitignore", "sub/local.log"];
    assert_eq!(packed_names(&with).await, expected);
    let none = ArtifactSource { exclude: vec!["*".to_owned()], ..plain.clone() };
    let error = pack(&none, &folder.path().join("a")).await.expect_err("empty");
    assert!(matches!(error, ArtifactError::Empty(_)), "{error}");
    let wrong = ArtifactSource { include: vec!["[z-a]".to_owned()], ..plain };
    let error = pack(&wrong, &folder.path().join("a")).await.expect_err("a pattern");
    assert!(matches!(error, ArtifactError::Pattern { .. }), "{error}");
}

#[tokio::test]
async fn files_and_archives_are_artifacts_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    write(folder.path(), "bin/shop", "binary", 0o755);
    assert_eq!(packed_names(&source(&path("bin/shop"))).await, ["shop"]);
    shop(&path("tree"));
    let expected = packed(&source(&path("tree"))).await;
    let mut plain = Vec::new();
    {
        let mut tar = Builder::new(&mut plain);
        tar.follow_symlinks(false);
        tar.append_dir_all(".", path("tree")).expect("tar");
        tar.finish().expect("tar");
    }
    fs::write(path("a.tar"), &plain).expect("write");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &plain).expect("gzip");
    fs::write(path("a.tgz"), gzip.finish().expect("gzip")).expect("write");
    fs::write(path("a.tar.zst"), zstd::encode_all(&plain[..], 1).expect("zstd")).expect("write");
    for name in ["a.tar", "a.tgz", "a.tar.zst"] {
        assert_eq!(packed(&source(&path(name))).await, expected, "{name}");
    }
    fs::write(path("a.zip"), "PK").expect("write");
    let error = pack(&source(&path("a.zip")), &path("x")).await.expect_err("zip").to_string();
    assert!(error.contains("a.zip") && error.contains(".tar.gz"), "{error}");
    fs::write(path("cut.tar.gz"), &fs::read(path("a.tgz")).expect("read")[..200]).expect("write");
    let error = pack(&source(&path("cut.tar.gz")), &path("x")).await.expect_err("cut");
    assert!(matches!(error, ArtifactError::Damaged { .. }), "{error}");
    assert!(!path("x").exists() && !path("x.unpacked").exists());
}

#[tokio::test]
async fn what_cannot_be_the_same_elsewhere_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("app");
    write(&root, "a", "a", 0o644);
    symlink("/etc/hostname", root.join("outside")).expect("link");
    let error =
        pack(&source(&root), &folder.path().join("x")).await.expect_err("a link").to_string();
    assert!(error.contains("outside") && error.contains("/etc/hostname"), "{error}");
    fs::remove_file(root.join("outside")).expect("remove");
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).expect("bind");
    let error = pack(&source(&root), &folder.path().join("x")).await.expect_err("a socket");
    assert!(error.to_string().contains("socket"), "{error}");
    let missing = pack(&source(&folder.path().join("no")), &folder.path().join("x")).await;
    assert!(missing.expect_err("nothing").to_string().contains("/no"));
}

#[tokio::test]
async fn a_file_that_changes_meanwhile_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("app");
    fs::create_dir(&root).expect("a folder");
    // A large one, so that the writer below certainly writes while it is read.
    let large = root.join("large");
    fs::write(&large, vec![7_u8; 32 << 20]).expect("write");
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = std::thread::spawn({
        let stop = std::sync::Arc::clone(&stop);
        move || {
            let file = fs::File::options().write(true).open(&large).expect("open");
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                std::os::unix::fs::FileExt::write_at(&file, b"changed", 0).expect("write");
            }
        }
    });
    let result = pack(&source(&root), &folder.path().join("x")).await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().expect("the writer");
    assert!(matches!(result, Err(ArtifactError::Changed(_))), "{result:?}");
    assert!(!folder.path().join("x").exists(), "no half archive is left");
}

/// An entry with any name, as no honest program writes it.
fn entry(kind: EntryType, name: &str, link: &str, content: &[u8]) -> (Header, Vec<u8>) {
    let mut header = Header::new_gnu();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o777);
    header.set_size(content.len() as u64);
    header.set_cksum();
    (header, content.to_vec())
}

fn attack(path: &Path, entries: &[(Header, Vec<u8>)]) {
    let file = fs::File::create(path).expect("create");
    let mut tar = Builder::new(zstd::stream::write::Encoder::new(file, 1).expect("zstd"));
    for (header, content) in entries {
        tar.append(header, &content[..]).expect("append");
    }
    tar.into_inner().expect("tar").finish().expect("zstd");
}

#[tokio::test]
async fn no_archive_writes_outside_of_its_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| entry(EntryType::Regular, name, "", b"owned");
    let link = |name: &str, target: &str| entry(EntryType::Symlink, name, target, b"");
    let attacks = [
        ("up", vec![file("../victim/x")]),
        ("inside up", vec![file("a/../../victim/x")]),
        ("absolute", vec![file("/tmp/landfall-victim")]),
        ("link up", vec![link("a", "../victim"), file("a/x")]),
        ("absolute link", vec![link("a", "/tmp"), file("a/landfall-victim")]),
        ("file through a link", vec![file("b/y"), link("a", "b"), file("a/x")]),
        ("link through a link", vec![file("b/y"), link("a", "b"), link("a/x", "y")]),
        ("climbing a link", vec![link("s", "."), link("l", "s/../victim")]),
        ("twice", vec![file("a"), file("a")]),
        ("file then folder", vec![file("a"), file("a/b")]),
        ("link over a file", vec![file("a"), link("a", "b")]),
        ("hard link", vec![entry(EntryType::Link, "a", "/etc/passwd", b"")]),
        ("device", vec![entry(EntryType::Char, "null", "", b"")]),
        ("pipe", vec![entry(EntryType::Fifo, "pipe", "", b"")]),
        ("no name", vec![file(".")]),
    ];
    let victim = folder.path().join("victim");
    fs::create_dir(&victim).expect("a folder");
    for (name, entries) in attacks {
        let archive = folder.path().join("attack");
        attack(&archive, &entries);
        let to = folder.path().join("to");
        let error = unpack(&archive, &to).await.expect_err(name);
        assert!(matches!(error, ArtifactError::Entry { .. }), "{name}: {error}");
        assert!(!to.exists(), "{name}");
        assert_eq!(fs::read_dir(&victim).expect("read").count(), 0, "{name}");
        assert!(!Path::new("/tmp/landfall-victim").exists(), "{name}");
        let left: Vec<PathBuf> =
            fs::read_dir(folder.path()).expect("read").map(|e| e.expect("entry").path()).collect();
        assert_eq!(left.len(), 2, "{name} left {left:?}");
    }
}

#[tokio::test]
async fn bombs_and_damage_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let from = path("from");
    shop(&from);
    pack(&source(&from), &path("good")).await.expect("pack");
    let few = Limits { entries: 3, bytes: 1 << 20 };
    let error = unpack_within(&path("good"), &path("to"), few).await.expect_err("entries");
    assert!(matches!(error, ArtifactError::TooLarge(_)), "{error}");
    write(&from, "zeroes", &"0".repeat(2 << 20), 0o644);
    pack(&source(&from), &path("large")).await.expect("pack");
    let small = Limits { entries: 100, bytes: 1 << 20 };
    let error = unpack_within(&path("large"), &path("to"), small).await.expect_err("bytes");
    assert!(matches!(error, ArtifactError::TooLarge(_)), "{error}");
    let good = fs::read(path("good")).expect("read");
    for length in [0, 1, 10, good.len() / 2, good.len() - 1] {
        fs::write(path("cut"), &good[..length]).expect("write");
        let error = unpack(&path("cut"), &path("to")).await.expect_err("cut");
        assert!(matches!(error, ArtifactError::Damaged { .. }), "{length}: {error}");
        assert!(!path("to").exists());
    }
}
