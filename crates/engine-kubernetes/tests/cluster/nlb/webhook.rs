//! The controller's webhook: a pod of a labelled namespace gets a gate for each target group whose
//! Service selects it at that instant. It fails open, as the real one does.

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Namespace, Service};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_util::task::AbortOnDropHandle;

pub struct Webhook {
    _task: AbortOnDropHandle<()>,
}

impl Webhook {
    pub async fn start(client: &Client) -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("made");
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a configuration");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let task = tokio::spawn(serve(client.clone(), listener, acceptor));
        register(client, port, &made.cert.pem()).await;
        Self { _task: AbortOnDropHandle::new(task) }
    }
}

async fn register(client: &Client, port: u16, authority: &str) {
    let kind =
        GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration");
    let resource = ApiResource::from_gvk(&kind);
    let all: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let manifest = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": { "name": "aws-load-balancer-webhook" },
        "webhooks": [{
            "name": "mpod.elbv2.k8s.aws",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Ignore",
            "timeoutSeconds": 5,
            "namespaceSelector": {
                "matchLabels": { "elbv2.k8s.aws/pod-readiness-gate-inject": "enabled" },
            },
            "clientConfig": {
                "url": format!("https://127.0.0.1:{port}/mutate-v1-pod"),
                "caBundle": ByteString(authority.as_bytes().to_vec()),
            },
            "rules": [{
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "resources": ["pods"],
                "operations": ["CREATE"],
            }],
        }],
    });
    let object = serde_json::from_value(manifest).expect("an object");
    all.create(&PostParams::default(), &object).await.expect("registered");
}

async fn serve(client: Client, listener: TcpListener, acceptor: TlsAcceptor) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (client, acceptor) = (client.clone(), acceptor.clone());
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let answer = service_fn(move |request| answer(client.clone(), request));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

async fn answer(client: Client, request: Request<Incoming>) -> hyper::Result<Response<String>> {
    let body = read(request.into_body()).await?;
    let review: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut answer = json!({ "uid": review["request"]["uid"], "allowed": true });
    let gates = gates(&client, &review["request"]).await;
    if !gates.is_empty() {
        let patch =
            json!([{ "op": "add", "path": "/spec/readinessGates", "value": gates }]).to_string();
        answer["patchType"] = json!("JSONPatch");
        answer["patch"] = json!(ByteString(patch.into_bytes()));
    }
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer,
    });
    let mut response = Response::new(review.to_string());
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
    Ok(response)
}

async fn read(mut body: Incoming) -> hyper::Result<Vec<u8>> {
    use hyper::body::Body as _;
    let mut all = Vec::new();
    while let Some(frame) =
        std::future::poll_fn(|context| std::pin::Pin::new(&mut body).poll_frame(context)).await
    {
        if let Ok(data) = frame?.into_data() {
            all.extend_from_slice(&data);
        }
    }
    Ok(all)
}

async fn gates(client: &Client, request: &Value) -> Vec<Value> {
    let namespace = request["namespace"].as_str().unwrap_or_default();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let Ok(found) = namespaces.get(namespace).await else { return Vec::new() };
    if found.labels().get("testbed/webhook").is_some_and(|it| it == "stopped") {
        return Vec::new();
    }
    let labels = &request["object"]["metadata"]["labels"];
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let mut gates = Vec::new();
    let bindings = super::controller::bindings(client, namespace);
    for binding in bindings.list(&ListParams::default()).await.expect("a list") {
        let name = binding.data["spec"]["serviceRef"]["name"].as_str().unwrap_or_default();
        let Ok(service) = services.get(name).await else { continue };
        let selector = service.spec.and_then(|spec| spec.selector).unwrap_or_default();
        if selector.iter().all(|(key, value)| labels[key] == json!(value)) {
            let gate = format!("target-health.elbv2.k8s.aws/{}", binding.name_any());
            gates.push(json!({ "conditionType": gate }));
        }
    }
    gates
}
