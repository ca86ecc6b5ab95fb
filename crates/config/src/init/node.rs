//! Node: `package.json`.

use super::command::several;
use super::{Command, Dependencies, Folder, Guess, Sketch};
use serde_json::Value;

/// A package with a `start` script, or with a file that is its program.
pub(super) fn package(folder: &dyn Folder) -> Option<Sketch> {
    let package = read(folder)?;
    let dependencies = of(folder, &package);
    let mut notes = Vec::new();
    let command = if let Some(start) = text(&package, "/scripts/start") {
        direct(&package, start, dependencies.as_ref()).unwrap_or_else(|| {
            notes.push("The service starts through `npm run start`; starting the program itself stops faster.".to_owned());
            Command::words(["npm", "run", "--silent", "start"])
        })
    } else {
        let main = text(&package, "/main").map(str::to_owned).or_else(|| {
            let files = ["server.js", "index.js", "app.js"];
            files.iter().find(|file| folder.has(file)).map(|file| (*file).to_owned())
        })?;
        Command::Words(vec!["node".to_owned(), main])
    };
    notes.push(
        "The program must listen on the `HOST` and `PORT` of its environment (`process.env`)."
            .to_owned(),
    );
    let name = text(&package, "/name").map(str::to_owned);
    let mut sketch =
        Sketch { name, services: vec![Guess::web(command)], notes, ..Sketch::default() };
    if let Some(dependencies) = dependencies {
        sketch.install(dependencies);
    }
    Some(sketch)
}

/// What `package.json` wants installed and built.
pub(super) fn dependencies(folder: &dyn Folder) -> Option<Dependencies> {
    of(folder, &read(folder)?)
}

fn read(folder: &dyn Folder) -> Option<Value> {
    serde_json::from_str(&folder.read("package.json")?).ok()
}

fn text<'v>(package: &'v Value, pointer: &str) -> Option<&'v str> {
    package.pointer(pointer).and_then(Value::as_str)
}

/// The `start` script without npm between, so that the program itself gets the stop signal; none
/// where npm does more than start one program.
fn direct(package: &Value, start: &str, dependencies: Option<&Dependencies>) -> Option<Command> {
    let around = ["/scripts/prestart", "/scripts/poststart"];
    if several(start) || around.iter().any(|script| text(package, script).is_some()) {
        return None;
    }
    let program = start.split_whitespace().next()?;
    let packed = dependencies.is_some_and(|it| it.runs.contains_key(program));
    match dependencies {
        Some(dependencies) if packed => Some(Command::line_with(start, &dependencies.runs)),
        _ => (program == "node").then(|| Command::line(start)),
    }
}

fn of(folder: &dyn Folder, package: &Value) -> Option<Dependencies> {
    let names = |kind: &str| -> Vec<String> {
        package[kind].as_object().into_iter().flat_map(|it| it.keys().cloned()).collect()
    };
    let (needed, tools) = (names("dependencies"), names("devDependencies"));
    let build = text(package, "/scripts/build").is_some();
    if needed.is_empty() && tools.is_empty() && !build {
        return None;
    }
    let (install, run) = if folder.has("pnpm-lock.yaml") {
        ("pnpm install --frozen-lockfile", "pnpm run build")
    } else if folder.has("yarn.lock") {
        ("yarn install --frozen-lockfile", "yarn run build")
    } else if !folder.has("package-lock.json") {
        ("npm install", "npm run build")
    } else if build {
        ("npm ci", "npm run build")
    } else {
        ("npm ci --omit=dev", "")
    };
    let mut commands = vec![install.to_owned()];
    let mut include = vec!["node_modules"];
    if build {
        commands.push(run.to_owned());
        include.extend(["dist", "build", ".next"]);
    }
    let programs = needed.into_iter().chain(tools).map(|name| {
        let program = format!("node_modules/.bin/{name}");
        (name, program)
    });
    Some(Dependencies {
        file: "package.json",
        commands,
        include: include.into_iter().map(str::to_owned).collect(),
        runs: programs.collect(),
        ..Dependencies::default()
    })
}
