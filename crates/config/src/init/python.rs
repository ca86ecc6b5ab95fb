//! Python: `pyproject.toml`, `requirements.txt`.

use super::rust::{section_lines, toml_value};
use super::{Command, Dependencies, Folder, Guess, Sketch};

/// Where what `requirements.txt` names is installed.
const PACKAGES: &str = "vendor";
/// Where the project itself is installed as well. Hidden, because setuptools takes other folders
/// for packages of the project.
const HIDDEN: &str = ".vendor";
/// Programs that packages bring, and the modules that are the same. The programs themselves name
/// the Python of the machine that installed them.
const MODULES: [(&str, &str); 9] = [
    ("celery", "celery"),
    ("daphne", "daphne"),
    ("django-admin", "django"),
    ("flask", "flask"),
    ("gunicorn", "gunicorn"),
    ("hypercorn", "hypercorn"),
    ("streamlit", "streamlit"),
    ("uvicorn", "uvicorn"),
    ("waitress-serve", "waitress"),
];

/// A project with a known framework, a script, or a file that is its program.
pub(super) fn project(folder: &dyn Folder) -> Option<Sketch> {
    let text = folder.read("pyproject.toml")?;
    let name =
        toml_value(&text, "project", "name").or_else(|| toml_value(&text, "tool.poetry", "name"));
    let script = section_lines(&text, "project.scripts")
        .find_map(|line| {
            line.split_once('=').map(|(name, _)| name.trim().trim_matches('"').to_owned())
        })
        .filter(|script| !script.is_empty());
    let required = folder.read("requirements.txt").unwrap_or_default();
    if let Some(framework) = framework(folder, &format!("{text}\n{required}")) {
        return Some(sketch(name, framework, dependencies(folder)));
    }
    if let Some(script) = script {
        // Its first line names the Python of the machine that installed it.
        let path = format!("{HIDDEN}/bin/{script}");
        let command = Command::Words(vec!["python3".to_owned(), path]);
        return Some(sketch(name, (command, None), Some(whole_project())));
    }
    let program = program(folder)?;
    Some(sketch(name, (program, None), dependencies(folder)))
}

/// A folder with a known framework, or with a file that is its program.
pub(super) fn requirements(folder: &dyn Folder) -> Option<Sketch> {
    let text = folder.read("requirements.txt")?;
    let started = framework(folder, &text).or_else(|| Some((program(folder)?, None)))?;
    Some(sketch(None, started, dependencies(folder)))
}

/// What `requirements.txt`, or else `pyproject.toml`, wants installed.
pub(super) fn dependencies(folder: &dyn Folder) -> Option<Dependencies> {
    if folder.has("requirements.txt") {
        return Some(installed("requirements.txt", PACKAGES, "-r requirements.txt"));
    }
    let project = folder.read("pyproject.toml")?;
    let installable = ["[project]", "[tool.poetry]"];
    let mut lines = project.lines().map(str::trim);
    lines.any(|line| installable.contains(&line)).then(whole_project)
}

fn whole_project() -> Dependencies {
    installed("pyproject.toml", HIDDEN, ".")
}

fn installed(file: &'static str, to: &str, what: &str) -> Dependencies {
    let modules = MODULES
        .into_iter()
        .map(|(program, module)| (program.to_owned(), format!("python3 -m {module}")));
    let python = ("python".to_owned(), "python3".to_owned());
    Dependencies {
        file,
        commands: vec![format!("python3 -m pip install --upgrade --target {to} {what}")],
        include: vec![to.to_owned()],
        exclude: [".venv", "__pycache__", "*.egg-info"].map(str::to_owned).to_vec(),
        env: vec![
            ("PYTHONPATH".to_owned(), to.to_owned()),
            // Otherwise what the program prints waits in it, and `landfall logs` shows nothing.
            ("PYTHONUNBUFFERED".to_owned(), "1".to_owned()),
        ],
        runs: modules.chain([python]).collect(),
        notes: vec![format!(
            "Python's packages are packed from `{to}`, for the Python that installed them: the machine needs the same version, in a place that every user may enter."
        )],
    }
}

fn sketch(
    name: Option<String>,
    (command, note): (Command, Option<String>),
    dependencies: Option<Dependencies>,
) -> Sketch {
    let mut notes: Vec<String> = note.into_iter().collect();
    notes.push("The program must listen on the `HOST` and `PORT` of its environment.".to_owned());
    let mut sketch =
        Sketch { name, services: vec![Guess::web(command)], notes, ..Sketch::default() };
    if let Some(dependencies) = dependencies {
        sketch.install(dependencies);
    }
    sketch
}

/// How a known framework is started, when the dependencies name one, and what to look at.
fn framework(folder: &dyn Folder, dependencies: &str) -> Option<(Command, Option<String>)> {
    let dependencies = dependencies.to_lowercase();
    let has = |name: &str| dependencies.contains(name);
    let found = ["main", "app", "server", "wsgi", "asgi"]
        .into_iter()
        .find(|module| folder.has(&format!("{module}.py")));
    let module = found.unwrap_or("app");
    let (server, application, line) = if has("django") {
        let project = django_project(folder);
        let line = format!("gunicorn {project}.wsgi --bind \"$HOST:$PORT\"");
        ("gunicorn", None, line)
    } else if has("uvicorn") || has("fastapi") || has("starlette") {
        let line = format!("uvicorn {module}:app --host \"$HOST\" --port \"$PORT\"");
        ("uvicorn", Some(module), line)
    } else if has("gunicorn") {
        let line = format!("gunicorn {module}:app --bind \"$HOST:$PORT\"");
        ("gunicorn", Some(module), line)
    } else if has("flask") {
        let line = format!("flask --app {module} run --host \"$HOST\" --port \"$PORT\"");
        ("flask", Some(module), line)
    } else {
        return None;
    };
    let note = if !has(server) {
        Some(format!("`{server}` starts it and is not among the dependencies: add it to them."))
    } else if application.is_some() && found.is_none() {
        Some(format!("Which module has the application was guessed: correct `{module}`."))
    } else {
        None
    };
    Some((Command::Shell(format!("exec python3 -m {line}")), note))
}

fn django_project(folder: &dyn Folder) -> String {
    let settings = folder.read("manage.py").and_then(|text| {
        let (_, rest) = text.split_once("DJANGO_SETTINGS_MODULE")?;
        let quoted = rest.split(['"', '\'']).find(|part| part.contains(".settings"))?;
        quoted.split('.').next().map(str::to_owned)
    });
    settings.unwrap_or_else(|| "project".to_owned())
}

/// The file that looks like the program.
fn program(folder: &dyn Folder) -> Option<Command> {
    let files = ["main.py", "app.py", "server.py"];
    let file = files.into_iter().find(|file| folder.has(file))?;
    Some(Command::words(["python3", file]))
}
