//! A namespace of a real cluster, and a machine that deploys into it with the least rights.

use crate::file::{SHOP, Shop};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, Secret, Service, ServiceAccount};
use k8s_openapi::serde::de::DeserializeOwned;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
    PostParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, Resource, ResourceExt};
use landfall_testkit::{Host, Ran, until};
use serde_json::{Value, json};
use std::fmt::Debug;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

/// How long a condition may take to come true.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long a beat of the lease is good for.
const LEASE_MS: &str = "3000";
/// The label of what belongs to the stack.
pub const OURS: &str = "landfall.dev/stack=shop.prod";

/// A namespace, and a machine.
pub struct World {
    pub host: Host,
    pub namespace: String,
    image: String,
    admin: Kubeconfig,
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl World {
    /// A namespace that is set up, with version 1 of the shop in the project; nothing when there is
    /// no cluster to test with.
    pub fn new(name: &str) -> Option<Self> {
        let (Ok(kubeconfig), Ok(image)) =
            (std::env::var("LANDFALL_TEST_KUBECONFIG"), std::env::var("LANDFALL_TEST_IMAGE"))
        else {
            eprintln!("skipped: {name}: no cluster with a real node to test with");
            return None;
        };
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(1).enable_all().build().expect("a runtime");
        let admin = Kubeconfig::read_from(&kubeconfig).expect("a kubeconfig");
        let client = runtime.block_on(connect(admin.clone()));
        let mut host = Host::new(env!("CARGO_BIN_EXE_landfall"));
        host.set("LANDFALL_TEST_LEASE_MS", LEASE_MS);
        host.set("KUBECONFIG", kubeconfig);
        let namespace = format!("{name}-{}", std::process::id());
        let mut world = Self { host, namespace, image, admin, runtime, client };
        world.write(&SHOP);
        world.host.run(&["setup"]).expect(0);
        world.become_the_account();
        Some(world)
    }

    /// The same with version 1 up.
    pub fn up(name: &str) -> Option<Self> {
        let world = Self::new(name)?;
        world.host.run(&["up"]).expect(0);
        Some(world)
    }

    /// From here on the machine has nothing but a token of the account.
    fn become_the_account(&mut self) {
        let token = self.block(async {
            let accounts: Api<ServiceAccount> = self.api();
            let request = TokenRequest {
                spec: TokenRequestSpec {
                    audiences: Vec::new(),
                    expiration_seconds: Some(7200),
                    ..TokenRequestSpec::default()
                },
                ..TokenRequest::default()
            };
            let params = PostParams::default();
            let made: TokenRequest =
                accounts.create_subresource("token", "landfall", &params, &request).await?;
            Ok(made.status.expect("a token").token)
        });
        let server = self.server();
        self.use_kubeconfig(&server, None, &token);
        // An API server learns of new roles a moment after they are made.
        let config = Kubeconfig::read_from(self.host.path("kubeconfig")).expect("a kubeconfig");
        let account = self.runtime.block_on(connect(config));
        let secrets: Api<Secret> = Api::namespaced(account, &self.namespace);
        until("the rights of the account", PATIENCE, || {
            self.runtime.block_on(secrets.list_metadata(&ListParams::default())).ok()
        });
        until("the account of pods", PATIENCE, || self.get::<ServiceAccount>("default"));
    }

    /// Writes the machine's kubeconfig.
    fn use_kubeconfig(&mut self, server: &str, tls_name: Option<&str>, token: &str) {
        let cluster = self.admin.clusters.first().and_then(|it| it.cluster.clone());
        let authority = cluster.expect("a cluster").certificate_authority_data;
        let mut cluster = json!({ "server": server, "certificate-authority-data": authority });
        if let Some(name) = tls_name {
            cluster["tls-server-name"] = json!(name);
        }
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "contexts": [{ "name": "it", "context": { "cluster": "it", "user": "it" } }],
            "clusters": [{ "name": "it", "cluster": cluster }],
            "users": [{ "name": "it", "user": { "token": token } }],
        });
        let path = self.host.path("kubeconfig");
        std::fs::write(&path, config.to_string()).expect("written");
        self.host.set("KUBECONFIG", path.display().to_string());
    }

    /// Where the API server is.
    pub fn server(&self) -> String {
        let cluster = self.admin.clusters.first().and_then(|it| it.cluster.clone());
        cluster.and_then(|it| it.server).expect("a server")
    }

    /// Reaches the API server by another address from here on.
    pub fn go_through(&mut self, address: SocketAddr) {
        let server = self.server();
        let name = server.trim_start_matches("https://");
        let name = name.rsplit_once(':').map_or(name, |(name, _)| name).to_owned();
        let text = std::fs::read_to_string(self.host.path("kubeconfig")).expect("a kubeconfig");
        let config: Value = serde_json::from_str(&text).expect("JSON");
        let token = config["users"][0]["user"]["token"].as_str().expect("a token").to_owned();
        self.use_kubeconfig(&format!("https://{address}"), Some(&name), &token);
    }

    /// Does it with all rights.
    #[track_caller]
    pub fn block<T>(&self, work: impl Future<Output = kube::Result<T>>) -> T {
        self.runtime.block_on(work).expect("the cluster does it")
    }

    /// Tries it with all rights.
    pub fn attempt<T>(&self, work: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
        self.runtime.block_on(work)
    }

    /// Runs a command in a pod's own container, with the bed's `kubectl`.
    #[track_caller]
    pub fn run_in(&self, pod: &str, command: &[&str]) {
        let bed = bed().expect("a bed");
        let mut kubectl = Command::new(bed.join("bin/kubectl"));
        kubectl.env("KUBECONFIG", bed.join("etc/admin.kubeconfig"));
        kubectl.args(["-n", &self.namespace, "exec", pod, "--"]);
        let ran = kubectl.args(command).output().expect("kubectl");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Objects of a kind that is known by name.
    pub fn dynamic(&self, api_version: &str, kind: &str) -> Api<DynamicObject> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    /// Every object with these labels of each kind that Landfall writes, with its version; not the
    /// fence, which stays.
    pub fn objects(&self, labels: &str) -> Vec<(String, Option<String>)> {
        let kinds = [
            ("v1", "ConfigMap"),
            ("v1", "Service"),
            ("policy/v1", "PodDisruptionBudget"),
            ("batch/v1", "Job"),
            ("apps/v1", "Deployment"),
        ];
        let all = kinds.into_iter().flat_map(|(api_version, kind)| {
            let api = self.dynamic(api_version, kind);
            let found = self.block(api.list(&ListParams::default().labels(labels))).items;
            found
                .into_iter()
                .map(move |it| (format!("{kind} {}", it.name_any()), it.resource_version()))
        });
        all.filter(|(name, _)| !name.starts_with("ConfigMap landfall-")).collect()
    }

    /// One object, with all rights.
    pub fn get<K>(&self, name: &str) -> Option<K>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        self.block(self.api::<K>().get_opt(name))
    }

    /// Every object of a kind with these labels.
    pub fn list<K>(&self, labels: &str) -> Vec<K>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        self.block(self.api::<K>().list(&ListParams::default().labels(labels))).items
    }

    /// Names of every object of a kind with these labels, in order.
    pub fn names<K>(&self, labels: &str) -> Vec<String>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        let mut names: Vec<String> = self.list::<K>(labels).iter().map(K::name_any).collect();
        names.sort();
        names
    }

    /// Changes an object as `kubectl` would, under this field manager.
    pub fn patch<K>(&self, name: &str, manager: &str, patch: &Value)
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        let params =
            PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
        self.block(async {
            self.api::<K>().patch(name, &params, &Patch::Strategic(patch)).await.map(drop)
        });
    }

    /// Writes `landfall.yaml`.
    pub fn write(&self, shop: &Shop<'_>) {
        self.host.write("landfall.yaml", &shop.yaml(&self.image, &self.namespace));
    }

    /// Writes another app's file beside it.
    pub fn write_other(&self, name: &str, app: &str, shop: &Shop<'_>) {
        self.host.write(name, &shop.of_app(app, &self.image, &self.namespace));
    }

    /// Writes `landfall.yaml` and runs `up --output json`.
    pub fn up_to(&self, shop: &Shop<'_>) -> Ran {
        self.write(shop);
        self.host.run(&["up", "--output", "json"])
    }

    /// Writes `landfall.yaml` and starts `up --output json`.
    pub fn start(&self, shop: &Shop<'_>) -> Child {
        self.write(shop);
        self.host.spawn(&["up", "--output", "json"])
    }

    /// The one answer of this type of a verb that succeeds.
    #[track_caller]
    pub fn answer(&self, verb: &[&str], kind: &str) -> Value {
        let mut verb = verb.to_vec();
        verb.extend(["--output", "json"]);
        self.host.run(&verb).expect(0).typed(kind)
    }

    /// How the stack is.
    #[track_caller]
    pub fn status(&self) -> Value {
        self.answer(&["status"], "status")["stacks"][0].clone()
    }

    /// Where clients of the listener ask.
    pub fn address(&self) -> Option<SocketAddr> {
        let ip = self.get::<Service>("shop-public")?.spec?.cluster_ip?;
        Some(SocketAddr::new(ip.parse().ok()?, 80))
    }

    /// The version that answers; nothing when nobody does.
    pub fn serves(&self) -> Option<String> {
        let answer = ask(self.address()?).ok()?;
        Some(answer.split("version=").nth(1)?.split_whitespace().next()?.to_owned())
    }

    /// Panics unless this version answers.
    #[track_caller]
    pub fn assert_serves(&self, version: u32) {
        assert_eq!(self.serves(), Some(version.to_string()));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::env::var_os("LANDFALL_TEST_KEEP").is_some() {
            return;
        }
        let all: Api<Namespace> = Api::all(self.client.clone());
        let _ = self.runtime.block_on(all.delete(&self.namespace, &DeleteParams::background()));
    }
}

/// The folder of the test bed; nothing when the cluster is another one.
pub fn bed() -> Option<PathBuf> {
    let kubeconfig = PathBuf::from(std::env::var_os("LANDFALL_TEST_KUBECONFIG")?);
    let bed = kubeconfig.parent()?.parent()?;
    bed.join("landfall-testbed").exists().then(|| bed.to_owned())
}

/// One request on a connection of its own.
pub fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200") { Ok(answer) } else { Err(std::io::Error::other(answer)) }
}

async fn connect(kubeconfig: Kubeconfig) -> Client {
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("a configuration")).expect("a client")
}
