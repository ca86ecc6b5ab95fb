//! What becomes of the objects of a cluster, field by field.
//!
//! Most objects of a release carry its number in their name, so old and new stand side by side. They
//! are compared as one thing all the same, without the number, because that is what a person wants
//! to know: what is different about the new one.

use landfall_model::{Manifest, ReleaseNumber, manifest_fields};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What becomes of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectChange {
    /// Its kind.
    pub kind: String,
    /// Its name; the new one where the name carries the release.
    pub name: String,
    /// Its name until now, when that was another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<String>,
    /// What becomes of it.
    pub becomes: Becomes,
    /// The fields that differ, sorted; none for one that is new or goes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
}

/// What becomes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Becomes {
    /// It is made.
    Made,
    /// It is changed, or made beside an older one that goes.
    Changed,
    /// It goes.
    Removed,
}

/// One field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Where: members of lists go by their name, `containers.web.image`.
    pub path: String,
    /// What it was.
    pub from: Option<String>,
    /// What it becomes.
    pub to: Option<String>,
}

/// Some objects, and the release they are of.
#[derive(Debug, Clone, Copy)]
pub struct Objects<'a> {
    /// Them.
    pub all: &'a [Manifest],
    /// The release.
    pub release: ReleaseNumber,
}

/// The difference between two releases' objects, in the order of the new ones.
#[must_use]
pub fn object_changes(old: Option<Objects<'_>>, new: Objects<'_>) -> Vec<ObjectChange> {
    let mut before: BTreeMap<(String, String), &Manifest> = BTreeMap::new();
    if let Some(old) = old {
        before.extend(old.all.iter().map(|it| (key(it, old.release), it)));
    }
    let mut changes = Vec::new();
    for object in new.all {
        let Some(earlier) = before.remove(&key(object, new.release)) else {
            changes.push(change(object, Becomes::Made));
            continue;
        };
        let release = old.map_or(new.release, |old| old.release);
        let fields = differing(&fields_of(earlier, release), &fields_of(object, new.release));
        if !fields.is_empty() {
            let instead_of = (earlier.name != object.name).then(|| earlier.name.clone());
            changes.push(ObjectChange { instead_of, fields, ..change(object, Becomes::Changed) });
        }
    }
    changes.extend(before.into_values().map(|it| change(it, Becomes::Removed)));
    changes
}

fn change(object: &Manifest, becomes: Becomes) -> ObjectChange {
    ObjectChange {
        kind: object.kind.clone(),
        name: object.name.clone(),
        instead_of: None,
        becomes,
        fields: Vec::new(),
    }
}

fn key(object: &Manifest, release: ReleaseNumber) -> (String, String) {
    (object.kind.clone(), without_release(&object.name, release))
}

/// A text without the number of its release.
fn without_release(text: &str, release: ReleaseNumber) -> String {
    text.strip_suffix(&format!("-r{release}"))
        .map_or_else(|| text.to_owned(), |it| format!("{it}-r*"))
}

fn differing(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<FieldChange> {
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    paths
        .into_iter()
        .filter(|path| old.get(*path) != new.get(*path))
        .map(|path| FieldChange {
            path: path.clone(),
            from: old.get(path).cloned(),
            to: new.get(path).cloned(),
        })
        .collect()
}

/// The fields of an object, without what only says which release it is of.
fn fields_of(object: &Manifest, release: ReleaseNumber) -> BTreeMap<String, String> {
    let mut fields = manifest_fields(&object.manifest);
    for (path, text) in &mut fields {
        *text = released(path, text, release);
    }
    fields
}

/// A value without the number of its release.
fn released(path: &str, text: &str, release: ReleaseNumber) -> String {
    let number = release.to_string();
    let says = ["[landfall.dev/release]", "[app.kubernetes.io/version]", "LANDFALL_RELEASE.value"];
    if text == number && says.iter().any(|end| path.ends_with(end)) {
        return "*".to_owned();
    }
    if path.ends_with("[landfall.dev/weights]") {
        return text.replace(&format!("@{number}\""), "@*\"");
    }
    without_release(text, release)
}
