//! The JSON Schema of the file, for editors. The parser is the truth: what it takes, the schema
//! takes, and a test holds the two against each other.

mod values;

use crate::decode::{ALPN, CLASSES, KINDS, PROVIDERS, SCHEMES};
use crate::keys::{self, Keys};
use serde_json::{Map, Value, json};
use values::{
    boolean, duration, integer, list_of, map_of, nullable, size, text, word, word_or_reference,
};

/// The JSON Schema (draft 2020-12) of `landfall.yaml`.
#[must_use]
pub fn schema() -> Value {
    let mut top = object(
        &keys::TOP,
        &["landfall", "app", "services"],
        vec![
            ("landfall", json!({ "const": "v1" })),
            ("app", json!({ "type": "string", "pattern": values::NAME })),
            ("options", map_of(values::OPTION_NAME, option())),
            ("services", at_least_one(map_of(values::NAME, service()))),
            ("hooks", object(&keys::HOOKS, &[], vec![("before", map_of(values::NAME, hook()))])),
            ("certificates", map_of(values::NAME, certificate(false))),
            ("listeners", map_of(values::NAME, listener(false))),
            ("rollout", rollout(false)),
            ("stacks", at_least_one(map_of(values::NAME, stack()))),
        ],
    );
    if let Value::Object(top) = &mut top {
        top.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        top.insert("title".to_owned(), json!("landfall.yaml"));
        top.insert("$defs".to_owned(), values::definitions());
    }
    top
}

/// A map with fixed keys, each with what the table says about it.
fn object(keys: &Keys, required: &[&str], properties: Vec<(&str, Value)>) -> Value {
    let mut all = Map::new();
    for (name, mut value) in properties {
        if let (Some(about), Value::Object(value)) = (keys::find(keys.known, name), &mut value) {
            value.insert("description".to_owned(), json!(about));
        }
        all.insert(name.to_owned(), value);
    }
    let mut schema = json!({ "type": "object", "additionalProperties": false, "properties": all });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn at_least_one(mut map: Value) -> Value {
    map["minProperties"] = json!(1);
    map
}

/// Properties of which a stack may take each away.
fn properties(inherits: bool, all: Vec<(&str, Value)>) -> Vec<(&str, Value)> {
    let change = |value| if inherits { nullable(value) } else { value };
    all.into_iter().map(|(name, value)| (name, change(value))).collect()
}

fn option() -> Value {
    let types: Vec<&str> = landfall_model::OptionType::ALL.iter().map(|kind| kind.word()).collect();
    object(
        &keys::OPTION,
        &["type"],
        vec![
            ("type", word(&types)),
            ("default", text()),
            ("min", text()),
            ("max", text()),
            ("description", text()),
        ],
    )
}

fn service() -> Value {
    object(
        &keys::SERVICE,
        &[],
        vec![
            ("artifact", either(vec![text(), artifact()])),
            ("image", either(vec![text(), image()])),
            ("base", text()),
            ("command", command()),
            ("port", integer(1, 65_535)),
            ("replicas", integer(0, 500)),
            ("env", environment(false)),
            ("env_file", either(vec![text(), list_of(text(), 0)])),
            ("health", either(vec![text(), health()])),
            ("stop", stop()),
            ("overlap", boolean()),
            ("volumes", map_of(values::NAME, text())),
            ("resources", resources(false)),
        ],
    )
}

fn either(choices: Vec<Value>) -> Value {
    json!({ "anyOf": choices })
}

fn artifact() -> Value {
    let patterns = || list_of(text(), 0);
    object(
        &keys::ARTIFACT,
        &["path"],
        vec![("path", text()), ("include", patterns()), ("exclude", patterns())],
    )
}

fn image() -> Value {
    let pull = word_or_reference(&["missing", "never"]);
    object(&keys::IMAGE, &["name"], vec![("name", text()), ("pull", pull)])
}

fn command() -> Value {
    either(vec![text(), list_of(text(), 1)])
}

fn environment(inherits: bool) -> Value {
    let value = if inherits { nullable(text()) } else { text() };
    map_of(values::VARIABLE, value)
}

fn health() -> Value {
    object(
        &keys::HEALTH,
        &[],
        vec![
            ("http", text()),
            ("tcp", boolean()),
            ("process", boolean()),
            ("every", duration()),
            ("timeout", duration()),
            ("healthy", integer(1, 100)),
            ("unhealthy", integer(1, 100)),
        ],
    )
}

fn stop() -> Value {
    let signals = ["TERM", "INT", "QUIT", "HUP", "USR1", "USR2"];
    object(&keys::STOP, &[], vec![("signal", word_or_reference(&signals)), ("grace", duration())])
}

fn resources(inherits: bool) -> Value {
    object(
        &keys::RESOURCES,
        &[],
        properties(inherits, vec![("cpu", values::cpu()), ("memory", size())]),
    )
}

fn hook() -> Value {
    let verbs = || word_or_reference(&["up", "rollback", "forward"]);
    object(
        &keys::HOOK,
        &["service", "command"],
        vec![
            ("service", values::name()),
            ("command", command()),
            ("timeout", duration()),
            ("on", either(vec![verbs(), list_of(verbs(), 1)])),
            ("retry", word_or_reference(&["safe"])),
        ],
    )
}

fn certificate(inherits: bool) -> Value {
    let required: &[&str] = if inherits { &[] } else { &["names"] };
    let all = vec![("names", list_of(text(), 1)), ("arn", text())];
    object(&keys::CERTIFICATE, required, properties(inherits, all))
}

fn listener(inherits: bool) -> Value {
    let redirect = object(&keys::REDIRECT, &["https"], vec![("https", integer(1, 65_535))]);
    let all = vec![
        (
            "listen",
            either(vec![
                json!({ "type": "integer", "minimum": 1, "maximum": 65_535 }),
                json!({ "type": "string" }),
            ]),
        ),
        ("protocol", word_or_reference(&["tls", "tcp", "https", "http"])),
        ("certificate", values::name()),
        ("policy", text()),
        ("hosts", list_of(text(), 1)),
        ("to", values::name()),
        ("redirect", either(vec![word_or_reference(&["https"]), redirect])),
        ("provider", word_or_reference(&PROVIDERS)),
        ("type", word_or_reference(&KINDS)),
        ("node_port", integer(1, 65_535)),
        ("scheme", word_or_reference(&SCHEMES)),
        ("alpn", word_or_reference(&ALPN)),
        ("class", word_or_reference(&CLASSES)),
        ("annotations", json!({ "type": "object", "additionalProperties": text() })),
    ];
    // A listener may leave keys to the stacks, so none is required here.
    object(&keys::LISTENER, &[], properties(inherits, all))
}

fn rollout(inherits: bool) -> Value {
    let all = vec![
        ("strategy", word_or_reference(&["blue-green", "rolling"])),
        ("drain", duration()),
        ("bake", duration()),
        ("deadline", duration()),
    ];
    object(&keys::ROLLOUT, &[], properties(inherits, all))
}

fn stack() -> Value {
    let service = object(
        &keys::STACK_SERVICE,
        &[],
        vec![
            ("replicas", nullable(integer(0, 500))),
            ("env", nullable(environment(true))),
            ("resources", nullable(resources(true))),
        ],
    );
    object(
        &keys::STACK,
        &[],
        vec![
            ("engine", word(&["local", "kubernetes"])),
            ("context", text()),
            ("kubeconfig", text()),
            ("namespace", text()),
            ("registry", text()),
            ("extends", json!({ "type": "string", "pattern": values::NAME })),
            ("set", map_of(values::OPTION_NAME, text())),
            ("confirm", json!({ "type": "boolean" })),
            ("services", map_of(values::NAME, service)),
            ("listeners", map_of(values::NAME, nullable(listener(true)))),
            ("certificates", map_of(values::NAME, nullable(certificate(true)))),
            ("rollout", rollout(true)),
        ],
    )
}

#[cfg(test)]
mod tests;
