//! Single values in the schema.

use serde_json::{Value, json};

/// Names of most things.
pub(super) const NAME: &str = "^[a-z][a-z0-9-]{0,39}$";
/// Names of options.
pub(super) const OPTION_NAME: &str = "^[a-z][a-z0-9_]{0,39}$";
/// Names of environment variables that are not given by Landfall.
pub(super) const VARIABLE: &str = "^(?!HOST$|PORT$|LANDFALL_)[A-Za-z_][A-Za-z0-9_]*$";

const DURATION: &str = "^\\s*(0|(?=[0-9])([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)\\s*$";
const SIZE: &str = "^\\s*[0-9]+(Ti|Gi|Mi|Ki|T|G|M|k)?\\s*$";
const CPU: &str = "^\\s*[0-9]+m?\\s*$";

/// What the values refer to.
pub(super) fn definitions() -> Value {
    json!({
        "reference": {
            "description": "Text with a reference to an option.",
            "type": "string",
            "pattern": "\\$\\{options\\.[a-z][a-z0-9_]{0,39}\\}",
        },
        "text": { "type": ["string", "number", "boolean"] },
        "boolean": { "anyOf": [{ "type": "boolean" }, { "$ref": "#/$defs/reference" }] },
        "duration": {
            "anyOf": [
                { "const": 0 },
                { "type": "string", "pattern": DURATION, "examples": ["500ms", "10s", "5m", "1h30m"] },
                { "$ref": "#/$defs/reference" },
            ],
        },
        "size": {
            "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": SIZE, "examples": ["256Mi", "2Gi"] },
                { "$ref": "#/$defs/reference" },
            ],
        },
        "cpu": {
            "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": CPU, "examples": ["500m", "2"] },
                { "$ref": "#/$defs/reference" },
            ],
        },
    })
}

fn defined(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// Text; numbers and booleans are taken as they are written.
pub(super) fn text() -> Value {
    defined("text")
}

/// The name of something that is declared elsewhere.
pub(super) fn name() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

pub(super) fn boolean() -> Value {
    defined("boolean")
}

pub(super) fn duration() -> Value {
    defined("duration")
}

pub(super) fn size() -> Value {
    defined("size")
}

pub(super) fn cpu() -> Value {
    defined("cpu")
}

pub(super) fn integer(minimum: i64, maximum: i64) -> Value {
    json!({ "anyOf": [
        { "type": "integer", "minimum": minimum, "maximum": maximum },
        { "$ref": "#/$defs/reference" },
    ]})
}

/// One of a few words.
pub(super) fn word(words: &[&str]) -> Value {
    json!({ "enum": words })
}

/// One of a few words, or an option that holds one.
pub(super) fn word_or_reference(words: &[&str]) -> Value {
    json!({ "anyOf": [{ "enum": words }, { "$ref": "#/$defs/reference" }] })
}

pub(super) fn list_of(item: Value, at_least: usize) -> Value {
    json!({ "type": "array", "items": item, "minItems": at_least })
}

/// A map from names to values.
pub(super) fn map_of(names: &str, value: Value) -> Value {
    json!({
        "type": "object",
        "propertyNames": { "pattern": names },
        "additionalProperties": value,
    })
}

/// A value that a stack may take away.
pub(super) fn nullable(value: Value) -> Value {
    json!({ "anyOf": [value, { "type": "null" }] })
}
