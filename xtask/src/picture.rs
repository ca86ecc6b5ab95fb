//! The picture in the README: the real program at work on the real shop, as an SVG.

use crate::run;
use anyhow::Context;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

const PICTURE: &str = "docs/demo.svg";
const LINE: usize = 18;
const WIDTH: usize = 1000;

/// The verbs that are shown, with how many of their last lines.
const SCENES: &[(&[&str], usize)] =
    &[(&["up"], 9), (&["up", "--set", "version=2"], 14), (&["status"], 8), (&["rollback"], 12)];

/// Runs the scenes on a host of its own and draws what they said.
pub fn draw() -> anyhow::Result<()> {
    run::cargo("build", &["build", "--package", "landfall-cli", "--package", "shop"])?;
    let folder = Path::new("target/picture");
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder.join("shop/dist"))?;
    std::fs::copy("target/debug/shop", folder.join("shop/dist/shop"))?;
    std::fs::copy("examples/shop/landfall.yaml", folder.join("shop/landfall.yaml"))?;
    let folder = folder.canonicalize()?;
    let mut lines = Vec::new();
    for (verb, last) in SCENES {
        lines.push(format!("\u{1b}[1m$ landfall {}\u{1b}[0m", verb.join(" ")));
        let said = say(&folder, verb)?;
        let from = said.len().saturating_sub(*last);
        lines.extend(said.into_iter().skip(from));
        lines.push(String::new());
    }
    say(&folder, &["down", "--purge", "--yes"])?;
    say(&folder, &["agent", "stop"])?;
    std::fs::write(PICTURE, svg(&lines))?;
    println!("wrote {PICTURE}");
    Ok(())
}

fn say(folder: &Path, verb: &[&str]) -> anyhow::Result<Vec<String>> {
    let program = Path::new("target/debug/landfall").canonicalize()?;
    let line = format!("\"{}\" --color always {} 2>&1", program.display(), verb.join(" "));
    let output = Command::new("sh")
        .args(["-c", &line])
        .current_dir(folder.join("shop"))
        .env("LANDFALL_HOME", folder.join("home"))
        .env("LANDFALL_METRICS", "off")
        .env("USER", "deploy")
        .env("CI", "true")
        .output()
        .with_context(|| line.clone())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    anyhow::ensure!(output.status.success(), "{line} failed:\n{text}");
    // Whoever looks need not know the name of the machine it was drawn on.
    let host = run::output(Command::new("uname").arg("-n"))?;
    Ok(text.replace(&format!("@{}", host.trim()), "@laptop").lines().map(str::to_owned).collect())
}

fn svg(lines: &[String]) -> String {
    let height = lines.len() * LINE + 40;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" aria-label=\"A terminal: landfall up takes the shop live, up again moves traffic to version 2, rollback brings version 1 back\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#16181d\"/>\n\
         <g font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, monospace\" font-size=\"13\" fill=\"#d8dee9\" xml:space=\"preserve\">\n"
    );
    for (index, line) in lines.iter().enumerate() {
        let y = 28 + index * LINE;
        let _ = writeln!(text, "<text x=\"18\" y=\"{y}\">{}</text>", spans(line));
    }
    text.push_str("</g>\n</svg>\n");
    text
}

/// ANSI colours as SVG spans.
fn spans(line: &str) -> String {
    let mut text = String::new();
    let mut open = false;
    for (index, piece) in line.split("\u{1b}[").enumerate() {
        let (code, rest) = match index {
            0 => ("", piece),
            _ => piece.split_once('m').unwrap_or(("", piece)),
        };
        if open {
            text.push_str("</tspan>");
            open = false;
        }
        let style = match code {
            "1" => Some("font-weight=\"bold\" fill=\"#ffffff\""),
            "31" => Some("fill=\"#ff6b6b\""),
            "32" => Some("fill=\"#7bd88f\""),
            "33" => Some("fill=\"#f5c76e\""),
            "36" => Some("fill=\"#6ec1e4\""),
            _ => None,
        };
        if let Some(style) = style {
            let _ = write!(text, "<tspan {style}>");
            open = true;
        }
        text.push_str(&rest.replace('&', "&amp;").replace('<', "&lt;").replace(' ', "\u{a0}"));
    }
    if open {
        text.push_str("</tspan>");
    }
    text
}
