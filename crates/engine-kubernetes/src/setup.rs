//! What a namespace needs before a stack comes: itself, and an account with the least rights.

use crate::error;
use crate::objects::MANAGED_BY;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::{Api, Client};
use landfall_engine::EngineError;
use landfall_model::StackId;
use serde_json::{Value, json};

/// The account, its Role and its RoleBinding are all named so.
pub const ACCOUNT: &str = "landfall";
/// The manager of the fields that a setup writes.
const MANAGER: &str = "landfall-setup";

/// What the account may do: group, resources, verbs. Each is needed by something; the tests run
/// with exactly these.
const RIGHTS: &[(&str, &[&str], &[&str])] = &[
    // The store.
    ("", &["secrets"], &["get", "list", "create", "patch", "delete"]),
    // Environments, the fence, the keys that may deploy.
    ("", &["configmaps"], &["get", "list", "watch", "create", "update", "patch", "delete"]),
    ("", &["services"], &["get", "list", "watch", "create", "patch", "delete"]),
    ("apps", &["deployments"], &["get", "list", "watch", "create", "patch", "delete"]),
    ("batch", &["jobs"], &["get", "list", "watch", "create", "patch", "delete"]),
    ("policy", &["poddisruptionbudgets"], &["get", "list", "create", "patch", "delete"]),
    // What is seen of a rollout, and why it does not go on.
    ("", &["pods"], &["get", "list", "watch"]),
    ("", &["pods/log"], &["get"]),
    ("", &["events"], &["list", "watch"]),
    ("apps", &["replicasets"], &["list", "watch"]),
    ("discovery.k8s.io", &["endpointslices"], &["list", "watch"]),
    ("elbv2.k8s.aws", &["targetgroupbindings"], &["get", "list", "watch"]),
    ("eks.amazonaws.com", &["targetgroupbindings"], &["get", "list", "watch"]),
    // `landfall exec`.
    ("", &["pods/exec"], &["create", "get"]),
];

fn labels() -> Value {
    json!({ "app.kubernetes.io/managed-by": MANAGED_BY })
}

/// The namespace: pods of others are held to the same standard as ours.
#[must_use]
pub fn namespace(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": {
                "app.kubernetes.io/managed-by": MANAGED_BY,
                "pod-security.kubernetes.io/enforce": "restricted",
                // Pods behind an NLB are ready once their target is; without the AWS Load Balancer
                // Controller, or EKS Auto Mode, nobody reads them.
                "elbv2.k8s.aws/pod-readiness-gate-inject": "enabled",
                "eks.amazonaws.com/pod-readiness-gate-inject": "enabled",
            },
        },
    })
}

/// An account with the least rights that work, its Role and its RoleBinding.
#[must_use]
pub fn account(namespace: &str) -> Vec<Value> {
    let rules: Vec<Value> = RIGHTS
        .iter()
        .map(|(group, resources, verbs)| {
            json!({ "apiGroups": [group], "resources": resources, "verbs": verbs })
        })
        .collect();
    let metadata = json!({ "name": ACCOUNT, "namespace": namespace, "labels": labels() });
    vec![
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": metadata,
            "rules": rules,
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ACCOUNT,
            },
            "subjects": [
                { "kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace },
            ],
        }),
    ]
}

/// A Deployment of this program that goes on with what nobody drives any more.
#[must_use]
pub fn agent(stack: &StackId, namespace: &str, image: &str) -> Value {
    let name = format!("landfall-agent-{}-{}", stack.app, stack.stack);
    let selector = json!({ "app.kubernetes.io/name": name });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name, "namespace": namespace, "labels": labels() },
        "spec": {
            "replicas": 1,
            "strategy": { "type": "Recreate" },
            "selector": { "matchLabels": selector },
            "template": {
                "metadata": { "labels": selector },
                "spec": {
                    "serviceAccountName": ACCOUNT,
                    "securityContext": {
                        "runAsNonRoot": true,
                        "runAsUser": 10001,
                        "seccompProfile": { "type": "RuntimeDefault" },
                    },
                    "containers": [{
                        "name": "agent",
                        "image": image,
                        "args": [
                            "agent", "run", "--in-cluster", stack.to_string(),
                            "--namespace", namespace,
                        ],
                        "env": [{ "name": "LANDFALL_HOME", "value": "/tmp/landfall" }],
                        "volumeMounts": [{ "name": "tmp", "mountPath": "/tmp" }],
                        "resources": {
                            "requests": { "cpu": "10m", "memory": "32Mi" },
                            "limits": { "memory": "128Mi" },
                        },
                        "securityContext": {
                            "allowPrivilegeEscalation": false,
                            "readOnlyRootFilesystem": true,
                            "capabilities": { "drop": ["ALL"] },
                        },
                    }],
                    "volumes": [{ "name": "tmp", "emptyDir": {} }],
                },
            },
        },
    })
}

/// Makes all of it, or brings it up to date. Says what there is now.
///
/// # Errors
/// When the cluster cannot be reached or does not allow it: whoever prepares a namespace needs more
/// rights than whoever deploys into it.
pub async fn prepare(client: &Client, name: &str) -> Result<Vec<String>, EngineError> {
    let mut made = Vec::new();
    for manifest in std::iter::once(namespace(name)).chain(account(name)) {
        let text = |path: &str| manifest.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let (kind, object) = (text("/kind").to_owned(), text("/metadata/name").to_owned());
        let (group, version) = match text("/apiVersion").split_once('/') {
            Some((group, version)) => (group.to_owned(), version.to_owned()),
            None => (String::new(), text("/apiVersion").to_owned()),
        };
        let resource =
            ApiResource::from_gvk(&GroupVersionKind { group, version, kind: kind.clone() });
        let api: Api<DynamicObject> = if kind == "Namespace" {
            Api::all_with(client.clone(), &resource)
        } else {
            Api::namespaced_with(client.clone(), name, &resource)
        };
        let params = PatchParams { force: true, ..PatchParams::apply(MANAGER) };
        api.patch(&object, &params, &Patch::Apply(&manifest))
            .await
            .map_err(|error| error::failed(format!("write the {kind} {object}"), &error))?;
        made.push(format!("{kind} {object}"));
    }
    Ok(made)
}
