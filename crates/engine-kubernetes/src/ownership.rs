//! Fields that other managers own.

use crate::objects::Object;
use serde_json::Value;

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
                items.iter_mut().find(|item| item.get(key.as_str()).is_some_and(|it| it == value))
            }),
        };
        let Some(next) = next else { return };
        at = next;
    }
    match last {
        Step::Key(key) => drop(at.as_object_mut().and_then(|fields| fields.remove(&key))),
        Step::Member(key, value) => {
            if let Some(items) = at.as_array_mut() {
                items.retain(|item| item.get(key.as_str()).is_none_or(|it| *it != value));
            }
        }
    }
}

#[derive(Debug, PartialEq)]
enum Step {
    Key(String),
    /// The member of a list whose key has this value.
    Member(String, Value),
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
                let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
                steps.push(Step::Member(key.to_owned(), value));
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
}
