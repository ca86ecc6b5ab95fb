//! The text of the proposed file.

use super::{Command, Guess, Sketch};
use std::fmt::Write;

/// What a service with traffic may have besides.
const WEB: &str = "    # health: /healthz      # without it, the port must take a connection
    # replicas: 2
";
/// The same for one without variables.
const WEB_ENV: &str = "    # health: /healthz      # without it, the port must take a connection
    # replicas: 2
    # env: { LOG: info }     # HOST and PORT are given
";

/// Writes the file. Everything in it that comes from the folder is quoted where it must be.
pub(super) fn yaml(app: &str, sketch: &Sketch) -> String {
    let mut text = format!(
        "# What Landfall runs, and where. `landfall check` reads it, `landfall plan` says what would change.
# For completion in an editor: `landfall schema > landfall.schema.json`
# yaml-language-server: $schema=./landfall.schema.json
landfall: v1
app: {app}

# Values that differ from stack to stack, used as `${{options.name}}`:
# options:
#   replicas: {{ type: integer, default: 2, min: 1, max: 50 }}

"
    );
    write_before(&mut text, sketch);
    text.push_str("services:\n");
    for service in &sketch.services {
        write_service(&mut text, service);
    }
    let first = sketch.services.first().map_or("web", |service| service.name.as_str());
    let served = sketch.services.iter().find(|service| service.served);
    write_hooks(&mut text, sketch, served.map_or(first, |service| service.name.as_str()));
    if let Some(service) = served {
        write_listeners(&mut text, &service.name, app);
    }
    text.push_str(
        "
# How to get from one release to the next:
# rollout: { strategy: blue-green, drain: 30s, bake: 0s, deadline: 5m }

stacks:
  local: {}
  # prod: { set: { replicas: 6 }, confirm: true }
",
    );
    text
}

/// What somebody has to know or do before the services can run.
fn write_before(text: &mut String, sketch: &Sketch) {
    for remark in &sketch.remarks {
        push(text, format_args!("# {remark}\n"));
    }
    if !sketch.prepare.is_empty() {
        text.push_str("# Before `landfall up`, which packs what is there:\n");
    }
    for command in &sketch.prepare {
        push(text, format_args!("#   {command}\n"));
    }
}

fn write_service(text: &mut String, service: &Guess) {
    let Guess { name, artifact, include, exclude, command, env, served } = service;
    let mut keys = vec![format!("path: {}", scalar(artifact))];
    for (key, patterns) in [("include", include), ("exclude", exclude)] {
        if !patterns.is_empty() {
            keys.push(format!("{key}: {}", list(patterns)));
        }
    }
    let artifact = match &keys[..] {
        [_] => scalar(artifact),
        _ => format!("{{ {} }}", keys.join(", ")),
    };
    let command = written(command);
    push(text, format_args!("  {name}:\n    artifact: {artifact}\n    command: {command}\n"));
    if !env.is_empty() {
        let env: Vec<String> =
            env.iter().map(|(name, value)| format!("{name}: {}", scalar(value))).collect();
        push(text, format_args!("    env: {{ {} }}\n", env.join(", ")));
    }
    text.push_str(match (*served, env.is_empty()) {
        (false, _) => {
            "    # overlap: false        # when two releases of it must never run at once\n"
        }
        (true, false) => WEB,
        (true, true) => WEB_ENV,
    });
}

fn write_hooks(text: &mut String, sketch: &Sketch, service: &str) {
    if sketch.hooks.is_empty() {
        return;
    }
    text.push_str(
        "\n# Commands that run once, before traffic moves to a new release:\nhooks:\n  before:\n",
    );
    for (name, command) in &sketch.hooks {
        let command = written(command);
        push(
            text,
            format_args!("    {name}: {{ service: {service}, command: {command}, timeout: 5m }}\n"),
        );
    }
}

fn write_listeners(text: &mut String, service: &str, app: &str) {
    push(
        text,
        format_args!(
            "
listeners:
  plain: {{ listen: \"127.0.0.1:8080\", protocol: http, to: {service} }}
  # With TLS, and all interfaces:
  # public: {{ listen: 8443, protocol: https, certificate: {app}, to: {service} }}

# certificates:
#   {app}: {{ names: [{app}.example] }}
"
        ),
    );
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("writing into a String never fails");
}

fn written(command: &Command) -> String {
    match command {
        Command::Words(words) => list(words),
        Command::Shell(line) => format!("[sh, -c, {}]", scalar(line)),
    }
}

fn list(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| scalar(word)).collect();
    format!("[{}]", words.join(", "))
}

/// Text without quotes where every reader of YAML sees the same text, otherwise as JSON, which is
/// YAML. A `${` of a shell is no reference.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '.' || c == '/')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./_-".contains(&byte))
        && crate::tree::number(text).is_none()
        && crate::decode::old_boolean(text).is_none()
        && !["null", "~"].contains(&text.to_ascii_lowercase().as_str());
    if plain {
        return text.to_owned();
    }
    serde_json::Value::from(text.replace("${", "$${")).to_string()
}
