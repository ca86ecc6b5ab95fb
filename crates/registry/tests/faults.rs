//! Registries and networks that do not behave.

mod common;

use common::faults::{Fault, Faulty};
use common::stub::{Answer, Request, Stub};
use common::{Registry, anonymous, image, image_on, progress, quick, silent};
use landfall_registry::{
    Base, Build, Client, Credentials, ImageConfig, Login, Options, Reference, RegistryError,
    Secret, build_image,
};
use std::time::{Duration, Instant};

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const INDEX: &str = r#"{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}"#;

fn name(host: &str, rest: &str) -> Reference {
    format!("{host}/{rest}").parse().expect("a name")
}

#[tokio::test]
async fn failures_that_pass_are_waited_out() {
    let Some(registry) = Registry::start("failures_that_pass_are_waited_out").await else { return };
    let built = image("1").await;
    let pushed =
        anonymous().push(&built, &registry.place("shop"), None, &silent()).await.expect("push");
    let rest = format!("shop@{}", pushed.digest().expect("a digest"));
    let faults = &[Fault::Answer(429, "retry-after: 0\r\n"), Fault::Answer(500, ""), Fault::Reset];
    let proxy = Faulty::before(&registry.host, faults).await;
    let resolved = anonymous().resolve(&name(&proxy.host, &rest)).await.expect("the fourth try");
    assert_eq!(resolved.digest, built.digest());
    assert_eq!(proxy.seen(), 4);
}

#[tokio::test]
async fn failures_that_stay_end() {
    for fault in [&[Fault::Answer(429, ""); 9], &[Fault::Answer(503, ""); 9], &[Fault::Reset; 9]] {
        let proxy = Faulty::before("127.0.0.1:1", fault).await;
        let error = anonymous().resolve(&name(&proxy.host, "shop")).await.expect_err("no answer");
        assert!(matches!(error, RegistryError::Unreachable { .. }), "{error:?}");
        assert!(error.to_string().contains(&format!("{}/shop:latest", proxy.host)), "{error}");
        assert_eq!(proxy.seen(), 4, "four tries and no more");
    }
    // What no other try makes better is not tried again.
    let proxy = Faulty::before("127.0.0.1:1", &[Fault::Answer(400, ""); 9]).await;
    let error = anonymous().resolve(&name(&proxy.host, "shop")).await.expect_err("refused");
    assert!(matches!(error, RegistryError::Refused { .. }), "{error:?}");
    assert_eq!(proxy.seen(), 1);
    // A pause that nobody waits for is an end.
    let proxy =
        Faulty::before("127.0.0.1:1", &[Fault::Answer(429, "retry-after: 3600\r\n"); 9]).await;
    let started = Instant::now();
    anonymous().resolve(&name(&proxy.host, "shop")).await.expect_err("an hour");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn silence_ends() {
    let proxy = Faulty::before("127.0.0.1:1", &[Fault::Silence; 9]).await;
    let options = Options { request_timeout: Duration::from_millis(200), ..quick() };
    let client = Client::new(Credentials::anonymous(), options).expect("a client");
    let started = Instant::now();
    let error = client.exists(&name(&proxy.host, "shop")).await.expect_err("no answer");
    assert!(matches!(error, RegistryError::Timeout { .. }), "{error:?}");
    assert!(error.to_string().contains("within 0.2 s"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(proxy.seen(), 4);
}

#[tokio::test]
async fn a_blob_that_breaks_off_is_sent_again() {
    let Some(registry) = Registry::start("a_blob_that_breaks_off_is_sent_again").await else {
        return;
    };
    // Large enough that the break comes amid its bytes.
    let (root, work) = (tempfile::tempdir().expect("root"), tempfile::tempdir().expect("work"));
    common::write(root.path(), "noise", common::noise(3 << 20), 0o644);
    let archive = common::packed(root.path(), work.path()).await;
    let config = ImageConfig::new(common::amd64());
    let build = Build { archive, base: Base::Scratch, config, work: work.path().to_owned() };
    let built = build_image(build).await.expect("an image");
    assert!(built.layer_size() > 3 << 20, "{}", built.layer_size());
    let faults = &[Fault::CutAfter(2 << 20), Fault::CutAfter(1 << 20)];
    let proxy = Faulty::before(&registry.host, faults).await;
    let place = format!("{}/shop", proxy.host).parse().expect("a place");
    let (on_progress, seen) = progress();
    let pushed = anonymous().push(&built, &place, None, &on_progress).await.expect("push");
    assert!(proxy.seen() >= 3);
    let seen = seen.lock().expect("not poisoned").clone();
    assert!(seen.windows(2).any(|pair| pair[1].done < pair[0].done), "it went back");
    assert!(seen.iter().all(|it| it.done <= it.total));
    assert_eq!(seen.last().map(|it| it.done), seen.last().map(|it| it.total));
    let direct = registry.place("shop").at(pushed.digest().expect("a digest"));
    assert_eq!(anonymous().resolve(&direct).await.expect("it is whole").digest, built.digest());
}

/// A registry with tokens: `/token` gives one for the right login.
fn with_tokens(request: &Request, good: impl Fn(&Request) -> bool) -> Answer {
    let host =
        request.head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    if request.line.contains(" /token") {
        return match good(request) {
            true => (200, String::new(), br#"{"token": "t0ken", "expires_in": 300}"#.to_vec()),
            false => (401, String::new(), b"{}".to_vec()),
        };
    }
    if !request.has("authorization: bearer t0ken") {
        let asked =
            format!("www-authenticate: Bearer realm=\"http://{host}/token\",service=\"it\"\r\n");
        return (401, asked, Vec::new());
    }
    (200, String::new(), INDEX.as_bytes().to_vec())
}

#[tokio::test]
async fn tokens_are_fetched_once() {
    let stub = Stub::start(|request| with_tokens(request, |_| true)).await;
    let client = anonymous();
    for _ in 0..3 {
        client.resolve(&name(&stub.host, "team/shop:1")).await.expect("resolve");
    }
    let requests = stub.requests();
    let tokens: Vec<_> = requests.iter().filter(|it| it.line.contains("/token")).collect();
    let [token] = &tokens[..] else { panic!("{requests:?}") };
    assert!(token.line.contains("scope=repository%3Ateam%2Fshop%3Apull&service=it"), "{token:?}");
    assert!(!token.has("authorization"), "{token:?}");
    assert_eq!(requests.len(), 5);
}

#[tokio::test]
async fn tokens_are_for_who_we_are() {
    let stub = Stub::start(|request| {
        with_tokens(request, |request| {
            request.has("authorization: basic ywrhom9wzw4gc2vzyw1l")
                || (request.line.starts_with("POST")
                    && request.body.contains("grant_type=refresh_token")
                    && request.body.contains("refresh_token=long+one"))
        })
    })
    .await;
    let image = name(&stub.host, "shop:1");
    let ada =
        |password: &str| Login::Basic { user: "ada".to_owned(), password: Secret::new(password) };
    for (login, good) in [
        (ada("open sesame"), true),
        (Login::Identity(Secret::new("long one")), true),
        (Login::Bearer(Secret::new("t0ken")), true),
        (ada("open barley"), false),
        (Login::Identity(Secret::new("short")), false),
    ] {
        let credentials = Credentials::anonymous().with(&stub.host, login.clone());
        let resolved = common::client(credentials).resolve(&image).await;
        assert_eq!(resolved.is_ok(), good, "{login:?}: {resolved:?}");
        if let Err(error) = resolved {
            assert!(matches!(error, RegistryError::Unauthorized { .. }), "{error:?}");
            assert!(error.to_string().contains("with the given credentials"), "{error}");
        }
    }
}

#[tokio::test]
async fn answers_are_limited_and_checked() {
    let stub = Stub::start(|request| {
        let body = match request.line.split(' ').nth(1).unwrap_or_default() {
            path if path.ends_with("/huge") => vec![b' '; 5 << 20],
            path if path.ends_with("/page") => b"<html>".to_vec(),
            path if path.ends_with("/denied") => {
                return (
                    403,
                    String::new(),
                    br#"{"errors": [{"code": "DENIED", "message": "no\u001b[31m"}]}"#.to_vec(),
                );
            }
            path if path.ends_with("/away") => {
                return (307, "location: http://127.0.0.1:1/elsewhere\r\n".to_owned(), Vec::new());
            }
            _ => INDEX.as_bytes().to_vec(),
        };
        (200, String::new(), body)
    })
    .await;
    for (rest, part) in [
        ("shop:huge", "more than 4194304 bytes"),
        ("shop:page", "not understood"),
        (&*format!("shop@{DIGEST}"), "does not have the digest"),
    ] {
        let image = name(&stub.host, rest);
        let error = anonymous().resolve(&image).await.expect_err(rest);
        assert!(matches!(error, RegistryError::Invalid { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(part) && text.contains(&image.to_string()), "{text}");
    }
    let error = anonymous().resolve(&name(&stub.host, "shop:denied")).await.expect_err("denied");
    assert!(matches!(error, RegistryError::Unauthorized { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("DENIED, no[31m") && !text.contains('\u{1b}'), "{text}");
    let error = anonymous().resolve(&name(&stub.host, "shop:away")).await.expect_err("nobody");
    assert!(matches!(error, RegistryError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn credentials_go_to_the_registry_alone() {
    let elsewhere = Stub::start(|_| (201, String::new(), Vec::new())).await;
    let host = elsewhere.host.clone();
    let registry = Stub::start(move |request| {
        let to = format!("location: http://{host}/place?session=1\r\n");
        match request.line.split(' ').next().unwrap_or_default() {
            _ if !request.has("authorization: basic ") => {
                (401, "www-authenticate: Basic realm=\"it\"\r\n".to_owned(), Vec::new())
            }
            "HEAD" => (404, String::new(), Vec::new()),
            "POST" => (202, to, Vec::new()),
            _ => (201, String::new(), Vec::new()),
        }
    })
    .await;
    let login = Login::Basic { user: "ada".to_owned(), password: Secret::new("open sesame") };
    let client = common::client(Credentials::anonymous().with(&registry.host, login));
    let place = format!("{}/shop", registry.host).parse().expect("a place");
    client.push(&image_on(Base::Scratch, "1").await, &place, None, &silent()).await.expect("push");
    let uploads = elsewhere.requests();
    assert_eq!(uploads.len(), 2, "{uploads:?}");
    for upload in uploads {
        assert!(upload.line.starts_with("PUT /place?session=1&digest=sha256%3A"), "{upload:?}");
        assert!(!upload.has("authorization"), "{upload:?}");
    }
}
