//! Images go to a real registry, and others read them from there.

mod common;

use common::{Registry, amd64, anonymous, image, image_on, progress, shop, silent};
use landfall_registry::{Base, Built, Reference, Tag};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::manifest::OciImageManifest;
use oci_client::secrets::RegistryAuth;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

fn tag(text: &str) -> Tag {
    text.parse().expect("a tag")
}

/// Reads an image with a client that has nothing in common with ours, and unpacks its layers.
async fn pulled(reference: &Reference) -> (OciImageManifest, serde_json::Value, TempDir) {
    let config = ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() };
    let client = oci_client::Client::new(config);
    let image: oci_client::Reference = reference.to_string().parse().expect("a name");
    let (manifest, digest, config) =
        client.pull_manifest_and_config(&image, &RegistryAuth::Anonymous).await.expect("pull");
    assert_eq!(Some(digest), reference.digest().map(|digest| digest.to_string()));
    let folder = tempfile::tempdir().expect("a folder");
    for layer in &manifest.layers {
        let mut bytes = Vec::new();
        client.pull_blob(&image, layer, &mut bytes).await.expect("a layer");
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
        archive.set_preserve_permissions(true);
        archive.unpack(folder.path()).expect("unpack");
    }
    (manifest, serde_json::from_str(&config).expect("JSON"), folder)
}

/// What a folder holds: names, modes of files, and contents or targets.
fn tree(root: &Path) -> Vec<(String, u32, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(root).expect("below").display().to_string();
            let metadata = fs::symlink_metadata(&path).expect("metadata");
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.is_symlink() {
                let target = fs::read_link(&path).expect("a link");
                found.push((name, 0, target.display().to_string().into_bytes()));
            } else {
                let mode = metadata.permissions().mode() & 0o777;
                found.push((name, mode, fs::read(&path).expect("read")));
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn what_is_pushed_is_what_was_packed() {
    let Some(registry) = Registry::start("what_is_pushed_is_what_was_packed").await else { return };
    let (client, place) = (anonymous(), registry.place("team/shop"));
    let built = image("1").await;
    let (on_progress, seen) = progress();
    let pushed = client.push(&built, &place, Some(&tag("1")), &on_progress).await.expect("push");
    assert_eq!(pushed, place.at(built.digest()));
    let last = seen.lock().expect("not poisoned").last().copied().expect("progress");
    let total = built.layer_size() + built.config().0.len() as u64;
    assert_eq!((last.done, last.total, last.there), (total, total, 0));

    let (manifest, config, folder) = pulled(&pushed).await;
    let original = tempfile::tempdir().expect("a folder");
    shop(original.path(), "1");
    assert_eq!(tree(&folder.path().join("app")), tree(original.path()));
    assert_eq!(manifest.layers.len(), 1);
    assert_eq!(config["config"]["WorkingDir"], "/app");
    assert_eq!(config["config"]["User"], "10001:10001");
    assert!(config["config"].get("Entrypoint").is_none() && config["config"].get("Cmd").is_none());
    assert_eq!(read_by_skopeo(&pushed), Some(built.digest().to_string()).filter(|_| skopeo()));

    // Once more: nothing is sent, and nothing changes.
    let (on_progress, seen) = progress();
    let again = client.push(&built, &place, None, &on_progress).await.expect("push");
    assert_eq!(again, pushed);
    let last = seen.lock().expect("not poisoned").last().copied().expect("progress");
    assert_eq!((last.done, last.there), (total, total));
    let log = registry.log();
    let puts = |what: &str| {
        let put = |line: &&str| line.contains("method=PUT") && line.contains(what);
        log.lines().filter(put).filter(|line| line.contains("response completed")).count()
    };
    assert_eq!((puts("/blobs/uploads/"), puts("/manifests/")), (2, 2), "{log}");
}

fn skopeo() -> bool {
    common::installed("skopeo").is_some()
}

/// The digest that another program sees, if it is installed.
fn read_by_skopeo(reference: &Reference) -> Option<String> {
    if !skopeo() {
        common::skipped("read_by_skopeo", "skopeo is not installed");
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let copied = Command::new("skopeo")
        .args(["--insecure-policy", "copy", "--src-tls-verify=false"])
        .arg(format!("docker://{reference}"))
        .arg(format!("oci:{}:it", folder.path().display()))
        .output()
        .expect("skopeo");
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    let index = fs::read(folder.path().join("index.json")).expect("an index");
    let index: serde_json::Value = serde_json::from_slice(&index).expect("JSON");
    index["manifests"][0]["digest"].as_str().map(str::to_owned)
}

async fn base_of(registry: &Registry) -> (Base, Built) {
    let built = image("base").await;
    let client = anonymous();
    let place = registry.place("bases/small");
    client.push(&built, &place, Some(&tag("1")), &silent()).await.expect("push");
    let base = client.base(&registry.image("bases/small:1"), &amd64()).await.expect("a base");
    (base, built)
}

async fn is_on_its_base(pushed: &Reference, base: &Built) {
    let (manifest, config, folder) = pulled(pushed).await;
    assert_eq!(manifest.layers.len(), 2);
    assert_eq!(manifest.layers[0].digest, base.layer_digest().to_string());
    let annotations = manifest.annotations.expect("annotations");
    assert_eq!(annotations["org.opencontainers.image.base.digest"], base.digest().to_string());
    let layers = config["rootfs"]["diff_ids"].as_array().expect("layers");
    assert_eq!(layers.len(), 2);
    assert_eq!(config["history"].as_array().map(Vec::len), Some(2));
    let text = fs::read_to_string(folder.path().join("app/shop")).expect("the upper one");
    assert!(text.contains("echo above"), "{text}");
}

#[tokio::test]
async fn a_base_in_the_same_registry_is_mounted() {
    let test = "a_base_in_the_same_registry_is_mounted";
    let Some(registry) = Registry::start(test).await else { return };
    let (base, below) = base_of(&registry).await;
    let built = image_on(base, "above").await;
    let (on_progress, seen) = progress();
    let place = registry.place("team/shop");
    let pushed = anonymous().push(&built, &place, None, &on_progress).await.expect("push");
    let last = seen.lock().expect("not poisoned").last().copied().expect("progress");
    assert_eq!(last.there, below.layer_size(), "it was not sent");
    is_on_its_base(&pushed, &below).await;
}

#[tokio::test]
async fn a_base_elsewhere_is_copied() {
    let test = "a_base_elsewhere_is_copied";
    let Some(registry) = Registry::start(test).await else { return };
    let Some(other) = Registry::start(test).await else { return };
    let (base, below) = base_of(&other).await;
    let built = image_on(base, "above").await;
    let (on_progress, seen) = progress();
    let place = registry.place("team/shop");
    let pushed = anonymous().push(&built, &place, None, &on_progress).await.expect("push");
    let last = seen.lock().expect("not poisoned").last().copied().expect("progress");
    assert_eq!((last.done, last.there), (last.total, 0));
    is_on_its_base(&pushed, &below).await;

    // A base that went away is blamed on where it was, and nothing is half there.
    let gone =
        image_on(anonymous().base(&other.image("bases/small:1"), &amd64()).await.expect("it"), "2")
            .await;
    let name = other.host.clone();
    drop(other);
    let place = registry.place("team/new");
    let error = anonymous().push(&gone, &place, None, &silent()).await.expect_err("it is gone");
    let text = error.to_string();
    assert!(text.contains("cannot copy") && text.contains(&name), "{text}");
    assert!(!anonymous().exists(&place.at(gone.digest())).await.expect("an answer"));
}
