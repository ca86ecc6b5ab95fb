//! Services.

use super::{At, Decoder, Fields};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::keys;
use crate::resolve::{ArtifactSource, ImageSource};
use crate::source::Span;
use crate::tree::{Entry, Kind, Node};
use landfall_model::{Health, Millis, Resources, Stop, Volume, VolumeName};
use std::collections::BTreeMap;

/// How the path of an artifact looks.
const ARTIFACT: &str = "./dist";

/// A service before its env_file is read and its default health check is chosen.
pub(crate) struct DraftService {
    pub(crate) artifact: Option<ArtifactSource>,
    pub(crate) image: Option<At<ImageSource>>,
    pub(crate) base: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) command: Vec<String>,
    pub(crate) replicas: u16,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) env_files: Vec<EnvFile>,
    pub(crate) health: Option<At<Health>>,
    pub(crate) stop: Stop,
    pub(crate) overlap: bool,
    pub(crate) volumes: BTreeMap<VolumeName, Volume>,
    pub(crate) resources: Resources,
}

/// A file of variables.
pub(crate) struct EnvFile {
    pub(crate) path: String,
    pub(crate) span: Span,
}

impl Decoder<'_, '_> {
    pub(super) fn service(&mut self, entry: &Entry, what: String) -> Option<DraftService> {
        let fields = self.fields(&entry.value, &keys::SERVICE, &entry.key_span, what)?;
        let image = match fields.get("image") {
            None => Some(None),
            Some(entry) => self.image(entry, &fields).map(Some),
        };
        let base = match fields.get("base") {
            None => Some(None),
            Some(entry) => self.image_name(&entry.value, &fields.of("base")).map(Some),
        };
        let artifact = match fields.get("artifact") {
            Some(entry) => self.artifact(entry, &fields).map(Some),
            None if fields.get("image").is_some() => Some(None),
            None => {
                self.required(&fields, "artifact", "artifact: ./dist");
                None
            }
        };
        let command = match fields.get("command") {
            None if fields.get("artifact").is_none() && fields.get("image").is_some() => {
                Some(Vec::new())
            }
            _ => self
                .required(&fields, "command", "command: [./program, serve]")
                .and_then(|entry| self.command(&entry.value, &fields.of("command"))),
        };
        let port = match fields.get("port") {
            None => Some(None),
            Some(entry) => self
                .integer(&entry.value, &fields.of("port"), 1..=65_535)
                .and_then(|port| u16::try_from(port).ok())
                .map(Some),
        };
        let replicas = match fields.get("replicas") {
            None => Some(1),
            Some(entry) => self.integer(&entry.value, &fields.of("replicas"), 0..=500),
        };
        let env = self.environment(&fields);
        let env_files = self.env_files(&fields);
        let health = match fields.get("health") {
            None => Some(None),
            Some(entry) => self
                .health(entry, &fields.what)
                .map(|value| Some(At { value, span: entry.key_span.clone() })),
        };
        let stop = self.stop(fields.get("stop"), &fields.what);
        let overlap = match fields.get("overlap") {
            None => Some(true),
            Some(entry) => self.boolean(&entry.value, &fields.of("overlap")),
        };
        let volumes = self.volumes(&fields);
        let resources = self.resources(&fields);
        Some(DraftService {
            artifact: artifact?,
            image: image?,
            base: base?,
            port: port?,
            command: command?,
            replicas: u16::try_from(replicas?).ok()?,
            env: env?,
            env_files: env_files?,
            health: health?,
            stop: stop?,
            overlap: overlap?,
            volumes: volumes?,
            resources: resources?,
        })
    }

    fn artifact(&mut self, entry: &Entry, service: &Fields<'_>) -> Option<ArtifactSource> {
        let what = service.of("artifact");
        let node = &entry.value;
        if !matches!(node.kind, Kind::Map(_)) {
            if matches!(node.kind, Kind::List(_)) {
                let help =
                    "write a path, like `./dist`, or `{ path: ./dist, exclude: [\"*.map\"] }`";
                self.wrong_type(node, &what, "a path or a map", Some(help.to_owned()));
                return None;
            }
            let path = self.inner_path(node, &what, ARTIFACT)?;
            return Some(ArtifactSource { path, include: Vec::new(), exclude: Vec::new() });
        }
        let fields = self.fields(node, &keys::ARTIFACT, &entry.key_span, what)?;
        let path = self
            .required(&fields, "path", "path: ./dist")
            .and_then(|entry| self.inner_path(&entry.value, &fields.of("path"), ARTIFACT));
        let include = self.patterns(&fields, "include");
        let exclude = self.patterns(&fields, "exclude");
        Some(ArtifactSource { path: path?, include: include?, exclude: exclude? })
    }

    fn image(&mut self, entry: &Entry, service: &Fields<'_>) -> Option<At<ImageSource>> {
        let what = service.of("image");
        let span = entry.value.span.clone();
        if !matches!(entry.value.kind, Kind::Map(_)) {
            let name = self.image_name(&entry.value, &what)?;
            return Some(At { value: ImageSource { name, preloaded: false }, span });
        }
        let fields = self.fields(&entry.value, &keys::IMAGE, &entry.key_span, what)?;
        let name = self.required(&fields, "name", "name: registry.example/shop:1.2")?;
        let name = self.image_name(&name.value, &fields.of("name"))?;
        let preloaded = match fields.get("pull") {
            None => false,
            Some(entry) => {
                let words = [("missing", false), ("never", true)];
                self.word(&entry.value, &fields.of("pull"), &words, &[])?
            }
        };
        Some(At { value: ImageSource { name, preloaded }, span })
    }

    fn image_name(&mut self, node: &Node, what: &str) -> Option<String> {
        let value = self.full_text(node, what)?;
        if is_image(&value) {
            return Some(value);
        }
        self.add(
            Diagnostic::error(
                codes::BAD_IMAGE,
                node.span.clone(),
                format!("{what} is `{value}`, which names no image"),
            )
            .help("write it like `registry.example/shop:1.2` or `registry.example/shop@sha256:…`"),
        );
        None
    }

    fn patterns(&mut self, fields: &Fields<'_>, key: &str) -> Option<Vec<String>> {
        let Some(entry) = fields.get(key) else { return Some(Vec::new()) };
        let what = fields.of(key);
        let items =
            self.items(&entry.value, &what, "write a list of patterns, like `[\"*.js\", lib/**]`")?;
        let texts: Vec<Option<String>> = items
            .iter()
            .map(|item| self.full_text(item, &format!("a pattern in {what}")))
            .collect();
        texts.into_iter().collect()
    }

    /// A path that stays inside its folder. An artifact may also be named absolutely, because
    /// build systems put their output elsewhere.
    fn inner_path(&mut self, node: &Node, what: &str, example: &str) -> Option<String> {
        let path = self.full_text(node, what)?;
        let absolute = example == ARTIFACT;
        let problem = if path.contains('\0') {
            Some("has a zero byte")
        } else if path.starts_with('/') && !absolute {
            Some("is absolute")
        } else if path.split('/').any(|part| part == "..") && !absolute {
            Some("leads out of its folder with `..`")
        } else if path.starts_with('~') {
            Some("begins with `~`, which only a shell knows")
        } else if path.contains('\\') {
            Some("has a backslash")
        } else {
            None
        };
        let Some(problem) = problem else { return Some(path) };
        self.bad_path(&node.span, format!("{what} is `{path}`, which {problem}"), example);
        None
    }

    fn bad_path(&mut self, span: &Span, message: String, example: &str) {
        self.add(
            Diagnostic::error(codes::BAD_PATH, span.clone(), message)
                .help(format!("write a relative path with `/`, like `{example}`")),
        );
    }

    fn environment(&mut self, fields: &Fields<'_>) -> Option<BTreeMap<String, String>> {
        let mut all = BTreeMap::new();
        let Some(entry) = fields.get("env") else { return Some(all) };
        let what = fields.of("env");
        let Kind::Map(entries) = &entry.value.kind else {
            let help = "write `{ NAME: value }`".to_owned();
            self.wrong_type(&entry.value, &what, "a map from names to text", Some(help));
            return None;
        };
        let mut sound = true;
        for entry in entries {
            if let Err(diagnostic) = variable_name(&entry.key, &entry.key_span, &what) {
                self.add(*diagnostic);
                sound = false;
                continue;
            }
            if entry.value.is_null() {
                self.empty_variable(entry);
                sound = false;
                continue;
            }
            match self.text(&entry.value, &format!("`{}` in {what}", entry.key)) {
                Some(text) => drop(all.insert(entry.key.clone(), text)),
                None => sound = false,
            }
        }
        sound.then_some(all)
    }

    fn empty_variable(&mut self, entry: &Entry) {
        self.add(
            Diagnostic::error(
                codes::NO_VALUE,
                entry.key_span.clone(),
                format!("the variable `{}` has no value", entry.key),
            )
            .help("write `\"\"` for empty text, or remove the variable"),
        );
    }

    fn env_files(&mut self, fields: &Fields<'_>) -> Option<Vec<EnvFile>> {
        let Some(entry) = fields.get("env_file") else { return Some(Vec::new()) };
        let what = fields.of("env_file");
        let nodes: Vec<&Node> = match &entry.value.kind {
            Kind::List(items) => items.iter().collect(),
            _ => vec![&entry.value],
        };
        let files: Vec<Option<EnvFile>> = nodes
            .into_iter()
            .map(|node| {
                let path = self.inner_path(node, &what, ".env")?;
                Some(EnvFile { path, span: node.span.clone() })
            })
            .collect();
        files.into_iter().collect()
    }

    fn volumes(&mut self, fields: &Fields<'_>) -> Option<BTreeMap<VolumeName, Volume>> {
        let Some(entry) = fields.get("volumes") else { return Some(BTreeMap::new()) };
        let entries = self.map_of(entry, "path")?;
        let mut all = BTreeMap::new();
        let mut places: Vec<(Vec<String>, Span)> = Vec::new();
        let mut sound = true;
        for entry in entries {
            let name = self.name::<VolumeName>(&entry.key, &entry.key_span, "volume");
            let what = format!("the path of volume `{}` of {}", entry.key, fields.what);
            let path = self.inner_path(&entry.value, &what, "./data");
            let (Some(name), Some(path)) = (name, path) else {
                sound = false;
                continue;
            };
            let parts: Vec<String> = path
                .split('/')
                .filter(|part| !part.is_empty() && *part != ".")
                .map(str::to_owned)
                .collect();
            if parts.is_empty() {
                let message = format!("{what} is `{path}`, the whole working folder");
                self.bad_path(&entry.value.span, message, "./data");
                sound = false;
                continue;
            }
            sound &= self.separate(&places, &parts, entry, &fields.what);
            places.push((parts.clone(), entry.value.span.clone()));
            all.insert(name, Volume { path: parts.join("/") });
        }
        sound.then_some(all)
    }

    fn separate(
        &mut self,
        places: &[(Vec<String>, Span)],
        parts: &[String],
        entry: &Entry,
        service: &str,
    ) -> bool {
        let clash = places
            .iter()
            .find(|(other, _)| other.starts_with(parts) || parts.starts_with(other.as_slice()));
        let Some((_, other)) = clash else { return true };
        self.add(
            Diagnostic::error(
                codes::SHARED_VOLUME,
                entry.value.span.clone(),
                format!("volume `{}` of {service} overlaps another one", entry.key),
            )
            .label(other.clone(), "the other volume")
            .help("give each volume a folder of its own, beside the others"),
        );
        false
    }

    fn resources(&mut self, fields: &Fields<'_>) -> Option<Resources> {
        let Some(entry) = fields.get("resources") else { return Some(Resources::default()) };
        let what = fields.of("resources");
        let fields = self.fields(&entry.value, &keys::RESOURCES, &entry.key_span, what)?;
        let cpu = match fields.get("cpu") {
            None => Some(None),
            Some(entry) => {
                let cpu = self.cpu(&entry.value, &fields.of("cpu"));
                cpu.filter(|cpu| self.some(cpu.0, entry, &fields)).map(Some)
            }
        };
        let memory = match fields.get("memory") {
            None => Some(None),
            Some(entry) => {
                let memory = self.size(&entry.value, &fields.of("memory"));
                memory.filter(|memory| self.some(memory.0, entry, &fields)).map(Some)
            }
        };
        Some(Resources { cpu: cpu?, memory: memory? })
    }

    /// Whether a limit leaves anything.
    fn some(&mut self, amount: u64, entry: &Entry, fields: &Fields<'_>) -> bool {
        if amount == 0 {
            self.add(
                Diagnostic::error(
                    codes::OUT_OF_RANGE,
                    entry.value.span.clone(),
                    format!("{} is 0, and no process can run in that", fields.of(&entry.key)),
                )
                .help("write a larger limit, or remove the key for no limit"),
            );
        }
        amount > 0
    }
}

/// Whether it has the form of an image's name: what a registry makes of it shows later.
fn is_image(text: &str) -> bool {
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (text, None),
    };
    let digest_fits = digest.is_none_or(|digest| {
        digest.strip_prefix("sha256:").is_some_and(|hex| {
            hex.len() == 64
                && hex.bytes().all(|it| it.is_ascii_digit() || (b'a'..=b'f').contains(&it))
        })
    });
    let path = |segment: &str| {
        !segment.is_empty()
            && segment.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_.:".contains(&it))
            && segment.starts_with(|it: char| it.is_ascii_alphanumeric())
    };
    digest_fits && !name.contains("://") && name.split('/').all(path)
}

/// Checks the name of an environment variable.
pub(crate) fn variable_name(name: &str, span: &Span, what: &str) -> Result<(), Box<Diagnostic>> {
    let first = name.bytes().next();
    let fine = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !fine || first.is_none_or(|byte| byte.is_ascii_digit()) {
        return Err(Box::new(
            Diagnostic::error(
                codes::BAD_VARIABLE,
                span.clone(),
                format!("`{name}` in {what} is not the name of an environment variable"),
            )
            .help("use letters, digits and `_`, and do not begin with a digit"),
        ));
    }
    if name == "HOST" || name == "PORT" || name.starts_with("LANDFALL_") {
        return Err(Box::new(
            Diagnostic::error(
                codes::RESERVED_VARIABLE,
                span.clone(),
                format!("`{name}` in {what} is given by Landfall and cannot be set"),
            )
            .help("remove it; the program must listen on the `HOST` and `PORT` that it is given"),
        ));
    }
    Ok(())
}

/// The shortest time in which health checks can find an instance healthy.
pub(crate) fn soonest_healthy(health: &Health) -> Millis {
    Millis(health.every.0.saturating_mul(u64::from(health.healthy)))
}
