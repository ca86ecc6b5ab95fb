//! From a kubeconfig to a connection.

use kube::config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use std::path::PathBuf;
use std::time::Duration;

/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(5);

/// Which cluster, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Address {
    /// The kubeconfig; nothing for the usual one, or the pod's own account inside a cluster.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it; nothing for the current one.
    pub context: Option<String>,
    /// The namespace; nothing for that of the context, or `default`.
    pub namespace: Option<String>,
}

/// A cluster that can be asked. Nothing was asked yet.
#[derive(Clone)]
pub struct Reached {
    /// The connection.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
    /// Where the cluster is, for people.
    pub server: String,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// The kubeconfig cannot be used.
    #[error("cannot use the kubeconfig{file}: {why}")]
    Kubeconfig {
        /// Its path with a space before it, when one was named.
        file: String,
        /// Why not.
        why: String,
    },
    /// There is no kubeconfig, and this is no pod.
    #[error("there is no kubeconfig: {why}")]
    Nowhere {
        /// What was tried.
        why: String,
    },
    /// The connection cannot be prepared.
    #[error("cannot prepare a connection to {server}: {why}")]
    Client {
        /// The server.
        server: String,
        /// Why not.
        why: String,
    },
}

/// Reads the kubeconfig and prepares a connection.
///
/// # Errors
/// When there is none, it is damaged, names no such context, or its credentials cannot be used.
pub async fn reach(address: &Address) -> Result<Reached, ReachError> {
    let options =
        KubeConfigOptions { context: address.context.clone(), ..KubeConfigOptions::default() };
    let file = address.kubeconfig.as_ref().map(|path| format!(" {}", path.display()));
    let file = file.unwrap_or_default();
    let broken = |error: KubeconfigError| {
        let why = landfall_model::chain(&error);
        ReachError::Kubeconfig { file: file.clone(), why }
    };
    let mut config = match (&address.kubeconfig, &address.context) {
        (Some(path), _) => {
            let read = Kubeconfig::read_from(path).map_err(&broken)?;
            Config::from_custom_kubeconfig(read, &options).await.map_err(&broken)?
        }
        (None, Some(_)) => Config::from_kubeconfig(&options).await.map_err(&broken)?,
        (None, None) => Config::infer().await.map_err(|error| nowhere(&error))?,
    };
    config.connect_timeout = Some(CONNECT);
    let namespace = address.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let server = config.cluster_url.to_string();
    let client = Client::try_from(config).map_err(|error| ReachError::Client {
        server: server.clone(),
        why: landfall_model::chain(&error),
    })?;
    Ok(Reached { client, namespace, server })
}

fn nowhere(error: &InferConfigError) -> ReachError {
    ReachError::Nowhere { why: landfall_model::chain(error) }
}
