//! The agent of one stack of a cluster, in the process of the client that asks.
//!
//! The store is in the namespace, the engine writes its objects, and whoever holds the stack's lease
//! drives. Nothing is kept on the client's machine but its signing key; so when the client dies, the
//! next one takes the lease over once it stood unrenewed, and goes on from the last journal entry.

use crate::agent::Shared;
use crate::client::{self, Connection};
use crate::ground::Ground;
use crate::points::FolderPoints;
use crate::server::store_failure;
use crate::{Home, clock, keys, server};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use landfall_engine::{EngineError, KeyPair, Materials};
use landfall_engine_kubernetes::{KubernetesEngine, Options};
use landfall_model::{Certificate, CertificateName, Digest, ExitCode, StackId};
use landfall_protocol::agent::Failure;
use landfall_store::lease::{Lease, LeaseError, LeaseRequest, SystemClock, Wait};
use landfall_store::seal::{SigningKey, TrustedKeys};
use landfall_store::{Cluster, Store};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long a beat of the lease is good for. Tests make it shorter, all of a stack the same.
fn lease_time() -> Duration {
    let tested = std::env::var("LANDFALL_TEST_LEASE_MS").ok().and_then(|text| text.parse().ok());
    tested.map_or(Duration::from_secs(15), Duration::from_millis)
}

/// How long somebody else's lease is watched: a little longer than a dead one lasts.
fn watched() -> Duration {
    lease_time() * 6 / 5
}

/// How often a holder beats.
pub(crate) fn beat() -> Duration {
    lease_time() / 3
}

/// The ConfigMap with the keys that may deploy into a namespace.
const KEYS: &str = "landfall-keys";
/// Its entry.
const TRUSTED: &str = "trusted";

/// What the agent of a cluster's stack needs to know.
#[derive(Clone)]
pub struct ClusterOptions {
    /// The stack.
    pub stack: StackId,
    /// A connection to the cluster.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
    /// Where the client's own key is.
    pub home: Home,
    /// Who asks, as `user@host`.
    pub holder: String,
    /// Take fields of objects that another field manager owns.
    pub take_ownership: bool,
}

/// The cluster's side of an agent.
pub(crate) struct ClusterGround {
    options: ClusterOptions,
    own: SigningKey,
    store: Arc<Store>,
}

/// An agent in this process.
pub struct InProcess {
    shared: Arc<Shared>,
    stack: StackId,
}

impl InProcess {
    /// Opens the stack's store and looks where things stand. Nothing is written but the store's own
    /// first record.
    ///
    /// # Errors
    /// When the cluster cannot be reached, the namespace is not there, or the account may not.
    pub async fn open(options: ClusterOptions) -> Result<Self, Failure> {
        keys::ensure(&options.home)
            .map_err(|error| Failure::new(ExitCode::Unexpected, crate::stack::chain(&error)))?;
        let own = keys::owner_key(&options.home)
            .map_err(|error| Failure::new(ExitCode::Permission, error.to_string()))?;
        let backend = Cluster::new(options.client.clone(), &options.namespace);
        let store = Arc::new(Store::open(Arc::new(backend)).await.map_err(store_failure)?);
        let engine = Arc::new(KubernetesEngine::new(
            options.client.clone(),
            Options {
                namespace: options.namespace.clone(),
                take_ownership: options.take_ownership,
            },
        ));
        let uploads = std::env::temp_dir().join(format!("landfall-{}", std::process::id()));
        let stack = options.stack.clone();
        let ground = ClusterGround { options, own, store: Arc::clone(&store) };
        let points = FolderPoints::from_environment().map(|points| Arc::new(points) as _);
        let shared = Arc::new(Shared::new(
            store,
            engine,
            Arc::new(Nothing),
            Ground::Cluster(Box::new(ground)),
            points,
            uploads,
        ));
        shared.stack_or_new(&stack).look_up().await;
        Ok(Self { shared, stack })
    }

    /// A conversation with it, as with any agent.
    ///
    /// # Errors
    /// When the system has no sockets left.
    pub async fn connect(&self) -> Result<Connection, Failure> {
        let (ours, theirs) = tokio::net::UnixStream::pair().map_err(|error| {
            Failure::new(ExitCode::Unexpected, format!("cannot make a pair of sockets: {error}"))
        })?;
        let shared = Arc::clone(&self.shared);
        self.shared.tasks.spawn(async move {
            if let Err(error) = server::converse(&shared, theirs).await {
                tracing::debug!(%error, "the conversation is over");
            }
        });
        client::greet(ours).await
    }

    /// The keys that may deploy into the namespace, with the client's own among the first ones.
    ///
    /// # Errors
    /// When they cannot be read or written.
    pub async fn keys(&self) -> Result<Vec<String>, Failure> {
        let Some(cluster) = self.shared.ground.cluster() else { return Ok(Vec::new()) };
        let trusted = cluster.trusted().await?;
        Ok(trusted.to_text().lines().map(str::to_owned).collect())
    }

    /// Takes over what nobody drives any more, for ever: the agent inside a cluster.
    pub async fn go_on(&self) {
        loop {
            if let Some(stack) = self.shared.stack(&self.stack) {
                stack.adopt().await;
            }
            tokio::time::sleep(beat()).await;
        }
    }

    /// Lets go of the lease, so that the next one need not wait. A run in progress is left where
    /// it is.
    pub async fn end(&self) {
        if let Some(stack) = self.shared.stack(&self.stack) {
            stack.abdicate().await;
        }
        self.shared.tasks.end();
    }
}

impl ClusterGround {
    pub(crate) fn keys_place(&self) -> String {
        format!("the ConfigMap {KEYS} in the namespace {}", self.options.namespace)
    }

    fn maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.options.client.clone(), &self.options.namespace)
    }

    /// The keys that may deploy. The first one to ask is enrolled, as on a host.
    pub(crate) async fn trusted(&self) -> Result<TrustedKeys, Failure> {
        let failed = |error: &kube::Error| {
            Failure::new(
                ExitCode::Unexpected,
                format!("cannot read {}: {}", self.keys_place(), landfall_model::chain(error)),
            )
        };
        for _ in 0..3 {
            if let Some(map) = self.maps().get_opt(KEYS).await.map_err(|error| failed(&error))? {
                let text = map.data.unwrap_or_default().remove(TRUSTED).unwrap_or_default();
                return TrustedKeys::parse(&text).map_err(|error| {
                    Failure::new(ExitCode::Integrity, format!("{}: {error}", self.keys_place()))
                });
            }
            let mut trusted = TrustedKeys::default();
            trusted.enrol(self.own.public(), &self.options.holder);
            let map = ConfigMap {
                metadata: ObjectMeta {
                    name: Some(KEYS.into()),
                    labels: Some(
                        [("app.kubernetes.io/managed-by".to_owned(), "landfall".to_owned())].into(),
                    ),
                    ..ObjectMeta::default()
                },
                data: Some([(TRUSTED.to_owned(), trusted.to_text())].into()),
                ..ConfigMap::default()
            };
            match self.maps().create(&PostParams::default(), &map).await {
                Ok(_) => return Ok(trusted),
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        Err(Failure::new(ExitCode::Unexpected, format!("{} comes and goes", self.keys_place())))
    }

    /// Takes the stack's lease, or says who has it.
    pub(crate) async fn lease(&self, stack: &StackId) -> Result<Lease, Failure> {
        let request = LeaseRequest {
            stack: stack.clone(),
            holder: self.options.holder.clone(),
            ttl: lease_time(),
            wait: Wait::WhileSilent(watched()),
            reclaim: false,
        };
        Lease::acquire(&self.store, request, Arc::new(SystemClock)).await.map_err(|error| {
            match error {
                LeaseError::Locked { holder, since, .. } => {
                    let ago = Duration::from_millis(clock::now().since(since).0);
                    Failure::new(
                        ExitCode::Locked,
                        format!(
                            "{stack} is being changed by {holder}, who was at work {} s ago",
                            ago.as_secs()
                        ),
                    )
                    .help("wait for it; `landfall status` says how far it is")
                }
                LeaseError::Store(error) => store_failure(error),
                other => Failure::new(ExitCode::Locked, other.to_string()),
            }
        })
    }
}

/// Services of a cluster run from images, which the cluster fetches itself, and certificates are
/// where its load balancers are.
struct Nothing;

#[async_trait]
impl Materials for Nothing {
    async fn blob(&self, digest: &Digest) -> Result<PathBuf, EngineError> {
        let why = "a cluster runs images".to_owned();
        Err(EngineError::Material { what: format!("the blob {digest}"), why })
    }

    async fn certificate(
        &self,
        _: &StackId,
        name: &CertificateName,
        _: &Certificate,
    ) -> Result<KeyPair, EngineError> {
        let why = "a cluster's load balancers have their own".to_owned();
        Err(EngineError::Material { what: format!("the certificate {name}"), why })
    }
}
