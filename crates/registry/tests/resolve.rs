//! Names against a real registry: what they stand for, and what they do not stand for any more.

mod common;

use common::{Registry, amd64, anonymous, image, image_on, quick, silent};
use landfall_registry::{Base, Client, Credentials, Missing, Options, RegistryError, Scheme, Tag};
use std::time::Duration;

fn tag(text: &str) -> Tag {
    text.parse().expect("a tag")
}

#[tokio::test]
async fn a_digest_stays_when_a_tag_moves() {
    let Some(registry) = Registry::start("a_digest_stays_when_a_tag_moves").await else { return };
    let (client, place) = (anonymous(), registry.place("team/shop"));
    let (one, two) = (image("1").await, image("2").await);
    for name in ["1.0", "latest"] {
        client.push(&one, &place, Some(&tag(name)), &silent()).await.expect("push");
    }
    let latest = registry.image("team/shop");
    let before = client.resolve(&latest).await.expect("resolve");
    assert_eq!(before.digest, one.digest());
    assert_eq!(before.platforms, [amd64()]);
    assert_eq!(before.media_type, "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(before.reference.to_string(), format!("{place}@{}", one.digest()));
    assert_eq!(client.resolve(&registry.image("team/shop:1.0")).await.expect("resolve"), before);

    client.push(&two, &place, Some(&tag("latest")), &silent()).await.expect("push");
    let after = client.resolve(&latest).await.expect("resolve");
    assert_eq!(after.digest, two.digest());
    assert_eq!(client.resolve(&before.reference).await.expect("resolve"), before, "by digest");
    assert_eq!(client.resolve(&registry.image("team/shop:1.0")).await.expect("it"), before);

    assert!(client.exists(&before.reference).await.expect("an answer"));
    registry.delete(&before.reference).await;
    assert!(!client.exists(&before.reference).await.expect("an answer"));
    assert!(client.exists(&after.reference).await.expect("an answer"));
    let error = client.resolve(&before.reference).await.expect_err("it was deleted");
    assert!(matches!(error, RegistryError::NotFound { missing: Missing::Digest, .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains(&before.reference.to_string()) && text.contains("push it again"),
        "{text}"
    );
}

#[tokio::test]
async fn an_index_keeps_its_digest() {
    let Some(registry) = Registry::start("an_index_keeps_its_digest").await else { return };
    let (client, place) = (anonymous(), registry.place("shop"));
    let built = image("1").await;
    client.push(&built, &place, None, &silent()).await.expect("push");
    let entry = |digest: &str, os: &str, architecture: &str| {
        format!(
            r#"{{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "{digest}",
            "size": {}, "platform": {{"os": "{os}", "architecture": "{architecture}"}}}}"#,
            built.manifest().len()
        )
    };
    let digest = built.digest().to_string();
    // The second is what builders add to describe the first.
    let index = format!(
        r#"{{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{}, {}, {}]}}"#,
        entry(&digest, "linux", "arm64"),
        entry(&digest, "unknown", "unknown"),
        entry(&digest, "linux", "amd64"),
    );
    let answer = reqwest::Client::new()
        .put(format!("http://{}/v2/shop/manifests/multi", registry.host))
        .header("content-type", "application/vnd.oci.image.index.v1+json")
        .body(index)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 201);
    let stored = answer.headers()["docker-content-digest"].to_str().expect("text").to_owned();
    let name = registry.image("shop:multi");
    let resolved = client.resolve(&name).await.expect("resolve");
    assert_eq!(resolved.digest.to_string(), stored);
    let platforms: Vec<_> = resolved.platforms.iter().map(ToString::to_string).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    // As a base it is the one for the platform.
    let base = client.base(&name, &amd64()).await.expect("a base");
    let Base::Image(found) = &base else { panic!("no image") };
    assert_eq!(found.reference().digest(), Some(built.digest()));
    assert_ne!(image_on(base, "2").await.digest(), built.digest());
    let error = client.base(&name, &"linux/s390x".parse().expect("it")).await.expect_err("none");
    assert!(error.to_string().contains("only for linux/amd64, linux/arm64"), "{error}");
    let error = client.base(&name, &"linux/arm64".parse().expect("it")).await.expect_err("amd64");
    assert!(error.to_string().contains("built for linux/amd64"), "{error}");
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let Some(registry) = Registry::start("what_is_not_there_is_named").await else { return };
    let client = anonymous();
    let error = client.resolve(&registry.image("nobody/nothing:1")).await.expect_err("no such");
    assert!(
        matches!(error, RegistryError::NotFound { missing: Missing::Repository, .. }),
        "{error:?}"
    );
    let place = registry.place("shop");
    client.push(&image("1").await, &place, Some(&tag("1")), &silent()).await.expect("push");
    let error = client.resolve(&registry.image("shop:2")).await.expect_err("no such");
    assert!(matches!(error, RegistryError::NotFound { missing: Missing::Tag, .. }), "{error:?}");
    assert!(!client.exists(&registry.image("shop:2")).await.expect("an answer"));
}

#[tokio::test]
async fn nobody_listens() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = free.local_addr().expect("its address").to_string();
    drop(free);
    let name = format!("{host}/shop:1").parse().expect("a name");
    let error = anonymous().resolve(&name).await.expect_err("nobody listens");
    assert!(matches!(error, RegistryError::Unreachable { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&format!("{host}/shop:1")) && text.contains("refused"), "{text}");

    // A name that is reserved never to be there, so no resolver knows it.
    let name = "registry.invalid/shop:1".parse().expect("a name");
    let error = anonymous().resolve(&name).await.expect_err("no such host");
    assert!(matches!(error, RegistryError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn tls_is_checked() {
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("it");
    let (certificate, key) = (certified.cert.pem(), certified.signing_key.serialize_pem());
    let setup = common::Setup { tls: Some((certificate.clone(), key)), ..Default::default() };
    let Some(registry) = Registry::start_with("tls_is_checked", setup).await else { return };
    let schemes = [(registry.host.clone(), Scheme::Https)].into();
    let options = Options { schemes, ..quick() };
    let built = image("1").await;
    let client = Client::new(Credentials::anonymous(), options.clone()).expect("a client");
    let error = client.push(&built, &registry.place("shop"), None, &silent()).await;
    let text = error.expect_err("nobody has vouched for it").to_string();
    assert!(text.contains("certificate"), "{text}");
    let options = Options { roots: vec![certificate.into_bytes()], ..options };
    let client = Client::new(Credentials::anonymous(), options).expect("a client");
    let pushed = client.push(&built, &registry.place("shop"), None, &silent()).await.expect("push");
    assert!(client.exists(&pushed).await.expect("an answer"));
}

#[tokio::test]
async fn a_root_has_to_be_one() {
    let options = Options {
        roots: vec![b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec()],
        connect_timeout: Duration::from_secs(1),
        ..quick()
    };
    assert!(Client::new(Credentials::anonymous(), options).is_err());
}
