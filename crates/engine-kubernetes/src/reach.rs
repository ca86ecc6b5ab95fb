//! From a kubeconfig to a connection.

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError, NamedAuthInfo};
use kube::{Client, Config};
use std::path::{Path, PathBuf};
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
    /// The program that is run in place of `aws eks get-token`, with the same arguments after
    /// `eks-token`, so that nobody has to have AWS's own.
    pub eks_token: Option<PathBuf>,
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
    #[error("there is no kubeconfig at `KUBECONFIG` or ~/.kube/config, and this is no pod: {why}")]
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
    let read = match &address.kubeconfig {
        Some(path) => Some(Kubeconfig::read_from(path).map_err(&broken)?),
        None => match Kubeconfig::read() {
            Ok(read) => Some(read),
            // A pod has an account instead.
            Err(KubeconfigError::ReadConfig(..) | KubeconfigError::FindPath)
                if address.context.is_none() =>
            {
                None
            }
            Err(error) => return Err(broken(error)),
        },
    };
    let mut config = match read {
        Some(mut read) => {
            if let Some(program) = &address.eks_token {
                read.auth_infos.iter_mut().for_each(|user| native_token(user, program));
            }
            Config::from_custom_kubeconfig(read, &options).await.map_err(&broken)?
        }
        None => Config::incluster()
            .map_err(|error| ReachError::Nowhere { why: landfall_model::chain(&error) })?,
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

/// Runs our own program where a kubeconfig of EKS runs AWS's, when it asks for nothing else.
fn native_token(user: &mut NamedAuthInfo, program: &Path) {
    const KNOWN: [&str; 4] = ["--cluster-name", "--region", "--profile", "--output"];
    let Some(exec) = user.auth_info.as_mut().and_then(|info| info.exec.as_mut()) else { return };
    let aws = exec.command.as_deref().map(Path::new).and_then(Path::file_name);
    let arguments: Vec<&str> = exec.args.iter().flatten().map(String::as_str).collect();
    let flags = arguments.iter().filter(|argument| argument.starts_with("--"));
    let asks = arguments.windows(2).any(|pair| pair == ["eks", "get-token"]);
    if aws.is_some_and(|name| name == "aws") && asks && flags.clone().all(|it| KNOWN.contains(it)) {
        let mut ours = vec!["eks-token".to_owned()];
        ours.extend(
            arguments
                .iter()
                .filter(|it| !["eks", "get-token"].contains(it))
                .map(|it| (*it).to_owned()),
        );
        exec.args = Some(ours);
        exec.command = Some(program.display().to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::config::{AuthInfo, ExecConfig};

    fn user(command: &str, arguments: &[&str]) -> NamedAuthInfo {
        let exec: ExecConfig = serde_json::from_value(serde_json::json!({
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "command": command,
            "args": arguments,
        }))
        .expect("a configuration");
        NamedAuthInfo {
            name: "someone".into(),
            auth_info: Some(AuthInfo { exec: Some(exec), ..AuthInfo::default() }),
            ..NamedAuthInfo::default()
        }
    }

    fn replaced(command: &str, arguments: &[&str]) -> (String, Vec<String>) {
        let mut user = user(command, arguments);
        native_token(&mut user, Path::new("/usr/bin/landfall"));
        let exec = user.auth_info.expect("a user").exec.expect("a program");
        (exec.command.expect("a command"), exec.args.expect("arguments"))
    }

    #[test]
    fn only_a_plain_request_for_a_token_is_made_ours() {
        let plain = ["--region", "eu-west-1", "eks", "get-token", "--cluster-name", "shop"];
        let (command, arguments) = replaced("aws", &plain);
        assert_eq!(command, "/usr/bin/landfall");
        assert_eq!(arguments, ["eks-token", "--region", "eu-west-1", "--cluster-name", "shop"]);
        let role = ["eks", "get-token", "--cluster-name", "shop", "--role-arn", "arn:…"];
        assert_eq!(replaced("aws", &role).0, "aws");
        assert_eq!(replaced("gke-gcloud-auth-plugin", &[]).0, "gke-gcloud-auth-plugin");
    }
}
