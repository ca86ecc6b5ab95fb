//! A namespace of a real cluster.

use async_trait::async_trait;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, Resource};
use landfall_engine::conformance::{Harness, Kind, NoMaterials};
use landfall_engine::{Engine, Materials};
use landfall_engine_kubernetes::{KubernetesEngine, Options};
use landfall_model::{
    GroupId, Health, HealthCheck, Millis, Observed, Resources, Service, Signal, StackId, Stop,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long the slowest thing may take: pulling, restarting with back-off, ending.
const PATIENCE: Duration = Duration::from_secs(90);

pub struct World {
    client: Client,
    name: String,
    namespace: String,
    image: String,
}

impl World {
    /// A new namespace; nothing when there is no cluster to test with.
    pub async fn new(name: &str) -> Option<Self> {
        let (Ok(kubeconfig), Ok(image)) =
            (std::env::var("LANDFALL_TEST_KUBECONFIG"), std::env::var("LANDFALL_TEST_IMAGE"))
        else {
            eprintln!("skipped: {name}: no cluster with a real node to test with");
            return None;
        };
        let client = connect(std::path::Path::new(&kubeconfig)).await;
        let labels = [("pod-security.kubernetes.io/enforce", "restricted")];
        Some(Self::within(client, name, &image, &labels).await)
    }

    /// A new namespace of this cluster.
    pub async fn within(client: Client, name: &str, image: &str, labels: &[(&str, &str)]) -> Self {
        let namespace = format!("{name}-{}", std::process::id());
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let made = Namespace {
            metadata: ObjectMeta {
                name: Some(namespace.clone()),
                labels: Some(labels.collect()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        let all: Api<Namespace> = Api::all(client.clone());
        all.create(&PostParams::default(), &made).await.expect("a namespace");
        let world = Self { client, name: name.to_owned(), namespace, image: image.to_owned() };
        world.account().await;
        world
    }

    /// Pods are admitted once the namespace has its account.
    async fn account(&self) {
        let accounts: Api<ServiceAccount> = self.api();
        let waiting = async {
            while accounts.get_opt("default").await.expect("an answer").is_none() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("an account of the namespace");
    }

    /// Gives the namespace one more label.
    pub async fn label(&self, (key, value): (&str, &str)) {
        let all: Api<Namespace> = Api::all(self.client.clone());
        let patch = serde_json::json!({ "metadata": { "labels": { key: value } } });
        let params = PatchParams::default();
        all.patch(&self.namespace, &params, &Patch::Merge(&patch)).await.expect("labelled");
    }

    /// Removes the namespace, and does not wait for it.
    pub async fn end(&self) {
        let all: Api<Namespace> = Api::all(self.client.clone());
        all.delete(&self.namespace, &DeleteParams::background()).await.expect("removed");
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn client(&self) -> Client {
        self.client.clone()
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    pub fn stack(&self) -> StackId {
        StackId { app: "shop".parse().expect("a name"), stack: self.name.parse().expect("a name") }
    }

    /// Waits until what was applied is seen, and the controllers have said what they say.
    pub async fn settled(&self, engine: &Arc<dyn Engine>, revision: u64) {
        let group = |report: &Observed| report.accepted.revision.0 >= revision;
        self.until(engine, "the report of what was applied", group).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    /// Why a group is not well, once it says these words; what it said last when it never does.
    pub async fn reason(&self, engine: &Arc<dyn Engine>, release: u64, words: &[&str]) -> String {
        let id: GroupId = format!("web@{release}").parse().expect("a group");
        let said = |report: &Observed| report.groups.get(&id).and_then(|it| it.failing.clone());
        let report = self
            .until(engine, "a reason", |report| {
                let said = said(report).unwrap_or_default();
                words.iter().all(|word| said.contains(word))
            })
            .await;
        said(&report).unwrap_or_default()
    }

    async fn until(
        &self,
        engine: &Arc<dyn Engine>,
        what: &str,
        condition: impl Fn(&Observed) -> bool,
    ) -> Observed {
        let mut reports = engine.watch(&self.stack());
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let report = reports.borrow_and_update().clone();
            if condition(&report) {
                return report;
            }
            let changed = tokio::time::timeout_at(deadline, reports.changed()).await;
            assert!(changed.is_ok(), "waited in vain for {what}; last: {report:#?}");
        }
    }
}

pub async fn connect(kubeconfig: &std::path::Path) -> Client {
    let read = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("a configuration")).expect("a client")
}

const SERVE: &str = "mkdir -p /tmp/www && echo well > /tmp/www/healthz && echo serving && \
                     exec httpd -f -p $PORT -h /tmp/www";

#[async_trait]
impl Harness for World {
    async fn open(&self) -> Arc<dyn Engine> {
        let options = Options { namespace: self.namespace.clone(), take_ownership: false };
        Arc::new(KubernetesEngine::new(self.client.clone(), options))
    }

    async fn crash(&self, engine: Arc<dyn Engine>) {
        drop(engine);
    }

    fn materials(&self) -> Arc<dyn Materials> {
        Arc::new(NoMaterials)
    }

    fn service(&self, kind: Kind) -> Service {
        let script = match kind {
            Kind::Good => SERVE,
            Kind::NeverHealthy => "exec httpd -f -p $PORT -h /bin",
            Kind::Crashes => "echo no use; exit 1",
        };
        Service {
            artifact: None,
            image: Some(self.image.clone()),
            preloaded: false,
            port: None,
            command: ["sh", "-c", script].map(String::from).to_vec(),
            replicas: 1,
            env: BTreeMap::from([("COLOUR".to_owned(), "green".to_owned())]),
            health: Health {
                check: HealthCheck::Http { path: "/healthz".into() },
                every: Millis(1000),
                timeout: Millis(1000),
                healthy: 1,
                unhealthy: 3,
            },
            stop: Stop { signal: Signal::Term, grace: Millis(1000) },
            overlap: true,
            volumes: BTreeMap::new(),
            resources: Resources::default(),
        }
    }

    fn job(&self, code: Option<i32>) -> (Service, Vec<String>) {
        let script = match code {
            Some(code) => format!("echo hooked; sleep 1; exit {code}"),
            None => "sleep 600".to_owned(),
        };
        (self.service(Kind::Good), ["sh".to_owned(), "-c".to_owned(), script].to_vec())
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }
}
