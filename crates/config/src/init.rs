//! `landfall init`: a first file for a folder, from what lies in it.
//!
//! [`propose`] only looks and guesses; the text that it gives always parses. What it guessed, and
//! what somebody should look at, is in the notes.

mod command;
mod containers;
mod dependencies;
mod node;
mod python;
mod rust;
mod write;

use command::Command;
use dependencies::Dependencies;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The largest file that is looked into, in bytes.
const LARGEST: u64 = 1 << 20;

/// A folder that is looked at.
pub trait Folder {
    /// Its name, without the way to it.
    fn name(&self) -> String;
    /// The text of a file in it, when there is one that is text and not too large.
    fn read(&self, path: &str) -> Option<String>;
    /// Whether there is such a file, of any size.
    fn has(&self, path: &str) -> bool;
}

/// A folder on this machine.
#[derive(Debug, Clone)]
pub struct DiskFolder {
    root: PathBuf,
}

impl DiskFolder {
    /// Looks at a folder.
    #[must_use]
    pub fn new(root: impl AsRef<Path>) -> Self {
        Self { root: root.as_ref().to_path_buf() }
    }
}

impl Folder for DiskFolder {
    fn name(&self) -> String {
        let whole = self.root.canonicalize().unwrap_or_else(|_| self.root.clone());
        whole.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    fn read(&self, path: &str) -> Option<String> {
        let path = self.root.join(path);
        let metadata = std::fs::metadata(&path).ok()?;
        if !metadata.is_file() || metadata.len() > LARGEST {
            return None;
        }
        std::fs::read_to_string(path).ok()
    }

    fn has(&self, path: &str) -> bool {
        self.root.join(path).is_file()
    }
}

/// A folder in memory.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The name of the folder.
    pub name: String,
    /// Its files with their texts, by path.
    pub files: BTreeMap<String, String>,
}

impl Folder for Listing {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn read(&self, path: &str) -> Option<String> {
        self.files.get(path).cloned()
    }

    fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }
}

/// A first file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The text of `landfall.yaml`, with comments.
    pub yaml: String,
    /// What was recognised, and what to look at, a sentence each.
    pub notes: Vec<String>,
}

/// What was recognised in a folder.
#[derive(Debug, Default)]
struct Sketch {
    /// The name that the folder's own files give.
    name: Option<String>,
    services: Vec<Guess>,
    /// Commands before traffic moves, by name.
    hooks: Vec<(String, Command)>,
    /// Commands before `landfall up`, which packs what they make.
    prepare: Vec<String>,
    /// Files that were looked into for more than the one that was recognised.
    used: Vec<&'static str>,
    /// What the file itself says above the services.
    remarks: Vec<String>,
    notes: Vec<String>,
}

impl Sketch {
    /// Packs these dependencies with every service.
    fn install(&mut self, dependencies: Dependencies) {
        let Dependencies { file, commands, include, exclude, env, runs: _, notes } = dependencies;
        for service in &mut self.services {
            service.include.extend(include.iter().cloned());
            service.exclude.extend(exclude.iter().cloned());
            service.env.extend(env.iter().cloned());
        }
        self.used.push(file);
        self.prepare.extend(commands);
        self.notes.extend(notes);
    }
}

/// A service.
#[derive(Debug)]
struct Guess {
    name: String,
    artifact: String,
    /// What is packed although a `.gitignore` leaves it out.
    include: Vec<String>,
    exclude: Vec<String>,
    command: Command,
    env: Vec<(String, String)>,
    /// Whether traffic goes to it.
    served: bool,
}

impl Guess {
    /// A service with traffic that is made from the whole folder.
    fn web(command: Command) -> Self {
        Self {
            name: "web".to_owned(),
            artifact: ".".to_owned(),
            include: Vec::new(),
            // A new word in `landfall.yaml` is no new artifact.
            exclude: vec![".env".to_owned(), "landfall.yaml".to_owned()],
            command,
            env: Vec::new(),
            served: true,
        }
    }
}

/// Makes a sketch from a file of the folder, when it is there and says enough.
type Recognise = fn(&dyn Folder) -> Option<Sketch>;

/// Proposes a file for a folder.
#[must_use]
pub fn propose(folder: &dyn Folder) -> Proposal {
    let ways: [(&str, Recognise); 6] = [
        ("Procfile", containers::procfile),
        ("package.json", node::package),
        ("Cargo.toml", rust::cargo),
        ("pyproject.toml", python::project),
        ("requirements.txt", python::requirements),
        ("Dockerfile", containers::dockerfile),
    ];
    let mut found: Option<Sketch> = None;
    for (file, recognise) in ways {
        let Some(sketch) = recognise(folder) else { continue };
        match &mut found {
            None => {
                let mut sketch = sketch;
                sketch.notes.insert(
                    0,
                    format!("`{file}` was recognised, and the services are made from it."),
                );
                found = Some(sketch);
            }
            Some(first) => {
                first.notes.extend(beside(first, file));
                first.name = first.name.take().or(sketch.name);
            }
        }
    }
    let mut sketch = found.unwrap_or_else(unknown);
    if !sketch.prepare.is_empty() {
        sketch.notes.push(format!(
            "Before `landfall up`, which packs what is there: `{}`.",
            sketch.prepare.join("`, then `")
        ));
    }
    let app = name_from(sketch.name.as_deref().unwrap_or_default())
        .or_else(|| name_from(&folder.name()))
        .unwrap_or_else(|| "app".to_owned());
    Proposal { yaml: write::yaml(&app, &sketch), notes: sketch.notes }
}

/// What is said of a second file that could have been recognised.
fn beside(first: &Sketch, file: &str) -> Option<String> {
    if first.used.contains(&file) {
        return None;
    }
    let why = match file {
        "Dockerfile" => format!(": {}", containers::NO_IMAGES),
        _ => ".".to_owned(),
    };
    Some(format!("`{file}` is there as well, and was not used{why}"))
}

fn unknown() -> Sketch {
    let web = Guess::web(Command::words(["./server"]));
    Sketch {
        services: vec![web],
        notes: vec![
            "Nothing was recognised in the folder: correct `artifact` and `command` by hand."
                .to_owned(),
        ],
        ..Sketch::default()
    }
}

/// A name that is allowed, made from any text.
fn name_from(text: &str) -> Option<String> {
    let mut name = String::new();
    for character in text.rsplit('/').next()?.to_lowercase().chars() {
        let character = if character.is_ascii_alphanumeric() { character } else { '-' };
        let first = name.is_empty() && !character.is_ascii_lowercase();
        let again = character == '-' && name.ends_with('-');
        if !first && !again {
            name.push(character);
        }
    }
    name.truncate(40);
    let name = name.trim_end_matches('-');
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests;
