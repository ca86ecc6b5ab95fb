//! Development tasks: `cargo xtask TASK`.

mod bench;
mod house;
mod picture;
mod prose;
mod reference;
mod run;
mod testbed;
mod tests;

const HELP: &str = "\
cargo xtask TASK

  test              build everything and run every test; what README names
  check             format, lints, arrows of the house, documentation, generated files
  reference         write docs/reference.md and the JSON Schema anew
  picture           draw docs/demo.svg anew from the real program
  bench NAME [...]  run a bench; without a name it lists them
  testbed up|down   a Kubernetes on this machine, for tests and for a first try
";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest = arguments.get(1..).unwrap_or_default();
    std::env::set_current_dir(run::root()?)?;
    match arguments.first().map(String::as_str) {
        Some("test") => tests::run(rest),
        Some("check") => check(),
        Some("reference") => reference::write(),
        Some("picture") => picture::draw(),
        Some("bench") => bench::run(rest),
        Some("testbed") => testbed::run(rest),
        Some("help" | "--help" | "-h") | None => {
            print!("{HELP}");
            Ok(())
        }
        Some(other) => anyhow::bail!("there is no task `{other}`\n\n{HELP}"),
    }
}

/// Every check that needs no running program.
fn check() -> anyhow::Result<()> {
    run::cargo("format", &["fmt", "--all", "--check"])?;
    house::check()?;
    prose::check()?;
    run::cargo("lints", &["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])?;
    run::cargo("documentation", &["doc", "--workspace", "--no-deps", "--document-private-items"])?;
    reference::check()?;
    println!("all checks are good");
    Ok(())
}
