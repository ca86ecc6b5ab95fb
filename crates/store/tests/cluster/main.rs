//! The same promises in a namespace of a real cluster, by an account that may do no more than it
//! has to. `cargo xtask test` starts one; `LANDFALL_TEST_KUBECONFIG` says where it is.
#![cfg(feature = "kubernetes")]

#[path = "../common/mod.rs"]
mod common;
mod costs;
mod disturbed;
mod front;
mod leases;
mod world;

use common::{key, sealed, stack};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Api;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use landfall_store::{Backend, Cluster, Memory, Put, Sealed, Store, StoreError};
use std::sync::Arc;
use std::time::Duration;
use world::{VERBS, World, named, world};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_keeps_the_promises() {
    let Some(world) = world("promises", &VERBS).await else { return };
    common::conformance(&world.cluster, "test").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_is_a_store() {
    let Some(world) = world("releases", &VERBS).await else { return };
    let backend: Arc<dyn Backend> = Arc::new(world.cluster.clone());
    let store = Store::open(Arc::clone(&backend)).await.expect("a safe store");
    let shop = stack("shop", "prod");
    for number in 1..=12 {
        let release = sealed(&shop, number, &[]);
        assert_eq!(store.seal(&release).await.expect("seal"), Sealed::Created);
    }
    let again = Store::open(backend).await.expect("again");
    assert_eq!(again.head(&shop).await.expect("head"), Some(sealed(&shop, 12, &[])));
    assert_eq!(again.stacks().await.expect("stacks"), [shop]);
}

/// `LANDFALL_RACE_ROUNDS` says how often (20).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_eight_wins_in_a_namespace() {
    let Some(world) = world("races", &VERBS).await else { return };
    let rounds =
        std::env::var("LANDFALL_RACE_ROUNDS").map_or(20, |it| it.parse().expect("a number"));
    for round in 0..rounds {
        common::one_winner(&world.cluster, &format!("races/{round}"), 8).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_objects_are_cut_and_come_back_whole() {
    let Some(world) = world("pieces", &VERBS).await else { return };
    let cluster = &world.cluster;
    let secrets: Api<Secret> = Api::namespaced(world.admin.clone(), &world.namespace);
    let count =
        async || secrets.list_metadata(&ListParams::default()).await.expect("a list").items.len();
    for size in [0, 1, 700 * 1024, 700 * 1024 + 1, 5 << 20] {
        let bytes: Vec<u8> = (0..size).map(|at: usize| (at % 251) as u8).collect();
        let key = key(&format!("sizes/{size}"));
        let put = cluster.put_if_absent(&key, bytes.clone().into()).await.expect("a put");
        assert_eq!(put, Put::Created);
        let again = cluster.put_if_absent(&key, vec![7; size].into()).await.expect("a put");
        assert_eq!(again, Put::Exists);
        assert!(cluster.get(&key).await.expect("a get").expect("there") == bytes, "{size} bytes");
    }
    let refused = cluster.put_if_absent(&key("huge"), vec![0; 33 << 20].into()).await;
    assert!(
        matches!(&refused, Err(StoreError::Usage(why)) if why.contains("registry")),
        "{refused:?}"
    );
    let keys = cluster.list(&key("sizes"), None, 100).await.expect("a list");
    assert_eq!(keys.len(), 5, "pieces are no objects: {keys:?}");
    for key in keys {
        cluster.delete(&key).await.expect("deleted");
    }
    assert_eq!(count().await, 0, "no piece is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_piece_is_damage() {
    let Some(world) = world("damage", &VERBS).await else { return };
    let key = key("large");
    world.cluster.put_if_absent(&key, vec![1; 2 << 20].into()).await.expect("a put");
    let secrets: Api<Secret> = Api::namespaced(world.admin.clone(), &world.namespace);
    let pieces = ListParams::default().labels("landfall.dev/piece-of");
    let listed = secrets.list_metadata(&pieces).await.expect("a list");
    let name = listed.items[1].metadata.name.clone().expect("a name");
    secrets.delete(&name, &DeleteParams::default()).await.expect("deleted");
    let damaged = world.cluster.get(&key).await.expect_err("damaged").to_string();
    assert!(damaged.contains("large is damaged") && damaged.contains("is gone"), "{damaged}");
}

/// What a writer leaves that died between its pieces and the object: the same pieces under a name
/// of its own.
async fn pieces_without_object(world: &World, of: &str) -> Vec<String> {
    let secrets: Api<Secret> = Api::namespaced(world.admin.clone(), &world.namespace);
    let pieces = ListParams::default().labels("landfall.dev/piece-of");
    let mut made = Vec::new();
    for mut piece in secrets.list(&pieces).await.expect("a list").items {
        let annotations = piece.metadata.annotations.take();
        assert_eq!(
            annotations.as_ref().and_then(|it| it.get("landfall.dev/key")),
            Some(&of.into())
        );
        let name = piece.metadata.name.take().expect("a name");
        let [prefix, object, _, number] = name.split('-').collect::<Vec<_>>()[..] else {
            panic!("the name of a piece: {name}")
        };
        let name = format!("{prefix}-{object}-0123456789abcdef-{number}");
        let labels = piece.metadata.labels.take();
        piece.metadata = ObjectMeta { labels, annotations, ..named(&name) };
        secrets.create(&PostParams::default(), &piece).await.expect("made");
        made.push(name);
    }
    made
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_leaves_the_pieces_of_a_writer_at_work() {
    let Some(world) = world("at_work", &VERBS).await else { return };
    let (cluster, key) = (&world.cluster, key("large"));
    cluster.put_if_absent(&key, vec![1; 2 << 20].into()).await.expect("a put");
    let theirs = pieces_without_object(&world, "large").await;
    assert_eq!(theirs.len(), 3);
    cluster.delete(&key).await.expect("deleted");
    let secrets: Api<Secret> = Api::namespaced(world.admin.clone(), &world.namespace);
    let left = secrets.list_metadata(&ListParams::default()).await.expect("a list").items;
    let left: Vec<_> = left.into_iter().filter_map(|it| it.metadata.name).collect();
    assert_eq!(left, theirs, "its own are gone, theirs are there");
    assert_eq!(cluster.get(&key).await.expect("a get"), None, "pieces alone are no object");
    let put = cluster.put_if_absent(&key, vec![2; 2 << 20].into()).await.expect("a put");
    assert_eq!(put, Put::Created, "and are in nobody's way");
    assert!(cluster.get(&key).await.expect("a get").expect("there") == vec![2; 2 << 20]);
}

/// A large object that is deleted and made again is there or not, never damaged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_and_writing_at_once_damages_nothing() {
    let Some(world) = world("at_once", &VERBS).await else { return };
    let cluster = &world.cluster;
    for round in 0..30_u64 {
        let key = key(&format!("large/{round}"));
        let bytes = vec![7; 2 << 20];
        cluster.put_if_absent(&key, bytes.clone().into()).await.expect("a put");
        let put = async {
            tokio::time::sleep(Duration::from_millis(round % 8)).await;
            cluster.put_if_absent(&key, bytes.clone().into()).await
        };
        let (first, second, put, read) =
            tokio::join!(cluster.delete(&key), cluster.delete(&key), put, cluster.get(&key));
        first.and(second).expect("deleted");
        put.expect("a put");
        for read in [read, cluster.get(&key).await] {
            let read = read.expect("a get");
            assert!(read.is_none_or(|read| read == bytes), "round {round}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_a_page_is_listed_in_order() {
    let Some(world) = world("pages", &VERBS).await else { return };
    let cluster = &world.cluster;
    let numbers: Vec<usize> = (0..620).collect();
    for some in numbers.chunks(31) {
        let puts = some.iter().map(async |number| {
            let key = key(&format!("many/{number:04}"));
            cluster.put_if_absent(&key, "x".into()).await.expect("a put")
        });
        futures::future::join_all(puts).await;
    }
    let all = cluster.list(&key("many"), None, 1000).await.expect("a list");
    assert_eq!(all, numbers.iter().map(|it| key(&format!("many/{it:04}"))).collect::<Vec<_>>());
    let some = cluster.list(&key("many"), Some(&key("many/0600")), 3).await.expect("a list");
    assert_eq!(some, ["many/0601", "many/0602", "many/0603"].map(key));
    assert!(cluster.list(&key("man"), None, 10).await.expect("a list").is_empty());
}

/// Labels narrow a listing; what comes of it is what an ordered list gives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_are_those_of_an_ordered_list() {
    let Some(world) = world("ranges", &VERBS).await else { return };
    let (cluster, memory) = (&world.cluster, Memory::new());
    let numbers = [0, 1, 31, 32, 33, 64, 1023, 1024, 1025, 5000, 32_768, 40_000, 1 << 20, u64::MAX];
    let numbered = |number: u64| format!("shelf/{number:020}");
    let others = ["shelf/notes", "shelf/00000000000000000032/00000000000000000001", "shelf-2/x"];
    let names = numbers.iter().map(|it| numbered(*it)).chain(others.map(String::from));
    for name in names {
        memory.put_if_absent(&key(&name), "x".into()).await.expect("a put");
        cluster.put_if_absent(&key(&name), "x".into()).await.expect("a put");
    }
    let edges = [0, 1, 30, 31, 32, 100, 1024, 4999, 32_767, 1 << 20, (1 << 20) + 5, u64::MAX];
    let edges: Vec<_> = edges.iter().map(|it| key(&numbered(*it))).collect();
    let afters = || edges.iter().map(Some).chain([None]);
    let shelf = key("shelf");
    for after in afters() {
        let wanted = memory.list(&shelf, after, 100).await.expect("a list");
        assert_eq!(cluster.list(&shelf, after, 100).await.expect("a list"), wanted, "{after:?}");
        for before in &edges {
            let wanted = memory.list_between(&shelf, after, before, 100).await.expect("a list");
            let found = cluster.list_between(&shelf, after, before, 100).await.expect("a list");
            assert_eq!(found, wanted, "{after:?} to {before:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_secrets_are_neither_seen_nor_touched() {
    let Some(world) = world("foreign", &VERBS).await else { return };
    let secrets: Api<Secret> = Api::namespaced(world.admin.clone(), &world.namespace);
    let theirs = Secret { metadata: named("database"), ..Secret::default() };
    let made = secrets.create(&PostParams::default(), &theirs).await.expect("made");
    let cluster = &world.cluster;
    cluster.put_if_absent(&key("ours"), "x".into()).await.expect("a put");
    assert_eq!(
        cluster.list(&landfall_store::Key::root(), None, 10).await.expect("a list"),
        [key("ours")]
    );
    cluster.delete(&key("ours")).await.expect("deleted");
    let now = secrets.get("database").await.expect("still there");
    assert_eq!(now.metadata.resource_version, made.metadata.resource_version);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_is_told_what() {
    let Some(world) = world("rights", &["get", "list"]).await else { return };
    let refused =
        world.cluster.put_if_absent(&key("ours"), "x".into()).await.expect_err("forbidden");
    let text = refused.to_string();
    assert!(matches!(refused, StoreError::Permission { .. }), "{text}");
    assert!(
        text.contains("create") && text.contains("secrets") && text.contains("landfall"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_namespace_is_no_empty_store() {
    let Some(world) = world("missing", &VERBS).await else { return };
    let missing = Arc::new(Cluster::new(world.admin.clone(), "store-nowhere"));
    let told = |error: StoreError| {
        let text = error.to_string();
        assert!(matches!(error, StoreError::NoNamespace { .. }), "{text}");
        assert!(text.contains("kubectl create namespace store-"), "{text}");
    };
    told(missing.put_if_absent(&key("ours"), "x".into()).await.expect_err("no namespace"));
    told(missing.put_hint(&key("ours"), "1".into()).await.expect_err("no namespace"));
    told(missing.list(&key("stacks"), None, 10).await.expect_err("no namespace"));
    told(Store::open(missing).await.expect_err("no namespace"));
    let empty = world.cluster.list(&key("stacks"), None, 10).await.expect("an empty one");
    assert!(empty.is_empty(), "{empty:?}");

    // One that goes while a store in it is open.
    let (shop, admin) = (stack("shop", "prod"), world.admin.clone());
    let cluster = Arc::new(Cluster::new(admin.clone(), &world.namespace));
    let store = Store::open(cluster).await.expect("a store");
    store.seal(&sealed(&shop, 1, &[])).await.expect("sealed");
    assert!(store.head(&shop).await.expect("head").is_some());
    let namespaces: Api<Namespace> = Api::all(admin);
    namespaces.delete(&world.namespace, &DeleteParams::default()).await.expect("deleted");
    let gone = async {
        while namespaces.get_opt(&world.namespace).await.expect("a look").is_some() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("it goes");
    told(store.head(&shop).await.expect_err("no namespace"));
    told(store.last_entry(&shop).await.expect_err("no namespace"));
    told(store.seal(&sealed(&shop, 2, &[])).await.expect_err("no namespace"));
}
