//! A Service that becomes another kind of load balancer. Kubernetes takes no change of its class
//! while it is one, so the old Service goes first, and what its clients knew it by with it.

use crate::apply::Place;
use crate::objects::{Kind, Object};
use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::runtime::wait::{await_condition, conditions};
use landfall_engine::EngineError;
use serde_json::Value;
use std::time::Duration;

/// How long the controller of the old one may take to remove it: what is in AWS goes first.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether both are load balancers, of different classes.
pub(crate) fn is_another_balancer(object: &Object, old: &DynamicObject) -> bool {
    let (was, is) = (&old.data["spec"], &object.manifest["spec"]);
    let balancer = |spec: &Value| spec["type"] == "LoadBalancer";
    object.kind == Kind::Service
        && balancer(was)
        && balancer(is)
        && was["loadBalancerClass"] != is["loadBalancerClass"]
}

impl Place<'_> {
    /// Removes what is there, and waits until it is gone.
    pub(crate) async fn replace(
        &self,
        object: &Object,
        old: &DynamicObject,
    ) -> Result<(), EngineError> {
        if old.metadata.deletion_timestamp.is_none() && !self.delete(object.kind, old).await? {
            return Ok(());
        }
        let uid = old.uid().unwrap_or_default();
        let gone = conditions::is_deleted(&uid);
        let waiting = await_condition(self.api(object.kind), &object.name, gone);
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(EngineError::Failed {
                operation: format!("watch the Service {} go", object.name),
                why: landfall_model::chain(&error),
            }),
            Err(_) => Err(EngineError::Failed {
                operation: format!("replace the load balancer of {}", object.name),
                why: "the old one is not gone after a minute; see what its controller says with `kubectl describe service`".into(),
            }),
        }
    }
}
