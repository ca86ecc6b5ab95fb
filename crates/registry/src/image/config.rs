//! The configuration of an image, as JSON of OCI's kind.

use super::{ImageConfig, ImageError};
use crate::manifest::Platform;
use landfall_model::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A time is asked for by many tools, and any real one would change the digest.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// The file. Of a base's, what is not named here is dropped: health checks and triggers, which no
/// cluster looks at.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ImageFile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    #[serde(flatten)]
    platform: Platform,
    #[serde(default)]
    config: Option<Runtime>,
    rootfs: RootFs,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    history: Option<Vec<History>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Runtime {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exposed_ports: Option<BTreeMap<String, Empty>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    volumes: Option<BTreeMap<String, Empty>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_dir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_signal: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Empty {}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct RootFs {
    #[serde(rename = "type")]
    kind: String,
    diff_ids: Vec<Digest>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct History {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    empty_layer: bool,
}

impl ImageFile {
    /// Reads a base's. The error says what is wrong with the base.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes)
            .map_err(|error| format!("its configuration is not understood: {error}"))
    }

    pub(super) fn platform(&self) -> Platform {
        self.platform.clone()
    }

    /// How many layers it has.
    pub(super) fn layers(&self) -> usize {
        self.rootfs.diff_ids.len()
    }

    /// The configuration of an image with one more layer than its base, whose digest before it was
    /// compressed is `unpacked`.
    pub(super) fn build(base: Option<&Self>, config: &ImageConfig, unpacked: Digest) -> Self {
        let below = base.and_then(|base| base.config.clone()).unwrap_or_default();
        let mut diff_ids = base.map(|base| base.rootfs.diff_ids.clone()).unwrap_or_default();
        diff_ids.push(unpacked);
        let known = base.map_or(Some(Vec::new()), |base| base.history.clone());
        // A history is whole or left out: tools count its layers.
        let history = known.map(|mut history| {
            history.push(History {
                created: Some(CREATED.to_owned()),
                created_by: Some("landfall".to_owned()),
                empty_layer: false,
            });
            history
        });
        Self {
            created: Some(CREATED.to_owned()),
            platform: base.map_or(&config.platform, |base| &base.platform).clone(),
            config: Some(Runtime::over(below, config)),
            rootfs: RootFs { kind: "layers".to_owned(), diff_ids },
            history,
        }
    }

    pub(super) fn json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a configuration has only text")
    }
}

impl Runtime {
    fn over(below: Self, config: &ImageConfig) -> Self {
        let mut labels = below.labels.unwrap_or_default();
        labels.extend(config.labels.clone());
        let mut ports = below.exposed_ports.unwrap_or_default();
        ports.extend(config.port.map(|port| (format!("{port}/tcp"), Empty {})));
        let env = environment(below.env.unwrap_or_default(), &config.environment);
        Self {
            user: Some(config.user.clone()),
            exposed_ports: Some(ports).filter(|ports| !ports.is_empty()),
            env: Some(env).filter(|env| !env.is_empty()),
            volumes: below.volumes,
            working_dir: Some(config.workdir.clone()),
            labels: Some(labels).filter(|labels| !labels.is_empty()),
            stop_signal: config.stop_signal.clone().or(below.stop_signal),
        }
    }
}

/// The base's variables in their order, each ours where we have it, then ours that are new.
fn environment(below: Vec<String>, ours: &BTreeMap<String, String>) -> Vec<String> {
    let name = |pair: &str| pair.split_once('=').map_or(pair, |(name, _)| name).to_owned();
    let mut environment: Vec<String> =
        below.into_iter().filter(|pair| !ours.contains_key(&name(pair))).collect();
    environment.extend(ours.iter().map(|(name, value)| format!("{name}={value}")));
    environment
}

/// Refuses what no runtime would take.
pub(super) fn check(config: &ImageConfig) -> Result<(), ImageError> {
    let wrong = |text: String| Err(ImageError::Config(text));
    let control = |text: &str| text.chars().any(char::is_control);
    let workdir = &config.workdir;
    let segments = workdir.strip_prefix('/').unwrap_or("").split('/');
    let plain = segments.into_iter().all(|it| !it.is_empty() && it != "." && it != "..");
    if !plain || control(workdir) {
        return wrong(format!(
            "working folder {workdir:?} has to be an absolute path below `/` without `.` and `..`, such as `/app`"
        ));
    }
    if config.user.is_empty() || control(&config.user) {
        return wrong(format!(
            "user {:?} has to be `USER:GROUP`, such as `10001:10001`",
            config.user
        ));
    }
    if config.port == Some(0) {
        return wrong("port has to be from 1 to 65535".to_owned());
    }
    for (name, value) in &config.environment {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return wrong(format!("variable {name:?} cannot be in an environment"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> ImageConfig {
        ImageConfig::new("linux/amd64".parse().expect("a platform"))
    }

    #[test]
    fn what_is_ours_wins_over_the_base() {
        let base = br#"{
            "architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z",
            "config": {
                "User": "root", "Env": ["PATH=/bin", "LOG=debug"], "Cmd": ["sh"], "Entrypoint": ["/init"],
                "Labels": {"a": "1", "b": "1"}, "ExposedPorts": {"80/tcp": {}}, "Healthcheck": {"Test": ["x"]},
                "WorkingDir": "/", "Volumes": null, "StopSignal": "SIGQUIT"
            },
            "rootfs": {"type": "layers", "diff_ids": []}, "history": null
        }"#;
        let base = ImageFile::read(base).expect("a configuration");
        let mut config = config();
        config.environment = BTreeMap::from([("LOG".to_owned(), "info".to_owned())]);
        config.labels = BTreeMap::from([("b".to_owned(), "2".to_owned())]);
        config.port = Some(8080);
        let file = ImageFile::build(Some(&base), &config, Digest::from_bytes([1; 32]));
        let json: serde_json::Value = serde_json::from_slice(&file.json()).expect("JSON");
        assert_eq!(
            json["config"],
            serde_json::json!({
                "User": "10001:10001", "Env": ["PATH=/bin", "LOG=info"], "WorkingDir": "/app",
                "Labels": {"a": "1", "b": "2"}, "ExposedPorts": {"80/tcp": {}, "8080/tcp": {}},
                "StopSignal": "SIGQUIT"
            })
        );
        assert_eq!(json["created"], CREATED);
    }

    #[test]
    fn what_no_runtime_takes_is_refused() {
        for workdir in ["", "/", "app", "/app/", "/app//x", "/app/../etc", "/a\nb"] {
            let config = ImageConfig { workdir: workdir.to_owned(), ..config() };
            check(&config).expect_err(workdir);
        }
        check(&ImageConfig { user: String::new(), ..config() }).expect_err("no user");
        check(&ImageConfig { port: Some(0), ..config() }).expect_err("no port");
        let environment = BTreeMap::from([("A=B".to_owned(), String::new())]);
        check(&ImageConfig { environment, ..config() }).expect_err("no name");
        check(&config()).expect("what is there without being asked for");
    }
}
