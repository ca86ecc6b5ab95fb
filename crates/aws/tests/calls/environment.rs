//! What the environment and the profiles decide. Each case is a process of its own, since a
//! process has one environment.

use crate::bed::{Bed, REGION, SECRET};
use landfall_aws::{Aws, Settings};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// The process of a case: connects, asks, and says what came out.
#[tokio::test]
#[ignore = "run by the other tests of this file"]
async fn case() {
    let profile = std::env::var("CASE_PROFILE").ok();
    let said = match Aws::connect(Settings { profile, ..Settings::default() }).await {
        Err(error) => format!("error {error}"),
        Ok(aws) => {
            let caller = aws.caller().await.map(|it| it.account);
            let balancers = aws.load_balancers().await.map(|it| it.len());
            format!("{} {caller:?} {balancers:?}", aws.region())
        }
    };
    println!("SAID {said}");
}

/// Runs a case with these variables alone, and its home in a folder.
fn run(home: &Path, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "environment::case", "--ignored", "--nocapture"]);
    command.env_clear().env("HOME", home).env("AWS_EC2_METADATA_DISABLED", "true");
    command.envs(variables.iter().copied());
    let output = command.output().expect("a run");
    let text = String::from_utf8_lossy(&output.stdout);
    let said = text.lines().find_map(|line| line.split_once("SAID ")).map(|it| it.1.to_owned());
    said.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
async fn variables_and_profiles_give_keys_region_and_endpoints() {
    let test = "variables_and_profiles_give_keys_region_and_endpoints";
    let Some(bed) = Bed::new(test).await else { return };
    let home = tempfile::tempdir().expect("a folder");
    let (key, url, dead) = (bed.key(), bed.url.as_str(), "http://127.0.0.1:9");
    let good = format!("{REGION} Ok(\"{}\") Ok(0)", bed.account);
    let keys = [("AWS_ACCESS_KEY_ID", key.as_str()), ("AWS_SECRET_ACCESS_KEY", SECRET)];
    let with = |more: &[(&'static str, &'static str)]| [&keys[..], more].concat();
    let url: &'static str = Box::leak(url.to_owned().into_boxed_str());

    assert_eq!(run(home.path(), &with(&[("AWS_REGION", REGION), ("AWS_ENDPOINT_URL", url)])), good);
    let apart = with(&[
        ("AWS_REGION", REGION),
        ("AWS_ENDPOINT_URL", dead),
        ("AWS_ENDPOINT_URL_STS", url),
        ("AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2", url),
    ]);
    assert_eq!(run(home.path(), &apart), good);
    let odd = run(home.path(), &with(&[("AWS_REGION", "eu/west"), ("AWS_ENDPOINT_URL", url)]));
    assert!(odd.contains("`eu/west` is not an AWS region"), "{odd}");
    let odd = run(home.path(), &with(&[("AWS_REGION", REGION), ("AWS_ENDPOINT_URL", "moto")]));
    assert!(odd.contains("the address of sts is `moto`"), "{odd}");

    std::fs::create_dir(home.path().join(".aws")).expect("a folder");
    let config = format!("[profile work]\nregion = {REGION}\nendpoint_url = {url}\n");
    std::fs::write(home.path().join(".aws/config"), config).expect("a file");
    let credentials =
        format!("[work]\naws_access_key_id = {key}\naws_secret_access_key = {SECRET}\n");
    std::fs::write(home.path().join(".aws/credentials"), credentials).expect("a file");
    assert_eq!(run(home.path(), &[("AWS_PROFILE", "work")]), good);
    // A profile that is asked for by name wins over the environment.
    let other = [
        ("CASE_PROFILE", "work"),
        ("AWS_ACCESS_KEY_ID", "AKIDOTHER"),
        ("AWS_SECRET_ACCESS_KEY", "other"),
    ];
    assert_eq!(run(home.path(), &other), good);
    let missing = run(home.path(), &[("CASE_PROFILE", "none"), ("AWS_REGION", REGION)]);
    assert!(missing.contains("the profile `none`"), "{missing}");
}

#[test]
fn what_is_missing_is_said() {
    let home = tempfile::tempdir().expect("a folder");
    let none = run(home.path(), &[]);
    assert!(none.contains("no AWS region: set AWS_REGION"), "{none}");
    let none = run(home.path(), &[("AWS_REGION", REGION), ("AWS_PROFILE", "work")]);
    assert!(none.contains("NoCredentials"), "{none}");
    let none = run(home.path(), &[("AWS_REGION", REGION)]);
    println!("{none}");
    for said in ["none of them has any", "the environment, the profile `default`, a web identity"] {
        assert!(none.contains(said), "{none}");
    }
}

#[test]
fn who_has_to_sign_in_again_is_told_so() {
    let home = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(home.path().join(".aws")).expect("a folder");
    let config = "[profile work]\nsso_session = main\nsso_account_id = 123456789012\n\
                  sso_role_name = deploy\nregion = eu-west-1\n\n[sso-session main]\n\
                  sso_region = eu-west-1\nsso_start_url = https://example.awsapps.com/start\n";
    std::fs::write(home.path().join(".aws/config"), config).expect("a file");
    for variable in ["AWS_PROFILE", "CASE_PROFILE"] {
        let said = run(home.path(), &[(variable, "work")]);
        println!("{said}");
        assert!(said.contains("NoCredentials") && said.contains("the profile `work`"), "{said}");
        assert!(said.to_lowercase().contains("sso"), "{said}");
    }
}

#[tokio::test]
async fn a_web_identity_is_exchanged() {
    let Some(bed) = Bed::new("a_web_identity_is_exchanged").await else { return };
    let home = tempfile::tempdir().expect("a folder");
    let token = home.path().join("token");
    std::fs::write(&token, "a.web.identity").expect("a file");
    let said = run(
        home.path(),
        &[
            ("AWS_REGION", REGION),
            ("AWS_ENDPOINT_URL", &bed.url),
            ("AWS_ROLE_ARN", "arn:aws:iam::210987654321:role/deploy"),
            ("AWS_ROLE_SESSION_NAME", "test"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", &token.display().to_string()),
        ],
    );
    assert!(said.contains("Ok(\"210987654321\")"), "{said}");
}

/// Gives out credentials as the metadata of an instance and of a container do.
fn metadata(key: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let credentials = format!(
        r#"{{"Code":"Success","Type":"AWS-HMAC","LastUpdated":"2026-01-01T00:00:00Z","AccessKeyId":"{key}","SecretAccessKey":"{SECRET}","Token":"session","Expiration":"2999-01-01T00:00:00Z"}}"#
    );
    // It ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let lines: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let path = lines.first().and_then(|it| it.split(' ').nth(1));
            let body = match path.unwrap_or_default() {
                "/latest/api/token" => "metadata-token",
                "/latest/meta-data/iam/security-credentials/" => "deploy",
                "/latest/meta-data/placement/region" => REGION,
                _ => credentials.as_str(),
            };
            let _ = write!(
                &stream,
                "HTTP/1.1 200 OK\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    url
}

#[tokio::test]
async fn instances_and_containers_are_told_their_credentials() {
    let test = "instances_and_containers_are_told_their_credentials";
    let Some(bed) = Bed::new(test).await else { return };
    let home = tempfile::tempdir().expect("a folder");
    let metadata = metadata(&bed.key());
    let good = format!("{REGION} Ok(\"{}\") Ok(0)", bed.account);
    // A proxy that does not exist must not be asked.
    let proxy = ("HTTP_PROXY", "http://127.0.0.1:9");
    let instance = [
        ("AWS_EC2_METADATA_DISABLED", "false"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.as_str()),
        ("AWS_ENDPOINT_URL", bed.url.as_str()),
        proxy,
    ];
    assert_eq!(run(home.path(), &instance), good);
    let container = format!("{metadata}/role");
    let container = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.as_str()),
        ("AWS_REGION", REGION),
        ("AWS_ENDPOINT_URL", bed.url.as_str()),
        proxy,
    ];
    assert_eq!(run(home.path(), &container), good);
}
