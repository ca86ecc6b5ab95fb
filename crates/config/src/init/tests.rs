use super::*;

fn listing(name: &str, files: &[(&str, &str)]) -> Listing {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    Listing { name: name.to_owned(), files }
}

/// Proposes, and makes sure that the text is a sound file.
fn proposed(name: &str, files: &[(&str, &str)]) -> Proposal {
    let proposal = propose(&listing(name, files));
    let source = crate::SourceFile::new("landfall.yaml", proposal.yaml.clone());
    match crate::parse(&source) {
        Ok(config) => {
            let stack = config.stacks()[0].clone();
            let files = BTreeMap::new();
            config.resolve(&stack, &crate::Overrides::default(), &files).expect("a sound stack");
        }
        Err(diagnostics) => panic!("{}\n{}", proposal.yaml, diagnostics.render(&source, false)),
    }
    assert!(!proposal.notes.is_empty());
    proposal
}

fn snapshot(name: &str, proposal: &Proposal) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let notes: Vec<String> = proposal.notes.iter().map(|note| format!("- {note}")).collect();
    settings.bind(|| {
        insta::assert_snapshot!(name, format!("{}\n{}", proposal.yaml, notes.join("\n")));
    });
}

#[test]
fn a_procfile_is_recognised() {
    let text = "# comment\nweb: gunicorn shop:app --bind $HOST:$PORT\nworker: ./work --all\nrelease: ./migrate && echo done\n";
    let proposal =
        proposed("My Shop", &[("Procfile", text), ("requirements.txt", "flask\n"), ("app.py", "")]);
    snapshot("init-procfile", &proposal);
}

#[test]
fn node_is_recognised() {
    let package =
        r#"{ "name": "@acme/shop", "scripts": { "start": "node server.js", "build": "tsc" } }"#;
    snapshot("init-node", &proposed("x", &[("package.json", package)]));
    let package = r#"{ "scripts": { "start": "next start" } }"#;
    assert!(proposed("x", &[("package.json", package)]).yaml.contains("[npm, run, "));
    let proposal = proposed("x", &[("package.json", "{}"), ("index.js", "")]);
    assert!(proposal.yaml.contains("command: [node, index.js]"));
    assert!(proposed("x", &[("package.json", "no json")]).notes[0].starts_with("Nothing"));
}

#[test]
fn what_npm_only_starts_is_started_without_it() {
    let package = |start: &str, more: &str| {
        let text = format!(
            r#"{{ "scripts": {{ "start": "{start}"{more} }}, "dependencies": {{ "serve": "1" }} }}"#
        );
        proposed("x", &[("package.json", &text), ("package-lock.json", "{}")]).yaml
    };
    let yaml = package("serve -l ${PORT:-80}", "");
    assert!(yaml.contains("exec node_modules/.bin/serve -l $${PORT:-80}"), "{yaml}");
    assert!(yaml.contains("#   npm ci --omit=dev\n"), "{yaml}");
    let through_npm = "command: [npm, run, ";
    assert!(package("serve", r#", "prestart": "./prepare""#).contains(through_npm));
    assert!(package("serve && ./more", "").contains(through_npm));
    assert!(package("server", "").contains(through_npm));
    let text = r#"{ "scripts": { "start": "node x" }, "dependencies": { "x": "1" } }"#;
    let locked = |lock| proposed("x", &[("package.json", text), (lock, "")]).yaml;
    assert!(locked("yarn.lock").contains("#   yarn install --frozen-lockfile\n"));
    assert!(locked("pnpm-lock.yaml").contains("#   pnpm install --frozen-lockfile\n"));
    assert!(locked("other").contains("#   npm install\n"));
}

#[test]
fn a_procfile_runs_what_is_packed() {
    let text = "web: http-server -p $PORT\n";
    let package = r#"{ "dependencies": { "http-server": "14" } }"#;
    let proposal = proposed("x", &[("Procfile", text), ("package.json", package)]);
    assert!(proposal.yaml.contains("include: [node_modules]"), "{}", proposal.yaml);
    assert!(proposal.yaml.contains("exec node_modules/.bin/http-server"), "{}", proposal.yaml);
    let project = "[project]\nname = \"shop\"\n";
    let files = [("Procfile", "web: python run.py"), ("pyproject.toml", project)];
    let proposal = proposed("x", &files);
    assert!(proposal.yaml.contains("command: [python3, run.py]"), "{}", proposal.yaml);
    assert!(proposal.yaml.contains("--target .vendor .\n"), "{}", proposal.yaml);
}

#[test]
fn rust_is_recognised() {
    let text = "[package]\nname = \"shop\"\nversion = \"1.0.0\"\n[dependencies]\n";
    snapshot("init-rust", &proposed("x", &[("Cargo.toml", text)]));
    let text = "[package]\nname = \"shop\"\n[[bin]]\nname = \"shopd\"\n";
    assert!(proposed("x", &[("Cargo.toml", text)]).yaml.contains("./target/release/shopd"));
}

#[test]
fn python_is_recognised() {
    let text = "[project]\nname = \"shop\"\ndependencies = [\"fastapi>=0.1\"]\n";
    snapshot("init-python", &proposed("x", &[("pyproject.toml", text), ("main.py", "")]));
    let text = "[project]\nname = \"shop\"\n[project.scripts]\nshopd = \"shop:main\"\n";
    let proposal = proposed("x", &[("pyproject.toml", text)]);
    assert!(proposal.yaml.contains("command: [python3, .vendor/bin/shopd]"), "{}", proposal.yaml);
    let manage = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')";
    let proposal = proposed("x", &[("requirements.txt", "Django==5\n"), ("manage.py", manage)]);
    assert!(proposal.yaml.contains("gunicorn mysite.wsgi"), "{}", proposal.yaml);
    assert!(proposal.notes.iter().any(|note| note.starts_with("`gunicorn` starts it and is not")));
    let proposal = proposed("x", &[("requirements.txt", "requests\n"), ("server.py", "")]);
    assert!(proposal.yaml.contains("command: [python3, server.py]"));
}

#[test]
fn a_dockerfile_is_recognised() {
    let text = "FROM rust AS build\nCMD [\"no\"]\nFROM debian\nEXPOSE 80\nENTRYPOINT [\"/usr/bin/shop\"]\nCMD [\"serve\", \"--all\"]\n";
    snapshot("init-docker", &proposed("shop", &[("Dockerfile", text)]));
    let proposal = proposed("shop", &[("Dockerfile", "FROM x\nCMD ./shop --port ${PORT:-80}\n")]);
    assert!(proposal.yaml.contains("exec ./shop --port $${PORT:-80}"), "{}", proposal.yaml);
    let files = [("Dockerfile", "FROM x\n")];
    let proposal = proposed("shop", &files);
    assert!(proposal.notes.iter().any(|note| note.contains("names no command")));
    assert!(proposal.yaml.contains("# Landfall cannot run container images yet."));
    let files = [("Procfile", "web: ./shop"), ("Dockerfile", "FROM x\nCMD y\n")];
    let notes = proposed("shop", &files).notes.join("\n");
    assert!(notes.contains("`Dockerfile` is there as well, and was not used: Landfall cannot run"));
}

#[test]
fn anything_else_gives_a_sound_file_too() {
    snapshot("init-unknown", &proposed("2001 Ödyssee", &[]));
    proposed("", &[("Procfile", "web:\n\nnonsense"), ("Dockerfile", "FROM x\n")]);
    proposed("-", &[("Procfile", "we b: \"x\\\" 'y' # ${z}\nother: true\nyes: null")]);
}
