//! The same promises in a namespace of a real cluster, by an account that may do no more than it
//! has to. `cargo xtask test` starts one; `LANDFALL_TEST_KUBECONFIG` says where it is.
#![cfg(feature = "kubernetes")]

mod common;

use common::{key, sealed, stack};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use kube::api::{ListParams, ObjectMeta, PostParams};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use landfall_store::{Backend, Cluster, Counted, Put, Sealed, Store, StoreError};
use std::sync::Arc;

/// All that a store needs.
const VERBS: [&str; 5] = ["get", "list", "create", "patch", "delete"];

/// A namespace, as its administrator and as a program that keeps a store in it.
struct World {
    admin: Client,
    namespace: String,
    cluster: Cluster,
}

async fn config() -> Option<Config> {
    let path = std::env::var("LANDFALL_TEST_KUBECONFIG").ok()?;
    let read = Kubeconfig::read_from(path).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
    Some(config.expect("a configuration"))
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}

/// A new namespace where an account may do this with Secrets.
async fn world(test: &str, verbs: &[&str]) -> Option<World> {
    let Some(config) = config().await else {
        common::skipped(test, "LANDFALL_TEST_KUBECONFIG is not set");
        return None;
    };
    let admin = Client::try_from(config.clone()).expect("a client");
    let namespace = format!("store-{}-{}", test.replace('_', "-"), std::process::id());
    let made = Namespace { metadata: named(&namespace), ..Namespace::default() };
    let all: Api<Namespace> = Api::all(admin.clone());
    all.create(&PostParams::default(), &made).await.expect("a namespace");
    let client = restricted(&admin, config, &namespace, verbs).await;
    let cluster = Cluster::new(client, &namespace);
    Some(World { admin, namespace, cluster })
}

async fn restricted(admin: &Client, config: Config, namespace: &str, verbs: &[&str]) -> Client {
    let post = PostParams::default();
    let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), namespace);
    let account = ServiceAccount { metadata: named("landfall"), ..ServiceAccount::default() };
    accounts.create(&post, &account).await.expect("an account");
    let rule = PolicyRule {
        api_groups: Some(vec![String::new()]),
        resources: Some(vec!["secrets".into()]),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        ..PolicyRule::default()
    };
    let roles: Api<Role> = Api::namespaced(admin.clone(), namespace);
    let role = Role { metadata: named("store"), rules: Some(vec![rule]) };
    roles.create(&post, &role).await.expect("a role");
    let bindings: Api<RoleBinding> = Api::namespaced(admin.clone(), namespace);
    let binding = RoleBinding {
        metadata: named("store"),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".into(),
            kind: "Role".into(),
            name: "store".into(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".into(),
            name: "landfall".into(),
            namespace: Some(namespace.to_owned()),
            ..Subject::default()
        }]),
    };
    bindings.create(&post, &binding).await.expect("a binding");
    let wanted = TokenRequest { spec: TokenRequestSpec::default(), ..TokenRequest::default() };
    let given = accounts.create_token_request("landfall", &post, &wanted).await.expect("a token");
    let token = given.status.expect("a token").token;
    let auth_info = AuthInfo { token: Some(token.into()), ..AuthInfo::default() };
    let mut theirs = config;
    theirs.auth_info = auth_info;
    Client::try_from(theirs).expect("a client")
}

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
    secrets.delete(&name, &kube::api::DeleteParams::default()).await.expect("deleted");
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
            tokio::time::sleep(std::time::Duration::from_millis(round % 8)).await;
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

/// What `status` asks of the store is the same number of operations however many releases there
/// are. It is not the same number of requests: a listing takes one for each 500 keys of a folder.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looking_takes_as_many_operations_with_many_releases() {
    let Some(world) = world("flat", &VERBS).await else { return };
    let counted = Arc::new(Counted::new(world.cluster.clone()));
    let store = Store::open(Arc::clone(&counted) as Arc<dyn Backend>).await.expect("a store");
    let shop = stack("shop", "prod");
    let mut costs = Vec::new();
    for upto in [10, 200] {
        let from = store.head(&shop).await.expect("head").map_or(1, |it| it.release.number.0 + 1);
        for number in from..=upto {
            store.seal(&sealed(&shop, number, &[])).await.expect("sealed");
        }
        let fresh = Counted::new(world.cluster.clone());
        let fresh = Arc::new(fresh);
        let again = Store::open(Arc::clone(&fresh) as Arc<dyn Backend>).await.expect("a store");
        again.head(&shop).await.expect("head").expect("a release");
        costs.push(fresh.take().total());
    }
    assert!(costs[1] <= costs[0] && costs[0] <= 6, "operations: {costs:?}");
}
