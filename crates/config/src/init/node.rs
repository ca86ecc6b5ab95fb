//! Node: `package.json`.

use super::{Command, Folder, Guess, Sketch};
use serde_json::Value;

pub(super) fn package(folder: &dyn Folder) -> Option<Sketch> {
    let package: Value = serde_json::from_str(&folder.read("package.json")?).ok()?;
    let text = |pointer: &str| package.pointer(pointer).and_then(Value::as_str);
    let mut notes = Vec::new();
    let command = if let Some(start) = text("/scripts/start") {
        match Command::line(start) {
            // Without npm between, the program itself gets the stop signal.
            Command::Words(words) if words.first().is_some_and(|word| word == "node") => {
                Command::Words(words)
            }
            _ => {
                notes.push("The service starts through `npm start`; starting the program itself stops faster.".to_owned());
                Command::words(["npm", "run", "--silent", "start"])
            }
        }
    } else {
        let main = text("/main").map(str::to_owned).or_else(|| {
            let files = ["server.js", "index.js", "app.js"];
            files.iter().find(|file| folder.read(file).is_some()).map(|file| (*file).to_owned())
        })?;
        Command::Words(vec!["node".to_owned(), main])
    };
    if text("/scripts/build").is_some() {
        notes.push(
            "Run `npm ci` and `npm run build` before `landfall up`: Landfall packs what is there."
                .to_owned(),
        );
    } else {
        notes.push(
            "Run `npm ci` before `landfall up`: Landfall packs what is there, with `node_modules`."
                .to_owned(),
        );
    }
    notes.push("The program must listen on `process.env.HOST` and `process.env.PORT`.".to_owned());
    let built: &[&str] = match text("/scripts/build") {
        Some(_) => &["node_modules", "dist", "build", ".next"],
        None => &["node_modules"],
    };
    let include = built.iter().map(|path| (*path).to_owned()).collect();
    let web = Guess { include, ..Guess::web(command) };
    let name = text("/name").map(str::to_owned);
    Some(Sketch { name, services: vec![web], notes, ..Sketch::default() })
}
