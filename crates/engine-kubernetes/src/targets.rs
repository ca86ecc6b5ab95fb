//! Holds pods back until the NLBs before them have target groups.

use crate::apply::Place;
use crate::binding;
use crate::objects::{Kind, Made, Object, group_of};
use kube::ResourceExt;
use kube::api::DynamicObject;
use landfall_model::GroupId;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What was found of NLBs in one apply.
#[derive(Default)]
pub(crate) struct Targets {
    /// Why the NLB of a Service has no target group; nothing when it has one.
    found: BTreeMap<String, Option<String>>,
}

impl Targets {
    /// What of an object may be written now: without the pods that have to wait, or nothing when it
    /// is only pods. Beside it what they wait for.
    pub(crate) async fn ready<'o>(
        &mut self,
        place: &Place<'_>,
        object: &'o Object,
        old: Option<&DynamicObject>,
    ) -> (Option<Cow<'o, Object>>, Option<(GroupId, String)>) {
        let missing = self.missing(place, object, old).await;
        let now = match (&missing, old) {
            (None, _) => Some(Cow::Borrowed(object)),
            (Some(_), None) => None,
            (Some(_), Some(old)) => {
                let mut fewer = object.clone();
                fewer.manifest["spec"]["replicas"] = old.data["spec"]["replicas"].clone();
                Some(Cow::Owned(fewer))
            }
        };
        (now, missing)
    }

    /// Why a group may not have more pods yet, and which. Only what makes pods has to wait.
    async fn missing(
        &mut self,
        place: &Place<'_>,
        object: &Object,
        old: Option<&DynamicObject>,
    ) -> Option<(GroupId, String)> {
        if object.kind != Kind::Deployment {
            return None;
        }
        let wanted: DynamicObject = serde_json::from_value(object.manifest.clone()).ok()?;
        let replicas = |it: &DynamicObject| it.data["spec"]["replicas"].as_i64().unwrap_or(0);
        if replicas(&wanted) <= old.map_or(0, replicas) {
            return None;
        }
        let id = group_of(wanted.labels())?;
        for name in Made::said(wanted.annotations())?.balancers {
            let why = match self.found.get(&name) {
                Some(known) => known.clone(),
                None => {
                    let why = binding::wait(place.client, place.namespace, &name).await.err();
                    self.found.insert(name, why.clone());
                    why
                }
            };
            if let Some(why) = why {
                return Some((id, why));
            }
        }
        None
    }
}
