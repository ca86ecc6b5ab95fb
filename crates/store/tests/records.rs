//! Releases, outcomes and journal over every backend that needs nothing but this machine.

mod common;

use common::{blob, release, sealed, signed, stack};
use landfall_model::{ReleaseNumber, Sequence};
use landfall_store::seal::{SignatureError, SigningKey, TrustedKeys, content_digest, seal};
use landfall_store::{Backend, Counted, Folder, Memory, Put, Sealed, Store, StoreError};
use std::sync::Arc;

async fn memory() -> (Arc<Counted<Memory>>, Store) {
    let backend = Arc::new(Counted::new(Memory::new()));
    let store = Store::open(Arc::clone(&backend) as Arc<dyn Backend>).await.expect("open");
    backend.take();
    (backend, store)
}

#[tokio::test]
async fn a_release_comes_back_as_it_was_sealed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let shop = stack("shop", "prod");
    let release = sealed(&shop, 1, &[blob("v1")]);
    {
        let store = Store::open(Arc::new(Folder::open(&path).expect("open"))).await.expect("open");
        assert_eq!(store.head(&shop).await.expect("head"), None);
        assert_eq!(store.seal(&release).await.expect("seal"), Sealed::Created);
        assert_eq!(store.seal(&release).await.expect("again"), Sealed::Created);
    }
    let store = Store::open(Arc::new(Folder::open(&path).expect("open"))).await.expect("open");
    assert_eq!(store.head(&shop).await.expect("head").as_ref(), Some(&release));
    assert_eq!(store.release(&shop, ReleaseNumber(1)).await.expect("get"), Some(release));
    assert_eq!(store.release(&shop, ReleaseNumber(2)).await.expect("get"), None);
    let other = sealed(&shop, 1, &[blob("v2")]);
    assert_eq!(store.seal(&other).await.expect("seal"), Sealed::Taken(ReleaseNumber(1)));
}

#[tokio::test]
async fn numbers_only_rise() {
    let (_, store) = memory().await;
    let shop = stack("shop", "prod");
    for number in [5, 6] {
        assert_eq!(store.seal(&sealed(&shop, number, &[])).await.expect("seal"), Sealed::Created);
    }
    let late = sealed(&shop, 3, &[]);
    assert_eq!(store.seal(&late).await.expect("seal"), Sealed::Taken(ReleaseNumber(5)));
}

#[tokio::test]
async fn the_head_is_three_requests_away_at_any_number_of_releases() {
    let (backend, store) = memory().await;
    let shop = stack("shop", "prod");
    let mut next = 1;
    for count in [10, 10_000] {
        for number in next..=count {
            store.seal(&sealed(&shop, number, &[])).await.expect("seal");
        }
        next = count + 1;
        backend.take();
        let head = store.head(&shop).await.expect("head").expect("a release");
        let requests = backend.take();
        assert_eq!(head.release.number, ReleaseNumber(count));
        assert!(requests.total() <= 3, "{count} releases: {requests:?}");
        let page = store.releases(&shop, None, 10).await.expect("releases");
        let requests = backend.take();
        let numbers: Vec<u64> = page.iter().map(|sealed| sealed.release.number.0).collect();
        assert_eq!(numbers, ((count - 9)..=count).rev().collect::<Vec<_>>());
        assert_eq!(requests.gets, 11, "the hint and exactly what is shown: {requests:?}");
        assert!(requests.total() <= 13, "{requests:?}");
    }
}

#[tokio::test]
async fn a_wrong_hint_changes_no_answer() {
    let (backend, store) = memory().await;
    let shop = stack("shop", "prod");
    for number in 1..=20 {
        store.seal(&sealed(&shop, number, &[])).await.expect("seal");
    }
    let hint = common::key("stacks/shop/prod/hints/releases");
    let old = backend.get(&hint).await.expect("get").expect("a hint");
    let good = || async { store.head(&shop).await.expect("head").expect("one").release.number };
    for number in [21_u64, 3, 1, 0, u64::MAX] {
        let text = number.to_string();
        let digest = landfall_store::seal::digest_of(text.as_bytes());
        let object = format!("landfall hint 1\ndigest: {digest}\n\n{text}");
        backend.put_hint(&hint, object.into()).await.expect("put");
        assert_eq!(good().await, ReleaseNumber(20), "hint {number}");
    }
    for damaged in [&b""[..], b"nonsense", &old[..old.len() - 1]] {
        backend.put_hint(&hint, bytes::Bytes::copy_from_slice(damaged)).await.expect("put");
        assert_eq!(good().await, ReleaseNumber(20));
    }
    backend.delete(&hint).await.expect("delete");
    assert_eq!(good().await, ReleaseNumber(20));
}

#[tokio::test]
async fn history_pages_over_gaps() {
    let (_, store) = memory().await;
    let shop = stack("shop", "prod");
    let numbers = [1, 2, 40, 41, 900, 5000, 5001, 5002];
    for number in numbers {
        store.seal(&sealed(&shop, number, &[])).await.expect("seal");
    }
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let page = store.releases(&shop, before, 3).await.expect("a page");
        let Some(last) = page.last() else { break };
        before = Some(last.release.number);
        seen.extend(page.iter().map(|sealed| sealed.release.number.0));
    }
    assert_eq!(seen, numbers.into_iter().rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn the_journal_only_grows_at_its_end() {
    let (backend, store) = memory().await;
    let shop = stack("shop", "prod");
    assert_eq!(store.last_entry(&shop).await.expect("last"), None);
    for sequence in 1..=300_u64 {
        let bytes = format!("entry {sequence}");
        let put = store.append(&shop, Sequence(sequence), bytes.as_bytes()).await.expect("append");
        assert_eq!(put, Put::Created);
    }
    let put = store.append(&shop, Sequence(300), b"another").await.expect("append");
    assert_eq!(put, Put::Exists);
    let put = store.append(&shop, Sequence(300), b"entry 300").await.expect("append");
    assert_eq!(put, Put::Created, "a lost answer is found out");
    backend.take();
    let last = store.last_entry(&shop).await.expect("last").expect("an entry");
    assert_eq!((last.0, &last.1[..]), (Sequence(300), &b"entry 300"[..]));
    assert!(backend.take().total() <= 3);
    let some = store.entries(&shop, Some(Sequence(10)), 5).await.expect("entries");
    assert_eq!(some.iter().map(|(n, _)| n.0).collect::<Vec<_>>(), [11, 12, 13, 14, 15]);
    assert_eq!(store.trim_journal(&shop, 7).await.expect("trim"), 293);
    let rest = store.entries(&shop, None, 100).await.expect("entries");
    assert_eq!(rest.iter().map(|(n, _)| n.0).collect::<Vec<_>>(), (294..=300).collect::<Vec<_>>());
    assert_eq!(store.last_entry(&shop).await.expect("last").expect("one").0, Sequence(300));
    assert_eq!(store.trim_journal(&shop, 0).await.expect("trim"), 6, "the last one stays");
}

#[tokio::test]
async fn outcomes_are_recorded_once() {
    let (_, store) = memory().await;
    let shop = stack("shop", "prod");
    let one = ReleaseNumber(1);
    assert_eq!(store.outcome(&shop, one).await.expect("get"), None);
    assert_eq!(store.record_outcome(&shop, one, b"{}").await.expect("put"), Put::Created);
    assert_eq!(store.record_outcome(&shop, one, b"[]").await.expect("put"), Put::Exists);
    assert_eq!(store.outcome(&shop, one).await.expect("get").as_deref(), Some(&b"{}"[..]));
    let several = store.outcomes(&shop, &[one, ReleaseNumber(2)]).await.expect("get");
    assert_eq!(several.len(), 1);
}

#[tokio::test]
async fn stacks_are_listed_however_much_is_in_them() {
    let (backend, store) = memory().await;
    let expected = [stack("a", "b"), stack("a", "b-c"), stack("a-b", "c"), stack("shop", "prod")];
    for stack in &expected {
        for number in 1..=50 {
            store.seal(&sealed(stack, number, &[])).await.expect("seal");
        }
    }
    backend.take();
    let mut found = store.stacks().await.expect("stacks");
    assert_eq!(backend.take().total(), 5);
    found.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn who_signed_is_found_and_a_change_is_noticed() {
    let (backend, store) = memory().await;
    let shop = stack("shop", "prod");
    let (ada, eve) = (SigningKey::generate().expect("key"), SigningKey::generate().expect("key"));
    let mut keys = TrustedKeys::default();
    keys.enrol(ada.public(), "ada");
    let keys = TrustedKeys::parse(&keys.to_text()).expect("its own text");
    store.seal(&signed(&shop, 1, &ada)).await.expect("seal");
    store.seal(&signed(&shop, 2, &eve)).await.expect("seal");
    store.seal(&sealed(&shop, 3, &[])).await.expect("seal");
    let read = |number| {
        let (store, shop) = (store.clone(), shop.clone());
        async move { store.release(&shop, ReleaseNumber(number)).await.expect("get").expect("one") }
    };
    assert_eq!(keys.verify(&read(1).await).expect("good").name, "ada");
    assert!(matches!(keys.verify(&read(2).await), Err(SignatureError::Unknown { .. })));
    assert!(matches!(keys.verify(&read(3).await), Err(SignatureError::Missing { .. })));
    // Somebody who can write the store changes a release and its digest, but cannot sign.
    let first = read(1).await;
    let text = String::from_utf8(first.bytes.to_vec()).expect("text").replace("ada@", "eve@");
    let forged =
        landfall_store::SealedRelease::parse(text.into(), first.signature.clone()).expect("ok");
    assert!(matches!(keys.verify(&forged), Err(SignatureError::Invalid { .. })));
    // Or copies a good one to another number or stack.
    let first = common::key("stacks/shop/prod/releases/00000000000000000001");
    let object = backend.inner().get(&first).await.expect("get").expect("there");
    for copy in [
        "stacks/shop/prod/releases/00000000000000000009",
        "stacks/shop/test/releases/00000000000000000001",
    ] {
        backend.inner().overwrite(&common::key(copy), object.clone());
    }
    let wrong = store.head(&shop).await.expect_err("another number");
    assert!(
        matches!(&wrong, StoreError::Corrupt { why, .. } if why.contains("release 1 of shop/prod")),
        "{wrong}"
    );
    assert!(store.head(&stack("shop", "test")).await.is_err());
}

#[tokio::test]
async fn keys_are_files_that_only_their_owner_reads() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("key");
    let key = SigningKey::generate().expect("key");
    key.save(&file).expect("save");
    assert!(key.save(&file).is_err(), "never over another key");
    let mode = std::fs::metadata(&file).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert_eq!(SigningKey::load(&file).expect("load").public(), key.public());
    let secret = std::fs::read_to_string(&file).expect("text");
    assert!(!secret.contains(&format!("{key:?}")) && format!("{key:?}").ends_with("…)"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("chmod");
    let error = SigningKey::load(&file).expect_err("too open").to_string();
    assert!(error.contains("0644") && error.contains("chmod 600"), "{error}");
}

#[test]
fn equal_content_has_an_equal_digest_under_two_numbers() {
    let shop = stack("shop", "prod");
    let (one, two) = (release(&shop, 1, &[blob("a")]), release(&shop, 2, &[blob("a")]));
    let digest = |release: &landfall_model::Release| content_digest(&release.content).expect("ok");
    assert_eq!(digest(&one), digest(&two));
    assert_ne!(digest(&one), digest(&release(&shop, 1, &[blob("b")])));
    assert_ne!(seal(one, None).expect("ok").digest, seal(two, None).expect("ok").digest);
}

/// Written past the store, because a hundred thousand syncs take minutes.
#[tokio::test]
#[ignore = "a measurement: run with --release --nocapture"]
async fn status_of_a_hundred_thousand_releases_in_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let backend = Arc::new(Counted::new(Folder::open(folder.path()).expect("open")));
    let store = Store::open(Arc::clone(&backend) as Arc<dyn Backend>).await.expect("open");
    let shop = stack("shop", "prod");
    let releases = folder.path().join("stacks/shop/prod/releases");
    std::fs::create_dir_all(&releases).expect("a folder");
    for number in 1..100_000_u64 {
        let sealed = sealed(&shop, number, &[]);
        let head = format!("landfall release 1\ndigest: {}\n\n", sealed.digest);
        let object = [head.as_bytes(), &sealed.bytes].concat();
        std::fs::write(releases.join(format!("{number:020}")), object).expect("write");
    }
    store.seal(&sealed(&shop, 100_000, &[])).await.expect("seal");
    backend.take();
    let began = std::time::Instant::now();
    let head = store.head(&shop).await.expect("head").expect("a release");
    let (took, requests) = (began.elapsed(), backend.take());
    assert_eq!(head.release.number.0, 100_000);
    assert!(requests.total() <= 3, "{requests:?}");
    println!("head of 100,000 releases: {took:?}, {requests:?}");
    let began = std::time::Instant::now();
    store.releases(&shop, None, 20).await.expect("releases");
    println!("the last 20 of them: {:?}, {:?}", began.elapsed(), backend.take());
}
