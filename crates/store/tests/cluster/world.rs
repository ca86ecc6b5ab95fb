//! A namespace of the test's own, and an account in it.

use crate::common;
use crate::front::Front;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use kube::api::{ListParams, ObjectMeta, PostParams};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use landfall_store::Cluster;
use std::sync::Arc;
use std::time::Duration;

/// All that a store needs.
pub const VERBS: [&str; 5] = ["get", "list", "create", "patch", "delete"];

/// A namespace, as its administrator and as a program that keeps a store in it.
pub struct World {
    pub admin: Client,
    pub namespace: String,
    pub cluster: Cluster,
    client: Client,
}

impl World {
    /// The same store, seen through something that counts and disturbs.
    pub fn behind(&self, front: &Arc<Front>) -> Cluster {
        Cluster::new(front.before(self.client.clone(), &self.namespace), &self.namespace)
    }
}

async fn config() -> Option<Config> {
    let path = std::env::var("LANDFALL_TEST_KUBECONFIG").ok()?;
    let read = Kubeconfig::read_from(path).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
    Some(config.expect("a configuration"))
}

pub fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}

/// A new namespace where an account may do this with Secrets.
pub async fn world(test: &str, verbs: &[&str]) -> Option<World> {
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
    until_allowed(&client, &namespace).await;
    let cluster = Cluster::new(client.clone(), &namespace);
    Some(World { admin, namespace, cluster, client })
}

/// An API server learns of new roles a moment after they are made.
async fn until_allowed(client: &Client, namespace: &str) {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let allowed = async {
        while secrets.list_metadata(&ListParams::default()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), allowed).await.expect("the account may list");
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
