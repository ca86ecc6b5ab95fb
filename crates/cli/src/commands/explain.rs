//! `landfall explain`: what a code means.

use crate::failure::{Failure, Result};
use crate::output::Output;
use landfall_model::ExitCode;
use std::fmt::Write as _;

pub fn run(topic: &str, output: &Output) -> Result<ExitCode> {
    if topic == "exit-codes" {
        let mut text = String::new();
        for code in ExitCode::ALL {
            let _ = writeln!(text, "{:>3}  {:<12} {}", code.code(), code.word(), code.meaning());
        }
        output.answer("exit-codes", &serde_json::json!({ "codes": ExitCode::ALL }), || text);
        output.done(ExitCode::Done);
        return Ok(ExitCode::Done);
    }
    let id = topic.to_ascii_uppercase();
    let found = codes().into_iter().find(|code| code.0 == id);
    let (id, title, explanation) = found.ok_or_else(|| {
        Failure::new(ExitCode::NotFound, format!("there is no code `{topic}`"))
            .help("codes look like LF0102; `landfall explain exit-codes` lists the exit codes")
    })?;
    let explanation = with_list(id, explanation);
    let value = serde_json::json!({ "code": id, "title": title, "explanation": explanation });
    output.answer("explanation", &value, || format!("{id}: {title}\n\n{explanation}"));
    output.done(ExitCode::Done);
    Ok(ExitCode::Done)
}

/// The explanation of the policies' code ends with those that are served.
pub fn with_list(id: &str, explanation: &str) -> String {
    if id != "LF0902" {
        return explanation.to_owned();
    }
    let list: Vec<String> =
        landfall_plan::served_policies().iter().map(|name| format!("- `{name}`")).collect();
    format!("{explanation}\n\n{}", list.join("\n"))
}

/// Every code with its title and explanation, sorted.
pub fn codes() -> Vec<(&'static str, &'static str, &'static str)> {
    let mut all: Vec<_> = landfall_config::codes::ALL
        .iter()
        .map(|code| (code.id, code.title, code.explanation))
        .collect();
    all.extend(landfall_plan::CODES.iter().copied());
    all.extend(landfall_agent::CODES.iter().copied());
    all.extend(landfall_engine_local::CODES.iter().copied());
    all.extend(landfall_engine_kubernetes::CODES.iter().copied());
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_code_has_two_meanings() {
        let codes = super::codes();
        for pair in codes.windows(2) {
            assert_ne!(pair[0].0, pair[1].0, "two meanings");
        }
    }
}
