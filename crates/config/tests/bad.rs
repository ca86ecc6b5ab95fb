//! Every diagnostic code has a bad file and a picture of what people are told about it.
//!
//! Lines `#! stack: NAME`, `#! set: NAME=VALUE`, `#! env: NAME=VALUE` and `#! file: PATH=CONTENT`
//! in a bad file say with what it is resolved, after it was parsed.

use landfall_config::{Config, Diagnostics, Overrides, SourceFile, codes, parse};
use landfall_model::StackName;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn folder(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder of test files")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    paths.sort();
    paths
}

fn stem(path: &Path) -> String {
    path.file_stem().expect("a name").to_string_lossy().into_owned()
}

/// The text of a file; `LF0101` would be too large to keep.
fn text(path: &Path) -> String {
    let text = std::fs::read_to_string(path).expect("a readable file");
    match text.strip_prefix("#! repeat: ") {
        None => text,
        Some(rest) => {
            let (times, rest) = rest.split_once('\n').expect("two lines");
            rest.repeat(times.parse().expect("a number"))
        }
    }
}

#[derive(Default)]
struct Directives {
    stack: Option<StackName>,
    overrides: Overrides,
    files: BTreeMap<String, String>,
}

fn directives(text: &str) -> Directives {
    let mut directives = Directives::default();
    for line in text.lines().filter_map(|line| line.strip_prefix("#! ")) {
        let (kind, rest) = line.split_once(": ").expect("a directive");
        let pair = || {
            let (name, value) = rest.split_once('=').expect("NAME=VALUE");
            (name.to_owned(), value.replace("\\n", "\n"))
        };
        match kind {
            "stack" => directives.stack = Some(rest.parse().expect("a stack")),
            "set" => directives.overrides.set.push(pair()),
            "env" => drop(directives.overrides.environment.insert(pair().0, pair().1)),
            "file" => drop(directives.files.insert(pair().0, pair().1)),
            other => panic!("no directive {other}"),
        }
    }
    directives
}

fn resolve(config: &Config, directives: &Directives) -> Vec<Diagnostics> {
    let stacks: Vec<StackName> = match &directives.stack {
        Some(stack) => vec![stack.clone()],
        None => config.stacks().into_iter().cloned().collect(),
    };
    stacks
        .iter()
        .filter_map(|stack| config.resolve(stack, &directives.overrides, &directives.files).err())
        .collect()
}

/// Everything that is said about a bad file.
fn complaints(source: &SourceFile) -> Vec<Diagnostics> {
    match parse(source) {
        Err(diagnostics) => vec![diagnostics],
        Ok(config) => {
            let mut all = vec![config.warnings().clone()];
            all.extend(resolve(&config, &directives(&source.text)));
            all.retain(|diagnostics| !diagnostics.0.is_empty());
            all
        }
    }
}

#[test]
fn every_bad_file_is_explained() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _scope = settings.bind_to_scope();
    for path in folder("bad") {
        let name = stem(&path);
        let source = SourceFile::new("landfall.yaml", text(&path));
        let complaints = complaints(&source);
        let code = name.split('-').next().expect("a code");
        assert!(
            complaints.iter().any(|all| all.0.iter().any(|one| one.code.id == code)),
            "{name} is not refused with {code}: {complaints:#?}"
        );
        for diagnostic in complaints.iter().flat_map(|all| &all.0) {
            assert!(diagnostic.help.is_some(), "{name} says nothing to do: {diagnostic:?}");
        }
        let drawn: Vec<String> =
            complaints.iter().map(|diagnostics| diagnostics.render(&source, false)).collect();
        insta::assert_snapshot!(name, drawn.join("\n\n"));
    }
}

#[test]
fn every_code_has_a_bad_file() {
    let names: Vec<String> = folder("bad").iter().map(|path| stem(path)).collect();
    for code in codes::ALL {
        assert!(
            names.iter().any(|name| name.starts_with(&format!("{code}-"))),
            "no file tests/bad/{code}-….yaml"
        );
    }
}

#[test]
fn colour_is_only_used_when_asked_for() {
    let source = SourceFile::new("landfall.yaml", "landfall: v1\napp: Shop\n");
    let diagnostics = parse(&source).expect_err("a bad name");
    assert!(!diagnostics.render(&source, false).contains('\u{1b}'));
    assert!(diagnostics.render(&source, true).contains('\u{1b}'));
}

#[test]
fn the_whole_design_is_understood_and_only_what_comes_later_refused() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad/LF0212-design.yaml");
    let all = parse(&SourceFile::new("landfall.yaml", text(&path))).expect_err("later keys");
    let other: Vec<&str> =
        all.0.iter().map(|one| one.code.id).filter(|id| *id != "LF0212").collect();
    assert!(other.is_empty(), "{all}");
}
