//! Python: `pyproject.toml`, `requirements.txt`.

use super::rust::{section_lines, toml_value};
use super::{Command, Folder, Guess, Sketch};

pub(super) fn project(folder: &dyn Folder) -> Option<Sketch> {
    let text = folder.read("pyproject.toml")?;
    let name =
        toml_value(&text, "project", "name").or_else(|| toml_value(&text, "tool.poetry", "name"));
    let script = section_lines(&text, "project.scripts")
        .find_map(|line| {
            line.split_once('=').map(|(name, _)| name.trim().trim_matches('"').to_owned())
        })
        .filter(|script| !script.is_empty());
    let command = match (framework(folder, &text), script) {
        (Some(command), _) => command,
        (None, Some(script)) => Command::Words(vec![script]),
        (None, None) => program(folder)?,
    };
    Some(sketch(name, command))
}

pub(super) fn requirements(folder: &dyn Folder) -> Option<Sketch> {
    let text = folder.read("requirements.txt")?;
    let command = framework(folder, &text).or_else(|| program(folder))?;
    Some(sketch(None, command))
}

fn sketch(name: Option<String>, command: Command) -> Sketch {
    let exclude = [".env", ".venv", "__pycache__"].map(str::to_owned).to_vec();
    let web = Guess { exclude, ..Guess::web(command) };
    let notes = vec![
        "The Python packages must be on the machine, or be packed with the artifact: a `.venv` is left out, because it holds paths of this machine.".to_owned(),
        "The program must listen on the `HOST` and `PORT` of its environment.".to_owned(),
    ];
    Sketch { name, services: vec![web], notes, ..Sketch::default() }
}

/// How a known framework is started, when the dependencies name one.
fn framework(folder: &dyn Folder, dependencies: &str) -> Option<Command> {
    let dependencies = dependencies.to_lowercase();
    let has = |name: &str| dependencies.contains(name);
    let module = ["main", "app", "server", "wsgi", "asgi"]
        .into_iter()
        .find(|module| folder.read(&format!("{module}.py")).is_some());
    let module = module.unwrap_or("app");
    let shell = |text: String| Some(Command::Shell(format!("exec {text}")));
    if has("django") {
        let settings = folder.read("manage.py").and_then(|text| {
            let (_, rest) = text.split_once("DJANGO_SETTINGS_MODULE")?;
            let quoted = rest.split(['"', '\'']).find(|part| part.contains(".settings"))?;
            quoted.split('.').next().map(str::to_owned)
        });
        let project = settings.unwrap_or_else(|| "project".to_owned());
        return shell(format!("gunicorn {project}.wsgi --bind \"$HOST:$PORT\""));
    }
    if has("uvicorn") || has("fastapi") || has("starlette") {
        return shell(format!("uvicorn {module}:app --host \"$HOST\" --port \"$PORT\""));
    }
    if has("gunicorn") {
        return shell(format!("gunicorn {module}:app --bind \"$HOST:$PORT\""));
    }
    if has("flask") {
        return shell(format!("flask --app {module} run --host \"$HOST\" --port \"$PORT\""));
    }
    None
}

/// The file that looks like the program.
fn program(folder: &dyn Folder) -> Option<Command> {
    let files = ["main.py", "app.py", "server.py"];
    let file = files.into_iter().find(|file| folder.read(file).is_some())?;
    Some(Command::words(["python3", file]))
}
