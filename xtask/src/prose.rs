//! Documentation: every link to a file leads somewhere, and every capability has its page.

use anyhow::bail;
use std::path::{Path, PathBuf};

/// What the repository must always have.
const PAGES: &[&str] = &[
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "docs/architecture.md",
    "docs/life-of-a-deploy.md",
    "docs/reference.md",
    "docs/store-format.md",
];

/// Checks them.
pub fn check() -> anyhow::Result<()> {
    let mut mistakes: Vec<String> = PAGES
        .iter()
        .filter(|page| !Path::new(page).exists())
        .map(|page| format!("{page} is missing"))
        .collect();
    let mut pages = Vec::new();
    collect(Path::new("."), &mut pages);
    for page in &pages {
        let text = std::fs::read_to_string(page)?;
        for link in links(&text) {
            let target = link.split('#').next().unwrap_or_default();
            let outside = target.contains("://") || target.starts_with("mailto:");
            if target.is_empty() || outside {
                continue;
            }
            let folder = page.parent().unwrap_or(Path::new("."));
            if !folder.join(target).exists() {
                mistakes.push(format!("{}: nothing is at {link}", page.display()));
            }
        }
    }
    if !mistakes.is_empty() {
        bail!("documentation:\n  {}", mistakes.join("\n  "));
    }
    println!("── links: good ({} pages)", pages.len());
    Ok(())
}

fn collect(folder: &Path, pages: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let hidden = name.to_string_lossy().starts_with('.');
        if path.is_dir()
            && !hidden
            && name != "target"
            && name != "node_modules"
            && name != "vendor"
        {
            collect(&path, pages);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
}

/// The targets of `[text](target)`, outside fenced code.
fn links(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        let mut rest = line;
        while let Some(start) = rest.find("](") {
            rest = &rest[start + 2..];
            let Some(end) = rest.find(')') else { break };
            found.push(&rest[..end]);
            rest = &rest[end..];
        }
    }
    found
}
