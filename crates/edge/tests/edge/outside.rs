//! Programs that others wrote, where they are installed; a test without its program says so and ends.

use crate::support::{Keys, TestEdge, TestTarget, https, listener};
use std::io::Write;
use std::process::{Command, Stdio};

const HOST: &str = "shop.example";

/// How a program ended.
pub struct Verdict {
    pub success: bool,
    pub output: String,
    pub errors: String,
}

/// Runs a program with this input; none when it is not installed.
pub fn feed(program: &str, arguments: &[&str], input: &str) -> Option<Verdict> {
    let spawned = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = spawned else {
        eprintln!("skipped: {program} is not installed");
        return None;
    };
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input.as_bytes()).expect("written");
    drop(stdin);
    let output = child.wait_with_output().expect("ended");
    Some(Verdict {
        success: output.status.success(),
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

async fn feed_aside(
    program: &'static str,
    arguments: Vec<String>,
    input: String,
) -> Option<Verdict> {
    tokio::task::spawn_blocking(move || {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        feed(program, &arguments, &input)
    })
    .await
    .expect("joined")
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_speaks_both_versions() {
    let target = TestTarget::start("a").await;
    let keys = Keys::of(&[HOST]);
    let (socket, address) = listener();
    let _edge = TestEdge::simple(https(address, &keys), &socket, &[&target]).await;
    let folder = tempfile::tempdir().expect("a folder");
    let authority = folder.path().join("authority.pem");
    std::fs::write(&authority, &keys.chain_pem).expect("written");
    for (flag, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let arguments = [
            "--silent",
            "--show-error",
            flag,
            "--max-time",
            "20",
            "--cacert",
            &authority.display().to_string(),
            "--resolve",
            &format!("{HOST}:{}:127.0.0.1", address.port()),
            "--data-binary",
            "@-",
            "--write-out",
            " %{http_version} %{http_code}",
            &format!("https://{HOST}:{}/echo", address.port()),
        ];
        let arguments = arguments.iter().map(|text| (*text).to_owned()).collect();
        let Some(verdict) = feed_aside("curl", arguments, "hello".to_owned()).await else { return };
        assert!(verdict.success, "{}", verdict.errors);
        assert_eq!(verdict.output, format!("hello {version} 200"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_meets_the_policies() {
    let target = TestTarget::start("a").await;
    let keys = Keys::of(&[HOST]);
    let (socket, address) = listener();
    let mut edge = TestEdge::simple(https(address, &keys), &socket, &[&target]).await;
    for (policy, flag, expected) in [
        ("ELBSecurityPolicy-TLS13-1-3-2021-06", "-tls1_2", None),
        ("ELBSecurityPolicy-TLS13-1-3-2021-06", "-tls1_3", Some("TLS_AES_128_GCM_SHA256")),
        ("ELBSecurityPolicy-FS-1-2-Res-2020-10", "-tls1_2", Some("ECDHE-ECDSA-AES128-GCM-SHA256")),
        ("ELBSecurityPolicy-FS-1-2-Res-2020-10", "-tls1_3", None),
    ] {
        edge.config.listeners[0].policy = Some(policy.to_owned());
        edge.apply().await;
        let to = address.to_string();
        let arguments = ["s_client", "-connect", &to, "-servername", HOST, flag, "-brief"];
        let arguments = arguments.iter().map(|text| (*text).to_owned()).collect();
        let Some(verdict) = feed_aside("openssl", arguments, String::new()).await else { return };
        let talk = verdict.output + &verdict.errors;
        match expected {
            Some(suite) => assert!(talk.contains(&format!("Ciphersuite: {suite}")), "{talk}"),
            None => assert!(!verdict.success && talk.contains("alert"), "{talk}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn go_agrees_on_every_group_of_the_default_policy() {
    let target = TestTarget::start("a").await;
    let keys = Keys::of(&[HOST]);
    let (socket, address) = listener();
    let _edge = TestEdge::simple(https(address, &keys), &socket, &[&target]).await;
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("groups.go");
    std::fs::write(&source, include_str!("outside/groups.go")).expect("written");
    let arguments = vec!["run".to_owned(), source.display().to_string(), address.to_string()];
    let Some(verdict) = feed_aside("go", arguments, String::new()).await else { return };
    if !verdict.success {
        eprintln!("skipped: this go is too old: {}", verdict.errors);
        return;
    }
    let expected = [
        "SecP384r1MLKEM1024 SecP384r1MLKEM1024 TLS 1.3",
        "SecP256r1MLKEM768 SecP256r1MLKEM768 TLS 1.3",
        "X25519MLKEM768 X25519MLKEM768 TLS 1.3",
        "X25519 X25519 TLS 1.3",
        "CurveP256 CurveP256 TLS 1.3",
        "CurveP384 CurveP384 TLS 1.3",
        "CurveP521 refused",
    ];
    assert_eq!(verdict.output.lines().collect::<Vec<_>>(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn h2spec_is_content() {
    let target = TestTarget::start("a").await;
    let keys = Keys::of(&[HOST]);
    let (socket, address) = listener();
    let _edge = TestEdge::simple(https(address, &keys), &socket, &[&target]).await;
    let port = address.port().to_string();
    let arguments = ["-h", "127.0.0.1", "-p", &port, "-t", "-k", "-o", "5"];
    let arguments = arguments.iter().map(|text| (*text).to_owned()).collect();
    let Some(verdict) = feed_aside("h2spec", arguments, String::new()).await else { return };
    let failures: Vec<_> =
        verdict.output.lines().filter(|line| line.trim_start().starts_with('×')).collect();
    assert!(verdict.success, "{failures:#?}\n{}", verdict.output);
}
