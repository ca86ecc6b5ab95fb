//! What the tests share: small releases, backends, and the promises every backend keeps.
#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses a part of this")]

pub mod clock;
#[cfg(feature = "cloud")]
pub mod cloud;

use bytes::Bytes;
use landfall_model::{
    Artifact, Bytes as Size, Content, Digest, Health, HealthCheck, Millis, Release, ReleaseNumber,
    RolloutPolicy, Service, Signal, Source, StackId, Stop, Strategy, Timestamp,
};
use landfall_store::seal::{SigningKey, digest_of, seal};
use landfall_store::{Backend, Key, LARGEST_HINT, Put, SealedRelease};
use std::collections::BTreeMap;

/// Says that a test was skipped, past the test runner's capture, so that nobody takes it for run.
pub fn skipped(test: &str, why: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "skipped {test}: {why}");
}

pub fn stack(app: &str, name: &str) -> StackId {
    StackId { app: app.parse().expect("a name"), stack: name.parse().expect("a name") }
}

pub fn key(text: &str) -> Key {
    Key::new(text).expect("a key")
}

/// The digest of a blob that holds this text.
pub fn blob(text: &str) -> Digest {
    digest_of(text.as_bytes())
}

pub fn release(stack: &StackId, number: u64, blobs: &[Digest]) -> Release {
    let services = blobs
        .iter()
        .enumerate()
        .map(|(index, digest)| {
            (format!("service-{index}").parse().expect("a name"), service(*digest))
        })
        .collect();
    Release {
        format: 1,
        app: stack.app.clone(),
        stack: stack.stack.clone(),
        number: ReleaseNumber(number),
        restores: None,
        substitutions: Vec::new(),
        sealed_at: Timestamp(1_700_000_000_000 + number),
        sealed_by: "ada@example".to_owned(),
        source: Source::default(),
        content: Content {
            options: BTreeMap::new(),
            certificates: BTreeMap::new(),
            services,
            listeners: BTreeMap::new(),
            hooks: Vec::new(),
            rollout: RolloutPolicy {
                strategy: Strategy::BlueGreen,
                drain: Millis(30_000),
                bake: Millis(60_000),
                deadline: Millis(600_000),
            },
        },
    }
}

fn service(digest: Digest) -> Service {
    Service {
        artifact: Some(Artifact { digest, size: Size(4), path: "./dist".to_owned() }),
        image: None,
        preloaded: false,
        port: None,
        command: vec!["./shop".to_owned(), "serve".to_owned()],
        replicas: 2,
        env: BTreeMap::from([("LOG".to_owned(), "info".to_owned())]),
        health: Health {
            check: HealthCheck::Http { path: "/healthz".to_owned() },
            every: Millis(1000),
            timeout: Millis(1000),
            healthy: 2,
            unhealthy: 3,
        },
        stop: Stop { signal: Signal::Term, grace: Millis(20_000) },
        overlap: true,
        volumes: BTreeMap::new(),
        resources: landfall_model::Resources::default(),
    }
}

pub fn sealed(stack: &StackId, number: u64, blobs: &[Digest]) -> SealedRelease {
    seal(release(stack, number, blobs), None).expect("a release")
}

pub fn signed(stack: &StackId, number: u64, key: &SigningKey) -> SealedRelease {
    seal(release(stack, number, &[]), Some(key)).expect("a release")
}

/// The promises every backend keeps. `below` is a folder that nothing else uses.
pub async fn conformance(backend: &dyn Backend, below: &str) {
    puts_and_gets(backend, below).await;
    listings(backend, below).await;
    files(backend, below).await;
    one_winner(backend, below, 8).await;
}

async fn puts_and_gets(backend: &dyn Backend, below: &str) {
    let one = key(&format!("{below}/things/one"));
    assert_eq!(backend.get(&one).await.expect("get"), None);
    assert_eq!(backend.size(&one).await.expect("size"), None);
    assert_eq!(
        backend.put_if_absent(&one, Bytes::from_static(b"first")).await.expect("put"),
        Put::Created
    );
    assert_eq!(
        backend.put_if_absent(&one, Bytes::from_static(b"second")).await.expect("put"),
        Put::Exists
    );
    assert_eq!(backend.get(&one).await.expect("get").as_deref(), Some(&b"first"[..]));
    assert_eq!(backend.size(&one).await.expect("size"), Some(5));
    let hint = key(&format!("{below}/things/hint"));
    for text in ["1", "22"] {
        backend.put_hint(&hint, Bytes::from_static(text.as_bytes())).await.expect("hint");
        assert_eq!(backend.get(&hint).await.expect("get").as_deref(), Some(text.as_bytes()));
    }
    let large = backend.put_hint(&hint, vec![b'1'; LARGEST_HINT + 1].into()).await;
    assert!(matches!(large, Err(landfall_store::StoreError::Usage(_))), "{large:?}");
    assert_eq!(backend.get(&hint).await.expect("get").as_deref(), Some(&b"22"[..]));
    let empty = key(&format!("{below}/things/empty"));
    assert_eq!(backend.put_if_absent(&empty, Bytes::new()).await.expect("put"), Put::Created);
    assert_eq!(backend.get(&empty).await.expect("get").as_deref(), Some(&b""[..]));
    let moved = key(&format!("{below}/elsewhere/one"));
    backend.rename(&one, &moved).await.expect("rename");
    assert_eq!(backend.get(&one).await.expect("get"), None);
    assert_eq!(backend.get(&moved).await.expect("get").as_deref(), Some(&b"first"[..]));
    for _ in 0..2 {
        backend.delete(&moved).await.expect("delete, and again");
    }
    assert_eq!(backend.get(&moved).await.expect("get"), None);
}

async fn listings(backend: &dyn Backend, below: &str) {
    let names =
        ["a-b/x", "a.c", "a/1", "a/2/deep", "a/2.5", "a0", "a_", "b", "Z", "a/2-5", "nu/0001"];
    for name in names {
        let key = key(&format!("{below}/list/{name}"));
        backend.put_if_absent(&key, Bytes::from_static(b"x")).await.expect("put");
    }
    let mut expected: Vec<Key> =
        names.iter().map(|name| key(&format!("{below}/list/{name}"))).collect();
    expected.sort();
    let folder = key(&format!("{below}/list"));
    assert_eq!(backend.list(&folder, None, 1000).await.expect("list"), expected);
    for limit in 1..=4 {
        let mut paged: Vec<Key> = Vec::new();
        loop {
            let page = backend.list(&folder, paged.last(), limit).await.expect("page");
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        assert_eq!(paged, expected, "in pages of {limit}");
    }
    for after in ["a/", "a/2-", "a/2/zz", "a/zz", "0", "zz", "a/2/deep/er"] {
        let Ok(after) = Key::new(format!("{below}/list/{}", after.trim_end_matches('/'))) else {
            continue;
        };
        let found = backend.list(&folder, Some(&after), 1000).await.expect("list");
        let wanted: Vec<Key> = expected.iter().filter(|key| **key > after).cloned().collect();
        assert_eq!(found, wanted, "after {after}");
    }
    for (after, before) in [(0, 3), (2, 9), (4, 4), (7, 1)] {
        let (after, before) = (&expected[after], &expected[before]);
        let found = backend.list_between(&folder, Some(after), before, 1000).await.expect("list");
        let inside = |key: &&Key| *key > after && *key < before;
        let wanted: Vec<Key> = expected.iter().filter(inside).cloned().collect();
        assert_eq!(found, wanted, "after {after} and before {before}");
    }
    let narrow = backend.list(&key(&format!("{below}/list/a")), None, 1000).await.expect("list");
    assert_eq!(narrow.len(), 4, "`a` is a folder, not the start of a name: {narrow:?}");
    let none = backend.list(&key(&format!("{below}/nothing")), None, 10).await.expect("list");
    assert!(none.is_empty());
}

async fn files(backend: &dyn Backend, below: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    // Larger than one part of a multipart upload, and not a multiple of anything.
    let bytes: Vec<u8> =
        (0..20_000_123_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    for (name, bytes) in [("large", &bytes[..]), ("small", &bytes[..1000]), ("none", &[][..])] {
        std::fs::write(&from, bytes).expect("write");
        let key = key(&format!("{below}/files/{name}"));
        let digest = digest_of(bytes);
        let wrong = backend.put_file(&key, &from, &digest_of(b"other")).await;
        assert!(
            matches!(wrong, Err(landfall_store::StoreError::Changed(_))),
            "{name}: a file that is not what was expected: {wrong:?}"
        );
        assert_eq!(backend.size(&key).await.expect("size"), None, "{name}: nothing is kept of it");
        assert_eq!(backend.put_file(&key, &from, &digest).await.expect("put"), Put::Created);
        let fetched = backend.get_file(&key, &to).await.expect("get").expect("there");
        assert_eq!((fetched.digest, fetched.size), (digest, bytes.len() as u64));
        assert!(std::fs::read(&to).expect("read") == bytes, "{name}: the same bytes");
    }
    let absent = key(&format!("{below}/files/absent"));
    assert_eq!(backend.get_file(&absent, &to).await.expect("get"), None);
}

/// Several writers of one key at once: one wins, and its bytes are what is there.
pub async fn one_winner(backend: &dyn Backend, below: &str, writers: usize) {
    let key = key(&format!("{below}/race"));
    let puts = (0..writers)
        .map(|writer| backend.put_if_absent(&key, Bytes::from(format!("writer {writer}"))));
    let results = futures::future::join_all(puts).await;
    let winners: Vec<usize> = results
        .into_iter()
        .enumerate()
        .filter(|(_, put)| *put.as_ref().expect("put") == Put::Created)
        .map(|(writer, _)| writer)
        .collect();
    let &[winner] = winners.as_slice() else { panic!("{key}: winners {winners:?}") };
    let there = backend.get(&key).await.expect("get");
    assert_eq!(there, Some(Bytes::from(format!("writer {winner}"))));
}
