//! Fields that other managers own.

use crate::objects::{MANAGED_BY, Object};
use kube::ResourceExt;
use kube::api::DynamicObject;
use landfall_model::{manifest_fields, manifest_step};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// An object without the fields that an answer of the API server says are somebody else's.
pub(crate) fn without(object: &Object, refused: &kube::Error) -> Object {
    let mut left = object.clone();
    if let kube::Error::Api(status) = refused {
        for cause in status.details.iter().flat_map(|details| &details.causes) {
            remove(&mut left.manifest, &cause.field);
        }
    }
    left
}

/// Removes a field that is named as the API server names it:
/// `.spec.template.spec.containers[name="web"].image`.
fn remove(manifest: &mut Value, field: &str) {
    let mut steps = steps(field);
    let Some(last) = steps.pop() else { return };
    let mut at = manifest;
    for step in &steps {
        let next = match step {
            Step::Key(key) => at.get_mut(key.as_str()),
            Step::Member(key, value) => at.as_array_mut().and_then(|items| {
                items
                    .iter_mut()
                    .find(|item| item.get(key.as_str()).is_some_and(|it| is_json(it, value)))
            }),
        };
        let Some(next) = next else { return };
        at = next;
    }
    match last {
        Step::Key(key) => drop(at.as_object_mut().and_then(|fields| fields.remove(&key))),
        Step::Member(key, value) => {
            if let Some(items) = at.as_array_mut() {
                items.retain(|item| item.get(key.as_str()).is_none_or(|it| !is_json(it, &value)));
            }
        }
    }
}

/// What only others have written into the `spec` of an object, by path. An apply leaves it as it
/// is, and it changes what runs all the same.
pub(crate) fn of_others(live: &DynamicObject) -> BTreeSet<String> {
    let object = serde_json::to_value(live).unwrap_or_default();
    let written = |by_us: bool| {
        let mut found = BTreeSet::new();
        let entries = live.managed_fields().iter().filter(|entry| {
            entry.subresource.is_none() && (entry.manager.as_deref() == Some(MANAGED_BY)) == by_us
        });
        for fields in entries.filter_map(|entry| entry.fields_v1.as_ref()) {
            named(&object, &fields.0, &mut String::new(), &mut found);
        }
        found
    };
    let mut theirs = written(false);
    let ours = written(true);
    theirs.retain(|path| path.starts_with("spec.") && !ours.contains(path));
    theirs
}

/// The paths that a set of fields names: `f:NAME` is a member, `k:{…}` an item by its keys, and
/// what has nothing in it is meant whole.
fn named(value: &Value, fields: &Value, path: &mut String, found: &mut BTreeSet<String>) {
    let end = path.len();
    let Some(members) = fields.as_object().filter(|members| !members.is_empty()) else {
        for inner in manifest_fields(value).into_keys() {
            let dot = if inner.is_empty() || inner.starts_with('[') { "" } else { "." };
            found.insert(format!("{path}{dot}{inner}"));
        }
        return;
    };
    for (key, inner) in members {
        let member = if let Some(name) = key.strip_prefix("f:") {
            manifest_step(path, name);
            value.get(name)
        } else if let Some(keys) = key.strip_prefix("k:") {
            let keys: BTreeMap<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let is = |item: &Value| keys.iter().all(|(key, is)| item.get(key) == Some(is));
            let items = value.as_array();
            let place = items.and_then(|items| items.iter().position(is));
            let item = items.zip(place).and_then(|(items, place)| items.get(place));
            let name = item.and_then(|item| item.get("name")?.as_str());
            manifest_step(path, name.unwrap_or(&place.unwrap_or_default().to_string()));
            item
        } else {
            None
        };
        if let Some(member) = member {
            named(member, inner, path, found);
        }
        path.truncate(end);
    }
}

/// Whether a value is what this JSON says.
fn is_json(value: &Value, json: &str) -> bool {
    serde_json::from_str::<Value>(json).is_ok_and(|it| it == *value)
}

#[derive(Debug, PartialEq)]
enum Step {
    Key(String),
    /// The member of a list whose key has this value, as JSON.
    Member(String, String),
}

fn steps(field: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = field;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let Some((member, after)) = inner.split_once(']') else { return steps };
            // Lists with several keys name the first one first, which is enough here.
            let first = member.split(',').next().unwrap_or(member);
            if let Some((key, value)) = first.split_once('=') {
                steps.push(Step::Member(key.to_owned(), value.to_owned()));
            }
            rest = after;
        } else {
            let name = rest.strip_prefix('.').unwrap_or(rest);
            let end = name.find(['.', '[']).unwrap_or(name.len());
            if end == 0 {
                return steps;
            }
            steps.push(Step::Key(name[..end].to_owned()));
            rest = &name[end..];
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_is_found_as_the_api_server_names_it() {
        let manifest = json!({"spec": {
            "replicas": 2,
            "containers": [{"name": "web", "image": "a"}, {"name": "side", "image": "b"}],
        }});
        let mut left = manifest.clone();
        remove(&mut left, ".spec.replicas");
        remove(&mut left, ".spec.containers[name=\"side\"].image");
        let wanted = json!({"spec": {
            "containers": [{"name": "web", "image": "a"}, {"name": "side"}],
        }});
        assert_eq!(left, wanted);
        for odd in [".spec.none.deeper", "", ".", "[", ".spec.containers[name=\"none\"].image"] {
            let mut left = manifest.clone();
            remove(&mut left, odd);
            assert_eq!(left, manifest, "{odd}");
        }
    }

    #[test]
    fn what_only_others_wrote_is_found_by_its_path() {
        let object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "web", "labels": { "team": "shop" }, "managedFields": [
                { "manager": "landfall", "operation": "Apply", "fieldsV1": { "f:spec": {
                    "f:replicas": {},
                    "f:containers": { "k:{\"name\":\"web\"}": { ".": {}, "f:name": {}, "f:image": {} } },
                } } },
                { "manager": "kubectl-edit", "operation": "Update", "fieldsV1": {
                    "f:metadata": { "f:labels": { "f:team": {} } },
                    "f:spec": { "f:replicas": {}, "f:containers": { "k:{\"name\":\"web\"}": {
                        "f:env": { ".": {}, "k:{\"name\":\"DEBUG\"}": { ".": {}, "f:name": {}, "f:value": {} } },
                    } } },
                } },
                { "manager": "kubelet", "operation": "Update", "subresource": "status",
                  "fieldsV1": { "f:spec": { "f:paused": {} } } },
            ] },
            "spec": { "replicas": 2, "paused": false, "containers": [
                { "name": "web", "image": "a", "env": [{ "name": "DEBUG", "value": "yes" }] },
            ] },
        });
        let object = serde_json::from_value(object).expect("an object");
        let found: Vec<String> = of_others(&object).into_iter().collect();
        assert_eq!(
            found,
            ["name", "value"].map(|it| format!("spec.containers.web.env.DEBUG.{it}"))
        );
    }
}
