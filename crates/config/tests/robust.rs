//! Whatever the text, the parser answers, and points into the text.

use landfall_config::{Diagnostics, Overrides, SourceFile, parse};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

/// All test files, good and bad.
static SEEDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut texts = Vec::new();
    for folder in ["good", "bad"] {
        for entry in std::fs::read_dir(root.join(folder)).expect("the folder of test files") {
            let path = entry.expect("an entry").path();
            texts.push(std::fs::read_to_string(path).expect("a readable file"));
        }
    }
    texts.sort();
    texts
});

/// Pieces that are likely to confuse.
const PIECES: [&str; 36] = [
    "${",
    "}",
    "$${",
    "${options.x}",
    "${options.replicas}",
    ": ",
    ":",
    "\n",
    "\n  ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "'",
    "*",
    "&a ",
    "!x ",
    "---\n",
    "...\n",
    "#",
    "\t",
    "\r\n",
    "ü",
    "世",
    "\u{feff}",
    "|\n",
    ">-\n",
    "? ",
    "<<",
    "null",
    "~",
    "999999999999999999999",
    "\u{0}",
    "%",
];

/// Values for options, of all types.
const VALUES: [&str; 9] =
    ["3", "-1", "99999999999999999", "5s", "0", "256Mi", "", "true", "https://a.example/"];

#[derive(Debug, Clone)]
enum Edit {
    Insert(usize, usize),
    Delete(usize, usize),
    Copy(usize, usize, usize),
    Cut(usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = || 0..10_000_usize;
    prop_oneof![
        4 => (at(), 0..PIECES.len()).prop_map(|(at, piece)| Edit::Insert(at, piece)),
        3 => (at(), 1..30_usize).prop_map(|(at, length)| Edit::Delete(at, length)),
        2 => (at(), at(), 1..60_usize).prop_map(|(from, to, length)| Edit::Copy(from, to, length)),
        1 => at().prop_map(Edit::Cut),
    ]
}

fn apply(text: &str, edits: &[Edit]) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for edit in edits {
        let length = characters.len();
        let place = |at: usize| at % (length + 1);
        match *edit {
            Edit::Insert(at, piece) => {
                let at = place(at);
                characters.splice(at..at, PIECES[piece].chars());
            }
            Edit::Delete(at, count) => {
                let at = place(at);
                characters.drain(at..length.min(at + count));
            }
            Edit::Copy(from, to, count) => {
                let (from, to) = (place(from), place(to));
                let piece = characters[from..length.min(from + count)].to_vec();
                characters.splice(to..to, piece);
            }
            Edit::Cut(at) => characters.truncate(place(at)),
        }
    }
    characters.into_iter().collect()
}

fn check(source: &SourceFile, all: &Diagnostics) {
    assert!(!all.0.is_empty());
    let lines = source.text.split('\n').count();
    for one in &all.0 {
        for span in std::iter::once(&one.span).chain(one.labels.iter().map(|label| &label.span)) {
            let inside = source.text.get(span.clone());
            assert!(
                inside.is_some_and(|text| !text.contains('\n')),
                "{one:?} in {:?}",
                source.text
            );
        }
        assert!((1..=lines).contains(&one.line) && one.column >= 1, "{one:?}");
        assert_eq!(source.line_column(one.span.start), (one.line, one.column));
    }
    let drawn = all.render(source, false);
    assert!(drawn.contains(all.0[0].code.id) && drawn.contains("landfall.yaml:"));
}

fn try_out(text: String) {
    let source = SourceFile::new("landfall.yaml", text);
    match parse(&source) {
        Err(all) => {
            assert!(all.has_errors());
            check(&source, &all);
        }
        Ok(config) => {
            let options =
                ["count", "replicas", "many", "wait", "grace", "region", "port", "memory"];
            for (index, stack) in config.stacks().into_iter().enumerate() {
                let set = options.iter().enumerate().map(|(at, option)| {
                    let value = VALUES[(source.text.len() + index + at) % VALUES.len()];
                    ((*option).to_owned(), value.to_owned())
                });
                for set in [Vec::new(), set.collect()] {
                    let overrides = Overrides { set, ..Overrides::default() };
                    if let Err(all) = config.resolve(stack, &overrides, &BTreeMap::new()) {
                        check(&source, &all);
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn edited_files_are_answered(seed in 0..SEEDS.len(), edits in prop::collection::vec(edit(), 1..6)) {
        try_out(apply(&SEEDS[seed], &edits));
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,80}") {
        try_out(text);
    }
}

#[test]
fn hostile_files_are_answered_soon() {
    let many = |line: &str, times: usize| format!("landfall: v1\napp: a\n{}", line.repeat(times));
    let keys: String = (0..60_000).map(|index| format!("key{index}: x\n")).collect();
    let stacks: String = (0..20_000).map(|index| format!("  s{index}: {{}}\n")).collect();
    let chain: String =
        (0..63).map(|index| format!("  s{index}: {{ extends: s{} }}\n", index + 1)).collect();
    for text in [
        keys,
        many("services: [", 5000),
        many("{a: ", 5000),
        many("- ", 5000),
        many("a: 1\n", 50_000),
        format!(
            "landfall: v1\napp: a\nservices: {{ a: {{ artifact: ., command: [a] }} }}\nstacks:\n{stacks}"
        ),
        format!(
            "landfall: v1\napp: a\nservices: {{ a: {{ artifact: ., command: [a] }} }}\nstacks:\n{chain}  s63: {{}}\n"
        ),
        format!("app: \"{}\"", "${".repeat(100_000)),
        format!("services: {{ a: {{ artifact: \"{}\" }} }}", "${options.x}".repeat(20_000)),
    ] {
        let begun = std::time::Instant::now();
        try_out(text);
        assert!(begun.elapsed().as_secs() < 30, "took {:?}", begun.elapsed());
    }
}
