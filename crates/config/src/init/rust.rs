//! Rust: `Cargo.toml`.

use super::{Command, Folder, Guess, Sketch};

pub(super) fn cargo(folder: &dyn Folder) -> Option<Sketch> {
    let text = folder.read("Cargo.toml")?;
    let package = toml_value(&text, "package", "name")?;
    let program = toml_value(&text, "[bin]", "name").unwrap_or_else(|| package.clone());
    let web = Guess {
        artifact: format!("./target/release/{program}"),
        exclude: Vec::new(),
        ..Guess::web(Command::Words(vec![format!("./{program}")]))
    };
    let notes =
        vec!["The program must listen on the `HOST` and `PORT` of its environment.".to_owned()];
    let prepare = vec!["cargo build --release".to_owned()];
    let name = Some(package);
    Some(Sketch { name, services: vec![web], prepare, notes, ..Sketch::default() })
}

/// The text of a key in a section of a TOML file, as far as a first look goes.
pub(super) fn toml_value(text: &str, section: &str, key: &str) -> Option<String> {
    section_lines(text, section).find_map(|line| {
        let (name, value) = line.split_once('=')?;
        let value = value.trim().strip_prefix('"')?.split('"').next()?;
        (name.trim() == key).then(|| value.to_owned())
    })
}

/// The lines of the first section with a name.
pub(super) fn section_lines<'t>(
    text: &'t str,
    section: &str,
) -> impl Iterator<Item = &'t str> + use<'t> {
    let header = format!("[{section}]");
    text.lines()
        .map(str::trim)
        .skip_while(move |line| *line != header)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
}
