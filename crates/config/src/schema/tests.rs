//! The schema held against the parser.

use super::*;
use crate::diagnostic::Report;
use crate::source::SourceFile;
use crate::tree::{self, Kind, Node};
use jsonschema::Validator;
use std::path::{Path, PathBuf};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn yaml_files(folder: &str) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = std::fs::read_dir(here(folder))
        .expect("the folder of test files")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).expect("a readable file"))
        })
        .collect();
    files.sort();
    files
}

/// What an editor sees: the file as JSON, by the rules of YAML 1.2.
fn json_of(node: &Node) -> Value {
    match &node.kind {
        Kind::Null => Value::Null,
        Kind::Plain(text) => match (tree::integer(text), tree::number(text)) {
            (Some(integer), _) => json!(integer),
            (None, Some(number)) => json!(number),
            _ if text == "true" || text == "false" => json!(text == "true"),
            _ => json!(text),
        },
        Kind::Quoted(text) | Kind::Composed(text) => json!(text),
        Kind::Option { .. } | Kind::Unknown => Value::Null,
        Kind::List(items) => items.iter().map(json_of).collect(),
        Kind::Map(entries) => Value::Object(
            entries.iter().map(|entry| (entry.key.clone(), json_of(&entry.value))).collect(),
        ),
    }
}

fn read(text: &str) -> Option<Value> {
    let source = SourceFile::new("landfall.yaml", text);
    crate::read::read(&mut Report::new(&source)).map(|node| json_of(&node))
}

fn validator() -> Validator {
    jsonschema::validator_for(&schema()).expect("the schema is a schema")
}

fn parses(value: &Value) -> bool {
    crate::parse(&SourceFile::new("landfall.yaml", value.to_string())).is_ok()
}

#[test]
fn the_checked_in_schema_is_this_one() {
    let path = here("landfall.schema.json");
    let text = serde_json::to_string_pretty(&schema()).expect("JSON") + "\n";
    if std::env::var_os("LANDFALL_UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &text).expect("the schema is written");
    }
    let kept = std::fs::read_to_string(path).expect("the checked-in schema");
    let kept: Value = serde_json::from_str(&kept).expect("JSON");
    assert_eq!(kept, schema(), "run the tests once with LANDFALL_UPDATE_SCHEMA=1");
}

#[test]
fn every_known_key_is_in_the_schema() {
    let schema = schema();
    let find = |path: &str| schema.pointer(path).unwrap_or_else(|| panic!("{path}"));
    let service = "/properties/services/additionalProperties";
    let stack = "/properties/stacks/additionalProperties";
    let places: [(&Keys, String); 14] = [
        (&keys::TOP, String::new()),
        (&keys::OPTION, "/properties/options/additionalProperties".into()),
        (&keys::SERVICE, service.into()),
        (&keys::ARTIFACT, format!("{service}/properties/artifact/anyOf/1")),
        (&keys::HEALTH, format!("{service}/properties/health/anyOf/1")),
        (&keys::STOP, format!("{service}/properties/stop")),
        (&keys::RESOURCES, format!("{service}/properties/resources")),
        (&keys::HOOKS, "/properties/hooks".into()),
        (&keys::HOOK, "/properties/hooks/properties/before/additionalProperties".into()),
        (&keys::CERTIFICATE, "/properties/certificates/additionalProperties".into()),
        (&keys::LISTENER, "/properties/listeners/additionalProperties".into()),
        (&keys::ROLLOUT, "/properties/rollout".into()),
        (&keys::STACK, stack.into()),
        (&keys::STACK_SERVICE, format!("{stack}/properties/services/additionalProperties")),
    ];
    for (keys, path) in places {
        let properties = find(&format!("{path}/properties")).as_object().expect("a map");
        let mut known: Vec<&str> = keys.names().collect();
        let mut there: Vec<&str> = properties.keys().map(String::as_str).collect();
        known.sort_unstable();
        there.sort_unstable();
        assert_eq!(known, there, "{}", keys.what);
        assert!(properties.values().all(|value| value.get("description").is_some()));
    }
}

#[test]
fn good_files_fit_and_misshapen_ones_do_not() {
    let validator = validator();
    for (name, text) in yaml_files("tests/good") {
        let value = read(&text).expect(&name);
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
    let shape =
        ["LF0201", "LF0203", "LF0204", "LF0205", "LF0206", "LF0208", "LF0209", "LF0211", "LF0212"];
    for (name, text) in yaml_files("tests/bad") {
        if shape.iter().any(|code| name.starts_with(code)) {
            let value = read(&text).expect(&name);
            assert!(!validator.is_valid(&value), "{name} fits the schema");
        }
    }
}

/// Every way to one value in a document.
fn ways(value: &Value, way: &mut String, all: &mut Vec<String>) {
    all.push(way.clone());
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(list) => {
            list.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect()
        }
        _ => Vec::new(),
    };
    for (key, child) in children {
        let length = way.len();
        way.push('/');
        way.push_str(&key);
        ways(child, way, all);
        way.truncate(length);
    }
}

/// Documents that differ from a good one in one place.
fn neighbours(value: &Value) -> Vec<(String, Value)> {
    let replacements = [
        json!(null),
        json!(true),
        json!(3),
        json!(-1),
        json!(1.5),
        json!("text"),
        json!(""),
        json!("5s"),
        json!("${options.nothing}"),
        json!([]),
        json!(["x"]),
        json!({}),
        json!({ "zzz": 1 }),
    ];
    let mut all = Vec::new();
    let mut paths = Vec::new();
    ways(value, &mut String::new(), &mut paths);
    for way in paths {
        for replacement in &replacements {
            let mut other = value.clone();
            if let Some(place) = other.pointer_mut(&way) {
                *place = replacement.clone();
            }
            all.push((format!("{way} = {replacement}"), other));
        }
        let mut other = value.clone();
        if let Some(Value::Object(map)) = other.pointer_mut(&way) {
            map.insert("zzz".to_owned(), json!(1));
            all.push((format!("{way} + zzz"), other));
        }
        if let Some((parent, key)) = way.rsplit_once('/') {
            let mut other = value.clone();
            if let Some(Value::Object(map)) = other.pointer_mut(parent) {
                map.remove(key);
                all.push((format!("- {way}"), other));
            }
        }
    }
    all
}

#[test]
fn what_the_parser_takes_the_schema_takes() {
    let validator = validator();
    let mut taken = 0;
    for (name, text) in yaml_files("tests/good") {
        let value = read(&text).expect(&name);
        assert!(parses(&value), "{name} as JSON");
        for (change, other) in neighbours(&value) {
            let fits = validator.is_valid(&other);
            if parses(&other) {
                taken += 1;
                assert!(fits, "{name}: the parser takes {change}, and the schema does not");
            } else if change.ends_with("{\"zzz\":1}") && !change.contains("/set/") {
                // A map with an unknown key never stands for a value. (Maps by name have no
                // unknown keys, but a number is no value in them either.)
                let free = ["env", "set"].iter().any(|free| change.contains(&format!("/{free} =")));
                assert!(
                    !fits || free,
                    "{name}: the schema takes {change}, and the parser does not"
                );
            }
        }
    }
    assert!(taken > 300, "only {taken} neighbours were good");
}
