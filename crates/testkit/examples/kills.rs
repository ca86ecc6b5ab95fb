//! Tries kills by hand: `cargo run -p landfall-testkit --example kills -- PROGRAM [whole] [COUNT]
//! [SEED]`.

use landfall_testkit::kills::{self, Matrix, Random, Selection};

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let program = arguments.first().ok_or("name the `landfall` program")?.into();
    let whole = arguments.iter().any(|it| it == "whole");
    let mut numbers = arguments.iter().skip(1).filter_map(|it| it.parse::<u64>().ok());
    let (count, seed) = (numbers.next().unwrap_or(20), numbers.next().unwrap_or(1));
    let selection = if whole { Selection::Whole } else { Selection::Some };
    let matrix = Matrix { program, selection, at_once: 2 };
    let random = Random { program: matrix.program.clone(), seed, count, at_once: 2 };
    if !arguments.iter().any(|it| it == "random") {
        let rows = kills::matrix(&matrix)?;
        println!("{}", kills::table(&rows));
        for (row, why) in rows.iter().filter_map(|(row, it)| Some((row, it.as_ref().err()?))) {
            println!("{row:?}: {why}\n");
        }
    }
    let rounds = kills::random(&random)?;
    println!("{}", kills::rounds(&rounds));
    for (round, why) in rounds.iter().filter_map(|(it, result)| Some((it, result.as_ref().err()?))) {
        println!("{round:?}: {why}\n");
    }
    Ok(())
}
