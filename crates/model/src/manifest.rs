//! Objects of a cluster: as they are written, and how they differ from what stands there.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// An object as it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// All of it.
    pub manifest: Value,
}

/// A field of an object that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The object, as `Kind name`.
    pub object: String,
    /// The field, in words of the manifest; nothing when all of the object is meant.
    pub path: String,
    /// What stands there.
    pub live: Option<String>,
    /// What should.
    pub wanted: Option<String>,
    /// Who wrote it, when somebody says that they own it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// A manifest as lines `path → value`. Members of lists go by their name where they have one:
/// `spec.containers.web.image`.
#[must_use]
pub fn manifest_fields(manifest: &Value) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    walk(manifest, &mut String::new(), &mut fields);
    fields
}

fn walk(value: &Value, path: &mut String, fields: &mut BTreeMap<String, String>) {
    let end = path.len();
    match value {
        Value::Null => {}
        Value::Object(members) => {
            for (key, member) in members {
                manifest_step(path, key);
                walk(member, path, fields);
                path.truncate(end);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let name = item.get("name").and_then(Value::as_str);
                manifest_step(path, name.unwrap_or(&index.to_string()));
                walk(item, path, fields);
                path.truncate(end);
            }
        }
        Value::String(text) => drop(fields.insert(path.clone(), text.clone())),
        other => drop(fields.insert(path.clone(), other.to_string())),
    }
}

/// Adds a step to a path as [`manifest_fields`] writes it.
pub fn manifest_step(path: &mut String, key: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    if key.contains('.') {
        path.push('[');
        path.push_str(key);
        path.push(']');
    } else {
        path.push_str(key);
    }
}
