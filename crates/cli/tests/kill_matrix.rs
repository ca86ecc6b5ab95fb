//! Whoever dies at whatever instant, the next command ends with exactly what was intended.
//!
//! A part of the matrix with every run of the tests; with `LANDFALL_WRITE_DOCS=1` the whole one,
//! which is then kept in `docs/kill-matrix.md`.

use landfall_testkit::kills::{self, Matrix, Random, Selection};
use std::path::{Path, PathBuf};

/// How many hosts at once.
const AT_ONCE: usize = 2;
/// Where chance starts.
const SEED: u64 = 20_261_124;

#[test]
fn everything_recovers_from_every_kill() {
    let whole = std::env::var_os("LANDFALL_WRITE_DOCS").is_some();
    let program = PathBuf::from(env!("CARGO_BIN_EXE_landfall"));
    let selection = if whole { Selection::Whole } else { Selection::Some };
    let matrix = kills::matrix(&Matrix { program: program.clone(), selection, at_once: AT_ONCE });
    let matrix = matrix.expect("a calm run");
    eprintln!("{}", kills::table(&matrix));
    let count = if whole { 500 } else { 20 };
    let random = kills::random(&Random { program, seed: SEED, count, at_once: AT_ONCE });
    let random = random.expect("the programs");
    eprintln!("{}", kills::rounds(&random));
    let wrong: Vec<String> =
        matrix
            .iter()
            .filter_map(|(row, result)| Some(format!("{row:?}: {}", result.as_ref().err()?)))
            .chain(random.iter().filter_map(|(round, result)| {
                Some(format!("{round:?}: {}", result.as_ref().err()?))
            }))
            .collect();
    assert!(wrong.is_empty(), "{} are not in order:\n{}", wrong.len(), wrong.join("\n"));
    assert!(matrix.len() >= 25, "only {} rows", matrix.len());
    if whole {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/kill-matrix.md");
        std::fs::write(file, kills::document(&matrix, &random, SEED)).expect("written");
    }
}
