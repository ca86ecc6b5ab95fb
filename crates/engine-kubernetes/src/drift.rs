//! How what stands in the cluster differs from what should: found by a dry-run of the apply, so that
//! the API server itself says what would change, and by what only others have written.

use crate::apply::{api, as_made, seen};
use crate::error::{self, Refusal, refusal};
use crate::objects::{self, FENCE, HASH, Kind, MANAGED_BY};
use crate::ownership;
use futures::stream::{self, StreamExt, TryStreamExt};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Client, ResourceExt};
use landfall_engine::EngineError;
use landfall_model::{Desired, Difference, manifest_fields};
use serde_json::Value;
use std::collections::BTreeMap;

/// How many objects are looked at at once.
const AT_ONCE: usize = 8;

/// Every field that an apply would change, and every object that is missing or too many.
pub(crate) async fn differences(
    client: &Client,
    namespace: &str,
    desired: &Desired,
) -> Result<Vec<Difference>, EngineError> {
    let mut seen = seen(client, namespace, &desired.stack).await?;
    let wanted = objects::objects_as(desired, &as_made(desired, &seen));
    let looks: Vec<_> = wanted
        .iter()
        .map(|object| {
            let live = seen.remove(&(object.kind, object.name.clone()));
            one(client, namespace, object, live)
        })
        .collect();
    let found: Vec<Vec<Difference>> = stream::iter(looks).buffered(AT_ONCE).try_collect().await?;
    let mut all: Vec<Difference> = found.into_iter().flatten().collect();
    // What is left belongs to the stack and nobody wants it. Hooks stay, so that none runs twice.
    let left = seen.iter().filter(|((kind, _), _)| *kind != Kind::Job);
    all.extend(left.map(|((kind, name), object)| Difference {
        object: format!("{} {name}", kind.word()),
        path: String::new(),
        live: Some("is there".to_owned()),
        wanted: None,
        owner: owner(object),
    }));
    Ok(all)
}

async fn one(
    client: &Client,
    namespace: &str,
    object: &objects::Object,
    live: Option<DynamicObject>,
) -> Result<Vec<Difference>, EngineError> {
    let named = format!("{} {}", object.kind.word(), object.name);
    let failed = |error: &kube::Error| error::failed(format!("look at the {named}"), error);
    let api = api(client, namespace, object.kind);
    let live = match live {
        Some(live) => Some(live),
        // One that is not ours may have the name.
        None => api.get_opt(&object.name).await.map_err(|error| failed(&error))?,
    };
    let Some(live) = live else {
        let wanted = Some("is made".to_owned());
        return Ok(vec![Difference {
            object: named,
            path: String::new(),
            live: None,
            wanted,
            owner: None,
        }]);
    };
    // A job is never written twice.
    if object.kind == Kind::Job {
        return Ok(Vec::new());
    }
    let mut manifest = object.manifest.clone();
    manifest["metadata"]["namespace"] = Value::from(namespace);
    let params = PatchParams {
        dry_run: true,
        force: true,
        field_manager: Some(MANAGED_BY.into()),
        ..PatchParams::default()
    };
    let written = match api.patch(&object.name, &params, &Patch::Apply(&manifest)).await {
        Ok(written) => written,
        Err(error) if refusal(&error) == Refusal::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(&error)),
    };
    let (is, should) = (fields(&live), fields(&written));
    let mut found = Vec::new();
    for (path, wanted) in &should {
        if is.get(path) != Some(wanted) {
            found.push(Difference {
                object: named.clone(),
                owner: owner(&live),
                path: path.clone(),
                live: is.get(path).cloned(),
                wanted: Some(wanted.clone()),
            });
        }
    }
    // What others added stays when it is applied, so the dry-run does not show it.
    let (added, ours) = (ownership::of_others(&live), manifest_fields(&manifest));
    let extra = is.iter().filter(|(path, _)| {
        !should.contains_key(*path) || (added.contains(*path) && !ours.contains_key(*path))
    });
    for (path, standing) in extra {
        found.push(Difference {
            object: named.clone(),
            owner: owner(&live),
            path: path.clone(),
            live: Some(standing.clone()),
            wanted: None,
        });
    }
    Ok(found)
}

/// Who else wrote to an object, newest first.
fn owner(live: &DynamicObject) -> Option<String> {
    let mut others: Vec<_> = live
        .managed_fields()
        .iter()
        .filter(|entry| entry.subresource.is_none() && entry.manager.as_deref() != Some(MANAGED_BY))
        .collect();
    others.sort_by_key(|entry| std::cmp::Reverse(entry.time.as_ref().map(|time| time.0)));
    others.first().and_then(|entry| entry.manager.clone())
}

/// The fields that say what an object is, without what the cluster keeps about it.
fn fields(object: &DynamicObject) -> BTreeMap<String, String> {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(all) = value.as_object_mut() {
        // A listing leaves out the first two.
        for key in ["apiVersion", "kind", "status"] {
            all.remove(key);
        }
    }
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| key == "labels" || key == "annotations" || key == "name");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            // Which writing it was, and what controllers note.
            annotations.retain(|key, _| {
                key != FENCE && key != HASH && key != "deployment.kubernetes.io/revision"
            });
        }
    }
    manifest_fields(&value)
}
