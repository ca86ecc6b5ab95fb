//! What the AWS Load Balancer Controller does in one namespace: target groups for Services, health
//! of targets into gates, and what AWS refused into events.

use crate::world::World;
use k8s_openapi::api::core::v1::{Event, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{
    ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_util::task::AbortOnDropHandle;

const POLICY: &str = "service.beta.kubernetes.io/aws-load-balancer-ssl-negotiation-policy";
/// How long a target takes to become healthy.
const HEALTHY_AFTER: Duration = Duration::from_millis(1500);

pub fn bindings(client: &Client, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("elbv2.k8s.aws", "v1beta1", "TargetGroupBinding");
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&kind))
}

/// Makes the kind `TargetGroupBinding` known.
pub async fn install(client: &Client) {
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let all: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::from_gvk(&kind));
    let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let manifest = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": "targetgroupbindings.elbv2.k8s.aws" },
        "spec": {
            "group": "elbv2.k8s.aws",
            "scope": "Namespaced",
            "names": {
                "kind": "TargetGroupBinding",
                "plural": "targetgroupbindings",
                "singular": "targetgroupbinding",
            },
            "versions": [{
                "name": "v1beta1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": schema },
            }],
        },
    });
    let object = serde_json::from_value(manifest).expect("an object");
    all.create(&PostParams::default(), &object).await.expect("installed");
    let known = async {
        while bindings(client, "default").list(&ListParams::default()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), known).await.expect("the kind is served");
}

/// Ends when it is dropped.
pub struct Controller {
    /// Seconds until a target group is bound to a new Service.
    pub binds_after: Arc<AtomicU64>,
    /// Whether no target ever gets healthy.
    pub sick: Arc<AtomicBool>,
    /// The fewest healthy targets that there were since it was asked to count.
    pub fewest: Arc<AtomicUsize>,
    counts: Arc<AtomicBool>,
    made: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

struct Work {
    client: Client,
    namespace: String,
    binds_after: Arc<AtomicU64>,
    sick: Arc<AtomicBool>,
    fewest: Arc<AtomicUsize>,
    counts: Arc<AtomicBool>,
    made: Arc<AtomicUsize>,
    /// When each Service came, and what of it was reconciled last.
    services: Mutex<BTreeMap<String, (Instant, String)>>,
    registered: Mutex<BTreeMap<String, Instant>>,
}

impl Controller {
    pub fn start(world: &World) -> Self {
        let (binds_after, sick) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let fewest = Arc::new(AtomicUsize::new(usize::MAX));
        let (counts, made) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let work = Work {
            client: world.client(),
            namespace: world.namespace().to_owned(),
            binds_after: Arc::clone(&binds_after),
            sick: Arc::clone(&sick),
            fewest: Arc::clone(&fewest),
            counts: Arc::clone(&counts),
            made: Arc::clone(&made),
            services: Mutex::default(),
            registered: Mutex::default(),
        };
        let task = tokio::spawn(async move {
            loop {
                work.reconcile().await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        let task = AbortOnDropHandle::new(task);
        Self { binds_after, sick, fewest, counts, made, _task: task }
    }

    pub fn begin_to_count(&self) {
        self.counts.store(true, Ordering::Relaxed);
    }

    pub fn groups_made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }
}

impl Work {
    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn reconcile(&self) {
        let list = ListParams::default();
        let Ok(services) = self.api::<Service>().list(&list).await else { return };
        for service in services {
            let class = service.spec.as_ref().and_then(|it| it.load_balancer_class.as_deref());
            if class == Some("service.k8s.aws/nlb") {
                self.service(&service).await;
                self.targets(&service.name_any()).await;
            }
        }
    }

    async fn service(&self, service: &Service) {
        let name = service.name_any();
        let now = Instant::now();
        let annotations = service.annotations();
        let state = format!("{:?} {annotations:?}", service.uid());
        let (since, known) = {
            let mut all = self.services.lock().expect("no panic");
            let entry = all.entry(name.clone()).or_insert((now, String::new()));
            (entry.0, entry.1 == state)
        };
        if now.duration_since(since).as_secs() < self.binds_after.load(Ordering::Relaxed) || known {
            return;
        }
        if let Some((_, last)) = self.services.lock().expect("no panic").get_mut(&name) {
            *last = state;
        }
        if annotations.get(POLICY).is_some_and(|it| it.ends_with("Nonsense")) {
            let words = "Failed deploy model due to operation error Elastic Load Balancing v2: ModifyListener, SSLPolicyNotFound: SSL policy 'ELBSecurityPolicy-Nonsense' not found";
            self.say(service, "Warning", "FailedDeployModel", words).await;
            return;
        }
        let binding = format!("k8s-{:.8}-{:.8}-0123456789", self.namespace, name);
        let manifest = json!({
            "apiVersion": "elbv2.k8s.aws/v1beta1",
            "kind": "TargetGroupBinding",
            "metadata": { "name": binding },
            "spec": {
                "serviceRef": { "name": name, "port": service.spec.as_ref().and_then(|it| it.ports.as_ref()).and_then(|it| it.first()).map(|it| it.port) },
                "targetGroupARN": format!("arn:aws:elasticloadbalancing:eu-central-1:1:targetgroup/{binding}/1"),
                "targetType": "ip",
            },
        });
        let object = serde_json::from_value(manifest).expect("an object");
        let all = bindings(&self.client, &self.namespace);
        if all.create(&PostParams::default(), &object).await.is_ok() {
            self.made.fetch_add(1, Ordering::Relaxed);
        }
        let host =
            json!({ "status": { "loadBalancer": { "ingress": [{ "hostname": "nlb.example" }] } } });
        let params = PatchParams::default();
        let _ = self.api::<Service>().patch_status(&name, &params, &Patch::Merge(&host)).await;
        self.say(service, "Normal", "SuccessfullyReconciled", "Successfully reconciled").await;
    }

    async fn say(&self, service: &Service, kind: &str, reason: &str, message: &str) {
        let now = jiff::Timestamp::now().to_string();
        let event: Event = serde_json::from_value(json!({
            "metadata": { "generateName": "shop-" },
            "involvedObject": {
                "apiVersion": "v1", "kind": "Service", "namespace": self.namespace,
                "name": service.name_any(), "uid": service.uid(),
            },
            "type": kind, "reason": reason, "message": message,
            "firstTimestamp": now, "lastTimestamp": now, "count": 1,
        }))
        .expect("an event");
        self.api::<Event>().create(&PostParams::default(), &event).await.expect("said");
    }

    /// Pods of the Service whose containers are ready become targets, and healthy later.
    async fn targets(&self, service: &str) {
        let of_it = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        let Ok(slices) = self.api::<EndpointSlice>().list(&of_it).await else { return };
        let endpoints = slices.items.into_iter().flat_map(|slice| slice.endpoints);
        let named = endpoints.filter_map(|it| it.target_ref?.name);
        let names: BTreeSet<String> = named.collect();
        let Ok(pods) = self.api::<Pod>().list(&ListParams::default()).await else { return };
        let mut healthy = 0;
        for pod in pods.items.iter().filter(|pod| names.contains(&pod.name_any())) {
            if pod.metadata.deletion_timestamp.is_none() && self.target(pod).await {
                healthy += 1;
            }
        }
        if self.counts.load(Ordering::Relaxed) {
            self.fewest.fetch_min(healthy, Ordering::Relaxed);
        }
    }

    /// Whether it is healthy.
    async fn target(&self, pod: &Pod) -> bool {
        let conditions = pod.status.as_ref().and_then(|it| it.conditions.clone());
        let conditions = conditions.unwrap_or_default();
        let is = |kind: &str| conditions.iter().any(|it| it.type_ == kind && it.status == "True");
        if !is("ContainersReady") {
            return false;
        }
        let since = {
            let mut all = self.registered.lock().expect("no panic");
            *all.entry(pod.name_any()).or_insert_with(Instant::now)
        };
        let (status, reason) = match (since.elapsed() >= HEALTHY_AFTER, &self.sick) {
            (true, sick) if sick.load(Ordering::Relaxed) => ("False", "Target.FailedHealthChecks"),
            (true, _) => ("True", ""),
            (false, _) => ("False", "Elb.RegistrationInProgress"),
        };
        let gates = pod.spec.as_ref().and_then(|it| it.readiness_gates.clone());
        for gate in gates.unwrap_or_default() {
            let same =
                |reason_is: &str, status_is: &str| reason_is == reason && status_is == status;
            let known = conditions.iter().any(|it| {
                it.type_ == gate.condition_type
                    && same(it.reason.as_deref().unwrap_or_default(), &it.status)
            });
            if !known {
                let patch = json!({ "status": { "conditions": [{
                    "type": gate.condition_type, "status": status, "reason": reason,
                }] } });
                let params = PatchParams::default();
                let pods = self.api::<Pod>();
                let _ =
                    pods.patch_status(&pod.name_any(), &params, &Patch::Strategic(&patch)).await;
            }
        }
        status == "True"
    }
}
