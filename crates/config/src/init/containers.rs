//! Files that name processes themselves: Procfile and Dockerfile.

use super::command::Runs;
use super::{Command, Folder, Guess, Sketch, dependencies, name_from};

/// What is said of container images.
pub(super) const NO_IMAGES: &str = "Landfall cannot run container images yet. They come with the Kubernetes engine, and later on a host.";

/// A Procfile: one process a line, `web` has the traffic, `release` runs before a release.
pub(super) fn procfile(folder: &dyn Folder) -> Option<Sketch> {
    let text = folder.read("Procfile")?;
    let dependencies = dependencies::of(folder);
    let runs: Runs = dependencies.iter().flat_map(|it| it.runs.clone()).collect();
    let mut sketch = Sketch::default();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let Some((name, command)) = line.split_once(':') else { continue };
        let (Some(name), command) = (name_from(name.trim()), command.trim()) else { continue };
        let taken = sketch.services.iter().any(|service| service.name == name);
        if command.is_empty() || taken {
            continue;
        }
        let command = Command::line_with(command, &runs);
        if name == "release" {
            sketch.hooks.push((name, command));
            continue;
        }
        sketch.services.push(Guess { served: name == "web", name, ..Guess::web(command) });
    }
    if sketch.services.is_empty() {
        return None;
    }
    if !sketch.hooks.is_empty() {
        sketch.notes.push(
            "The `release` process became a hook, which runs before traffic moves.".to_owned(),
        );
    }
    if sketch.services.iter().any(|service| matches!(service.command, Command::Shell(_))) {
        sketch.notes.push(
            "Commands with variables run in a shell; `HOST` and `PORT` are given to them."
                .to_owned(),
        );
    }
    for dependencies in dependencies {
        sketch.install(dependencies);
    }
    Some(sketch)
}

/// A Dockerfile: its last `ENTRYPOINT` and `CMD`.
pub(super) fn dockerfile(folder: &dyn Folder) -> Option<Sketch> {
    let text = folder.read("Dockerfile")?.replace("\\\n", " ");
    let (mut entry, mut arguments) = (None, None);
    for line in text.lines().map(str::trim) {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match word.to_ascii_uppercase().as_str() {
            "FROM" => (entry, arguments) = (None, None),
            "ENTRYPOINT" => entry = instruction(rest),
            "CMD" => arguments = instruction(rest),
            _ => {}
        }
    }
    let command = match (entry, arguments) {
        (Some(Command::Words(mut entry)), Some(Command::Words(arguments))) => {
            entry.extend(arguments);
            Some(Command::Words(entry))
        }
        (entry, arguments) => entry.or(arguments),
    };
    let taken = match command {
        Some(_) => "The command is the one of the `Dockerfile`, but it runs on the machine itself.",
        None => "The `Dockerfile` names no command: correct `command` by hand.",
    };
    let remarks = vec![
        NO_IMAGES.to_owned(),
        "What the `Dockerfile` builds or installs must be in `artifact` or on the machine."
            .to_owned(),
    ];
    let mut notes = remarks.clone();
    notes.insert(1, taken.to_owned());
    let web = Guess::web(command.unwrap_or_else(|| Command::words(["./server"])));
    Some(Sketch { services: vec![web], remarks, notes, ..Sketch::default() })
}

fn instruction(rest: &str) -> Option<Command> {
    let rest = rest.trim();
    if rest.is_empty() {
        return None;
    }
    match serde_json::from_str::<Vec<String>>(rest) {
        Ok(words) if words.is_empty() => None,
        Ok(words) => Some(Command::Words(words)),
        Err(_) => Some(Command::line(rest)),
    }
}
