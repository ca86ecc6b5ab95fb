//! Who we are to a registry: from Docker's file, and from the programs that it names.

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Registry, Setup, client, image, silent};
use landfall_registry::{
    Credentials, CredentialsError, Found, Login, RegistryError, Secret, Source,
};
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Writes a program by another process: one that we wrote ourselves could still be open for
/// writing in a child of another test, and the system would not start it.
fn program(folder: &Path, name: &str, text: &str) {
    let mut child = Command::new("install")
        .args(["-m", "755", "/dev/stdin"])
        .arg(folder.join(name))
        .stdin(Stdio::piped())
        .spawn()
        .expect("install");
    std::io::Write::write_all(&mut child.stdin.take().expect("stdin"), text.as_bytes())
        .expect("it");
    assert!(child.wait().expect("it ends").success());
}

/// A folder with a `config.json`, which is also where programs are looked for first.
fn configured(json: &str) -> (TempDir, Credentials) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config.json");
    std::fs::write(&file, json).expect("write");
    let search = search(folder.path());
    (folder, Credentials::from_file(file, search))
}

fn search(first: &Path) -> OsString {
    let mut folders = vec![first.to_owned()];
    folders.extend(["/usr/bin".into(), "/bin".into()]);
    std::env::join_paths(folders).expect("a PATH")
}

fn ada() -> Option<Login> {
    Some(Login::Basic { user: "ada".to_owned(), password: Secret::new("open sesame") })
}

fn auths(host: &str, password: &str) -> String {
    let auth = STANDARD.encode(format!("ada:{password}"));
    format!(r#"{{"auths": {{"{host}": {{"auth": "{auth}"}}}}}}"#)
}

#[tokio::test]
async fn a_registry_that_wants_a_password() {
    let test = "a_registry_that_wants_a_password";
    let setup = Setup { login: true, ..Setup::default() };
    let Some(registry) = Registry::start_with(test, setup).await else { return };
    let (host, place, built) = (&registry.host, registry.place("shop"), image("1").await);
    let refused = async |credentials: Credentials| {
        let error = client(credentials).push(&built, &place, None, &silent()).await;
        let error = error.expect_err("not with these credentials");
        assert!(matches!(error, RegistryError::Unauthorized { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("sesame"), "{error:?}");
        error.to_string()
    };

    let text = refused(Credentials::anonymous()).await;
    assert!(text.contains(&format!("{host} does not allow to push to {place}")), "{text}");
    assert!(text.contains(&format!("docker login {host}")), "{text}");

    let (folder, none) = configured("{}");
    let text = refused(none).await;
    let file = folder.path().join("config.json").display().to_string();
    assert!(text.contains(&format!("there are none for it in {file}")), "{text}");

    let (folder, wrong) = configured(&auths(host, "open barley"));
    let text = refused(wrong).await;
    let file = folder.path().join("config.json").display().to_string();
    assert!(text.contains(&format!("with the credentials in {file}")), "{text}");

    let (_folder, right) = configured(&auths(host, "open sesame"));
    let pushed = client(right.clone()).push(&built, &place, None, &silent()).await.expect("push");
    assert!(client(right).exists(&pushed).await.expect("an answer"));

    let given = Credentials::anonymous().with(host, ada().expect("a login"));
    assert!(client(given).exists(&pushed).await.expect("an answer"));

    let json = format!(r#"{{"credHelpers": {{"{host}": "test"}}}}"#);
    let (folder, helped) = configured(&json);
    let script = format!(
        "#!/bin/sh\n[ \"$*\" = get ] && [ \"$(cat)\" = {host} ] || exit 1\necho '{{\"ServerURL\": \"x\", \"Username\": \"ada\", \"Secret\": \"open sesame\"}}'\n"
    );
    program(folder.path(), "docker-credential-test", &script);
    assert!(client(helped).exists(&pushed).await.expect("an answer"));

    let (_folder, missing) = configured(&json);
    let error = client(missing).resolve(&pushed).await.expect_err("no such program");
    assert!(matches!(error, RegistryError::Credentials { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("docker-credential-test") && text.contains("is not installed"), "{text}");
    assert!(text.contains(&pushed.to_string()), "{text}");
}

#[tokio::test]
async fn the_file_is_read_as_docker_writes_it() {
    let pair = STANDARD.encode("ada:open sesame");
    for (host, json, expected) in [
        ("registry.example", auths("registry.example", "open sesame"), ada()),
        ("registry.example", auths("https://registry.example", "open sesame"), ada()),
        ("registry.example", auths("https://registry.example/v2/", "open sesame"), ada()),
        ("registry.example:5000", auths("registry.example", "open sesame"), None),
        ("registry.example", auths("registry.example.evil", "open sesame"), None),
        ("docker.io", auths("https://index.docker.io/v1/", "open sesame"), ada()),
        ("docker.io", auths("docker.io", "open sesame"), ada()),
        (
            "a.example",
            r#"{"auths": {"a.example": {"username": "ada", "password": "open sesame"}}}"#
                .to_owned(),
            ada(),
        ),
        ("a.example", r#"{"auths": {"a.example": {}}, "other": [1]}"#.to_owned(), None),
        (
            "a.example",
            format!(
                r#"{{"auths": {{"a.example": {{"auth": "{pair}", "identitytoken": "long"}}}}}}"#
            ),
            Some(Login::Identity(Secret::new("long"))),
        ),
        (
            "a.example",
            r#"{"auths": {"a.example": {"registrytoken": "short"}}}"#.to_owned(),
            Some(Login::Bearer(Secret::new("short"))),
        ),
    ] {
        let (_folder, credentials) = configured(&json);
        let found = credentials.find(host).await.expect(&json);
        assert_eq!(found.login, expected, "{host}: {json}");
    }
}

#[tokio::test]
async fn a_damaged_file_is_an_error_that_shows_nothing_of_it() {
    for json in [
        r#"{"auths": {"a.example": {"auth": "hunter2!"}}}"#,
        r#"{"auths": {"a.example": "hunter2"}}"#,
        r#"{"auths": hunter2"#,
    ] {
        let (_folder, credentials) = configured(json);
        let error = credentials.find("a.example").await.expect_err(json);
        assert!(matches!(error, CredentialsError::File { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let absent = Credentials::from_file(folder.path().join("config.json"), OsString::new());
    let found = absent.find("a.example").await.expect("no file is no error");
    let source = Source::NotIn(folder.path().join("config.json"));
    assert_eq!(found, Found { login: None, source });
}

#[tokio::test]
async fn where_the_file_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("home");
    std::fs::create_dir_all(home.join(".docker")).expect("folders");
    std::fs::write(home.join(".docker/config.json"), auths("a.example", "open sesame"))
        .expect("it");
    let environment = |docker: Option<&str>| {
        let (home, docker) = (home.clone(), docker.map(|name| folder.path().join(name)));
        Credentials::from_environment(move |name| match name {
            "HOME" => Some(home.clone().into()),
            "DOCKER_CONFIG" => docker.clone().map(Into::into),
            _ => None,
        })
    };
    let found = environment(None).find("a.example").await.expect("a file");
    assert_eq!(found.login, ada());
    let found = environment(Some("elsewhere")).find("a.example").await.expect("no file");
    assert_eq!(found.login, None);
}

#[tokio::test]
async fn programs_are_asked() {
    let (folder, credentials) = configured(
        r#"{"credsStore": "store", "credHelpers": {"own.example": "own"},
        "auths": {"file.example": {"auth": "YWRhOm9wZW4gc2VzYW1l"}, "known.example": {}}}"#,
    );
    let asked = folder.path().join("asked").display().to_string();
    let store = format!(
        "#!/bin/sh\nread -r host || true\necho \"$host\" >>{asked}\ncase $host in\nknown.example|https://index.docker.io/v1/) echo '{{\"Username\":\"ada\",\"Secret\":\"open sesame\"}}' ;;\n*) echo 'credentials not found in native keychain'; exit 1 ;;\nesac\n"
    );
    program(folder.path(), "docker-credential-store", &store);
    let own = "#!/bin/sh\necho '{\"Username\":\"<token>\",\"Secret\":\"long\"}'\n";
    program(folder.path(), "docker-credential-own", own);
    let login = async |host: &str| {
        let found = credentials.find(host).await.expect(host);
        (found.login, found.source)
    };
    let from = |name: &str| Source::Helper(name.to_owned());
    assert_eq!(login("known.example").await, (ada(), from("store")));
    assert_eq!(login("docker.io").await, (ada(), from("store")));
    let token = Some(Login::Identity(Secret::new("long")));
    assert_eq!(login("own.example").await, (token, from("own")));
    let file = Source::File(folder.path().join("config.json"));
    assert_eq!(login("file.example").await, (ada(), file), "what the program lacks");
    assert_eq!(login("other.example").await, (None, Source::NotFrom("store".to_owned())));
    let asked = std::fs::read_to_string(asked).expect("what was asked");
    assert!(asked.contains("https://index.docker.io/v1/\n"), "{asked}");
}

#[tokio::test]
async fn a_program_that_fails_is_named() {
    for (script, part) in [
        ("#!/bin/sh\necho 'the keychain is locked'; exit 1\n", "the keychain is locked"),
        ("#!/bin/sh\necho 'no session' >&2; exit 2\n", "no session"),
        ("#!/bin/sh\necho '{\"Secret\": \"hunter2\"}'; exit 1\n", "does not say why"),
        ("#!/bin/sh\necho 'hunter2'\n", "something else than its JSON"),
        ("#!/bin/sh\nexec head -c 100000 /dev/zero\n", "more than 65536 bytes"),
        ("#!/nowhere/sh\n", "cannot be started"),
    ] {
        let (folder, credentials) = configured(r#"{"credsStore": "test"}"#);
        program(folder.path(), "docker-credential-test", script);
        let error = credentials.find("a.example").await.expect_err(script);
        let text = format!("{error} {error:?}");
        assert!(text.contains(part) && text.contains("docker-credential-test"), "{text}");
        assert!(text.contains("a.example") && !text.contains("hunter2"), "{text}");
    }
    for name in ["../../bin/sh", "a b", ""] {
        let json = format!(r#"{{"credHelpers": {{"a.example": "{name}"}}}}"#);
        let (_folder, credentials) = configured(&json);
        let error = credentials.find("a.example").await.expect_err(name).to_string();
        assert!(error.contains("is not the name of a program"), "{error}");
    }
}

#[tokio::test]
async fn a_program_that_hangs_is_ended() {
    let (folder, credentials) = configured(r#"{"credsStore": "test"}"#);
    let pids = folder.path().join("pids").display().to_string();
    let script = format!("#!/bin/sh\nsleep 600 &\necho $$ $! >{pids}\nwait\n");
    program(folder.path(), "docker-credential-test", &script);
    let started = Instant::now();
    let error = credentials.find("a.example").await.expect_err("it hangs").to_string();
    assert!(error.contains("nothing within 10 s"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(20));
    for pid in std::fs::read_to_string(pids).expect("its processes").split_whitespace() {
        let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Nobody may have reaped what it started, and what was killed takes a moment to end.
        let ended = |stat: &str| stat.is_empty() || stat.contains(") Z ");
        let deadline = Instant::now() + Duration::from_secs(5);
        while !ended(&stat()) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(ended(&stat()), "it still runs: {}", stat());
    }
}
