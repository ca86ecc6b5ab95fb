//! Images are made of artifacts: the same bytes each time, and nothing dangerous in them.

mod common;

use common::{LONG, amd64, noise, packed, shop, write};
use landfall_registry::{Base, Build, Built, ImageConfig, ImageError, build_image};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use tar::{Archive, Builder, EntryType, Header};
use tempfile::TempDir;

async fn build(archive: &Path, work: &TempDir) -> Result<Built, ImageError> {
    build_image(Build {
        archive: archive.to_owned(),
        base: Base::Scratch,
        config: ImageConfig::new(amd64()),
        work: work.path().to_owned(),
    })
    .await
}

/// An entry of an archive: kind, name, mode, and content or target.
type Entry<'a> = (EntryType, &'a str, u32, &'a str);

fn archive(to: &Path, entries: &[Entry<'_>]) {
    let encoder = zstd::stream::write::Encoder::new(File::create(to).expect("create"), 3);
    let mut builder = Builder::new(encoder.expect("zstd"));
    for (index, (kind, name, mode, content)) in entries.iter().enumerate() {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        // Whose it was and when must not count.
        header.set_uid(1000 + index as u64);
        header.set_mtime(1_700_000_000 + index as u64);
        match kind {
            EntryType::Symlink | EntryType::Link => {
                header.set_size(0);
                builder.append_link(&mut header, name, content).expect("append");
            }
            _ if name.contains("..") || name.starts_with('/') => {
                // The builder refuses such a name, others do not.
                header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
                header.set_size(content.len() as u64);
                header.set_cksum();
                builder.append(&header, content.as_bytes()).expect("append");
            }
            _ => {
                header.set_size(content.len() as u64);
                builder.append_data(&mut header, name, content.as_bytes()).expect("append");
            }
        }
    }
    builder.into_inner().expect("tar").finish().expect("zstd");
}

const FILE: EntryType = EntryType::Regular;

#[tokio::test]
async fn the_same_content_is_the_same_image() {
    let (one, two, work) = (tempdir(), tempdir(), tempdir());
    shop(one.path(), "1");
    let first = packed(one.path(), work.path()).await;
    let first_built = build(&first, &work).await.expect("an image");
    let again = build(&first, &work).await.expect("an image");
    assert_eq!(first_built.digest(), again.digest());
    assert_eq!(first_built.manifest(), again.manifest());
    assert_eq!(first_built.config(), again.config());
    assert_eq!(first_built.layer_digest(), again.layer_digest());

    // The same in another order, with times, owners, folders and modes of its own.
    let permuted = two.path().join("artifact.tar.zst");
    let entries = [
        (EntryType::Symlink, "main.css", 0o777, "assets/a.css"),
        (FILE, "shop", 0o700, "#!/bin/sh\necho 1\n"),
        (FILE, LONG, 0o600, "deep\n"),
        (FILE, "assets/a.css", 0o664, "body {}\n"),
        (FILE, "empty", 0o444, ""),
        (EntryType::Directory, "./assets-2/", 0o700, ""),
        (FILE, "./assets-2/b.css", 0o644, "p {}\n"),
    ];
    archive(&permuted, &entries);
    let other = build(&permuted, &work).await.expect("an image");
    assert_eq!(other.layer_digest(), first_built.layer_digest());
    assert_eq!(other.digest(), first_built.digest());
    let mut reversed = entries;
    reversed.reverse();
    archive(&permuted, &reversed);
    assert_eq!(build(&permuted, &work).await.expect("an image").digest(), other.digest());

    // What a known tree has. When an upgrade of the compressor changes it, say so in the change
    // log: every layer is sent anew once.
    assert_eq!(first_built.digest().to_string(), KNOWN);

    reversed[5].2 = 0o644;
    assert_eq!(reversed[5].1, "shop");
    archive(&permuted, &reversed);
    let plain = build(&permuted, &work).await.expect("an image");
    assert_ne!(plain.digest(), other.digest(), "the executable bit counts");
}

const KNOWN: &str = "sha256:b150035101b942bb14a889ce031a2e0146c05882ca6d57c85879d295f7fcadd4";

/// The folder of a name.
fn above(name: &str) -> &str {
    name.rsplit_once('/').expect("a folder").0
}

fn tempdir() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

#[tokio::test]
async fn a_layer_is_in_order_and_belongs_to_root() {
    let (root, work) = (tempdir(), tempdir());
    shop(root.path(), "1");
    let archive = packed(root.path(), work.path()).await;
    let built = build(&archive, &work).await.expect("an image");
    // The one file that is left in the work folder beside the archive is the layer.
    let layers = || {
        fs::read_dir(work.path())
            .expect("the folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| *path != archive)
            .collect::<Vec<_>>()
    };
    let [layer] = &layers()[..] else { panic!("{:?}", layers()) };
    assert_eq!(fs::metadata(layer).expect("it").len(), built.layer_size());
    let layer = File::open(layer).expect("open");
    let mut entries = Vec::new();
    for entry in Archive::new(flate2::read::GzDecoder::new(layer)).entries().expect("entries") {
        let mut entry = entry.expect("an entry");
        let header = entry.header();
        assert_eq!((header.uid().expect("uid"), header.gid().expect("gid")), (0, 0));
        assert_eq!(header.mtime().expect("mtime"), 0);
        let mode = header.mode().expect("mode");
        let name = entry.path().expect("a name").display().to_string();
        let mut content = String::new();
        entry.read_to_string(&mut content).expect("content");
        entries.push((name, mode, content.len()));
    }
    let expected = [
        ("app/", 0o755, 0),
        ("app/assets/", 0o755, 0),
        ("app/assets-2/", 0o755, 0),
        ("app/assets-2/b.css", 0o644, 5),
        ("app/assets/a.css", 0o644, 8),
        ("app/deep/", 0o755, 0),
        (&format!("app/{}/", above(above(LONG))), 0o755, 0),
        (&format!("app/{}/", above(LONG)), 0o755, 0),
        (&format!("app/{LONG}"), 0o644, 5),
        ("app/empty", 0o644, 0),
        ("app/main.css", 0o777, 0),
        ("app/shop", 0o755, 17),
    ];
    let entries: Vec<_> =
        entries.iter().map(|(n, mode, size)| (n.as_str(), *mode, *size)).collect();
    assert_eq!(entries, expected);
    drop(built);
    assert!(layers().is_empty(), "the layer goes with the image");
}

#[tokio::test]
async fn what_no_image_can_have_is_refused() {
    let work = tempdir();
    let path = work.path().join("artifact.tar.zst");
    for (entries, part) in [
        (vec![(FILE, "data/.wh.old", 0o644, "")], "mark of deletion"),
        (vec![(FILE, ".wh.dir/a", 0o644, "")], "mark of deletion"),
        (vec![(FILE, "../etc/passwd", 0o644, "x")], "leads out of the folder"),
        (vec![(FILE, "/etc/passwd", 0o644, "x")], "leads out of the folder"),
        (vec![(FILE, "a", 0o644, "1"), (FILE, "a", 0o644, "2")], "there twice"),
        (vec![(FILE, "a", 0o644, "1"), (FILE, "a/b", 0o644, "2")], "no folder"),
        (vec![(FILE, "a/b", 0o644, "1"), (FILE, "a", 0o644, "2")], "there twice"),
        (vec![(EntryType::Symlink, "a", 0, "/etc"), (FILE, "a/b", 0o644, "2")], "no folder"),
        (vec![(EntryType::Link, "a", 0o644, "b")], "hard link"),
        (vec![(EntryType::Fifo, "a", 0o644, "")], "neither a file"),
    ] {
        archive(&path, &entries);
        let error = build(&path, &work).await.expect_err(part);
        assert!(matches!(error, ImageError::Entry { .. }), "{error:?}");
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(fs::read_dir(work.path()).expect("it").count(), 1, "nothing is left");
}

#[tokio::test]
async fn a_damaged_archive_is_no_image() {
    let (root, work) = (tempdir(), tempdir());
    write(root.path(), "noise", noise(200_000), 0o644);
    let archive = packed(root.path(), work.path()).await;
    let whole = fs::read(&archive).expect("read");
    for bytes in [&whole[..whole.len() / 2], &whole[..10], b"no archive at all"] {
        fs::write(&archive, bytes).expect("write");
        let error = build(&archive, &work).await.expect_err("damaged");
        assert!(matches!(error, ImageError::Archive { .. }), "{error:?}");
    }
    fs::remove_file(&archive).expect("remove");
    let error = build(&archive, &work).await.expect_err("not there").to_string();
    assert!(error.contains("artifact.tar.zst"), "{error}");
}

#[tokio::test]
async fn the_configuration_says_how_it_runs() {
    let (root, work) = (tempdir(), tempdir());
    shop(root.path(), "1");
    let archive = packed(root.path(), work.path()).await;
    let mut config = ImageConfig::new(amd64());
    config.workdir = "/srv/shop".to_owned();
    config.environment = [("LOG".to_owned(), "info".to_owned())].into();
    config.labels = [("app".to_owned(), "shop".to_owned())].into();
    config.port = Some(8080);
    config.stop_signal = Some("SIGINT".to_owned());
    let work = work.path().to_owned();
    let build = Build { archive, base: Base::Scratch, config, work };
    let built = build_image(build.clone()).await.expect("an image");
    let json: serde_json::Value = serde_json::from_slice(built.config().0).expect("JSON");
    assert_eq!(json["architecture"], "amd64");
    assert_eq!(json["os"], "linux");
    let expected = serde_json::json!({
        "User": "10001:10001", "WorkingDir": "/srv/shop", "Env": ["LOG=info"],
        "Labels": {"app": "shop"}, "ExposedPorts": {"8080/tcp": {}}, "StopSignal": "SIGINT"
    });
    assert_eq!(json["config"], expected);
    let mut wrong = build;
    wrong.config.workdir = "srv".to_owned();
    let error = build_image(wrong).await.expect_err("no absolute path").to_string();
    assert!(error.contains("working folder \"srv\""), "{error}");
}
