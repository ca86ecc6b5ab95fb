//! From the file to a sealed release on its way: what `plan`, `up`, `rollback` and `forward` share.

use crate::arguments::{RunArguments, Values};
use crate::certificates;
use crate::failure::{Failure, Result, unexpected, usage};
use crate::follow::follow;
use crate::images::{self, Images};
use crate::output::Output;
use crate::project::Project;
use crate::target::{Target, odd};
use landfall_agent::{Home, now};
use landfall_config::{ArtifactSource, EngineChoice, Resolved, ResolvedService};
use landfall_model::{
    Artifact, Bytes, Certificate, CertificateName, Content, Digest, ExitCode, FORMAT, Finding,
    Release, ReleaseNumber, Service, ServiceName, Severity, Source, StackId, Substitution, Verb,
};
use landfall_plan::{
    Objects, PLAN_FORMAT, Plan, Transition, changes, findings, nlb_findings, object_changes,
};
use landfall_protocol::agent::{Apply, Base, Reply, Request};
use landfall_store::artifact;
use landfall_store::seal::{SigningKey, seal};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long `git` may take.
const GIT: Duration = Duration::from_secs(5);

/// Packed artifacts, waiting to be sent.
pub struct Packed {
    /// Removed at the end.
    folder: tempfile::TempDir,
    files: BTreeMap<Digest, PathBuf>,
    /// What a cluster runs.
    images: Images,
}

/// A plan and what it takes to carry it out.
pub struct Prepared {
    /// The plan.
    pub plan: Plan,
    /// What it starts from.
    pub base: Base,
    /// The artifacts.
    pub packed: Packed,
    /// Whether the stack asks before it is changed.
    pub confirm: bool,
}

/// What a plan starts from.
pub async fn base(output: &Output, target: &Target) -> Result<Base> {
    match target.ask(output, &Request::Base { stack: target.id.clone() }).await? {
        Reply::Base(base) => Ok(*base),
        _ => Err(odd()),
    }
}

/// The number of the release after the newest one.
pub fn next_number(head: Option<(ReleaseNumber, Digest)>) -> ReleaseNumber {
    head.map_or(ReleaseNumber(1), |(number, _)| number.next())
}

/// The release that serves.
pub fn serving(base: &Base) -> Result<Option<Release>> {
    base.serving_release
        .as_deref()
        .map(serde_json::from_str)
        .transpose()
        .map_err(|error| unexpected("read the release that serves", &error))
}

/// How closely a plan looks.
#[derive(Debug, Clone, Copy)]
pub struct Looking {
    /// Certificates that are missing are issued, so that the plan is whole.
    pub issue: bool,
    /// The objects of a cluster are compared with those of the last release and with what stands
    /// there.
    pub live: bool,
}

/// What becomes of the objects of a cluster, and how they differ from what was written last.
async fn objects(target: &Target, plan: &mut Plan, output: &Output) -> Result<()> {
    let next = next_number(plan.head);
    let ask = async |content, live| {
        let request = Request::Objects { stack: target.id.clone(), content, live };
        match target.ask(output, &request).await? {
            Reply::Objects { objects, differences, release } => Ok((objects, differences, release)),
            _ => Err(odd()),
        }
    };
    output.working("comparing with what stands in the cluster");
    let (standing, drift, serving) = ask(None, true).await?;
    let (wanted, _, _) = ask(Some((Box::new(plan.content.clone()), next)), false).await?;
    let old = serving.map(|release| Objects { all: &standing, release });
    plan.objects = if plan.changes.is_empty() {
        Vec::new()
    } else {
        object_changes(old, Objects { all: &wanted, release: next })
    };
    plan.drift = drift;
    Ok(())
}

/// Reads, resolves, packs and plans.
pub async fn prepare(
    project: &Project,
    target: &Target,
    values: &Values,
    Looking { issue, live }: Looking,
    output: &Output,
) -> Result<Prepared> {
    let stack = &target.id;
    let mut resolved = project.resolve(stack, values, output)?;
    let on_cluster = resolved.engine == EngineChoice::Kubernetes;
    if on_cluster {
        // A cluster runs images; only where none is named one is made of the artifact.
        for service in resolved.services.values_mut().filter(|service| service.image.is_some()) {
            service.artifact = None;
        }
    }
    let base = base(output, target).await?;
    let certificates = certificates::choose(target, &resolved, &base, issue, output).await?;
    let (artifacts, mut packed) = pack(project, &resolved, output).await?;
    if on_cluster {
        let digest_of = |service: &ResolvedService| {
            let source = service.artifact.as_ref()?;
            artifacts.get(&artifact_key(source)).map(|artifact| artifact.digest)
        };
        let work = packed.folder.path();
        packed.images =
            images::images(target, &resolved, &packed.files, digest_of, work, output).await?;
        packed.files.clear();
    }
    let confirm = resolved.confirm;
    let content = content(resolved, &artifacts, &packed.images, certificates);
    let mut plan = make_plan(stack, Verb::Up, content, &base)?;
    if live && target.is_driven_here() {
        objects(target, &mut plan, output).await?;
    }
    plan.findings.extend(check(target, &plan.content, output).await?);
    Ok(Prepared { plan, base, packed, confirm })
}

/// What stands in the way on the host.
async fn check(target: &Target, content: &Content, output: &Output) -> Result<Vec<Finding>> {
    let request = Request::Check { stack: target.id.clone(), content: Box::new(content.clone()) };
    match target.ask(output, &request).await? {
        Reply::Findings { findings } => Ok(findings),
        _ => Err(odd()),
    }
}

/// The plan for a content over what serves.
pub fn make_plan(stack: &StackId, verb: Verb, content: Content, base: &Base) -> Result<Plan> {
    let from = serving(base)?;
    let number = next_number(base.head);
    let to = release(stack, number, content.clone(), Source::default());
    let transition = Transition { verb, from: from.as_ref(), to: Some(&to) };
    let mut found = findings(&content, now());
    let region = cluster_region();
    let before = from.as_ref().map(|it| &it.content);
    found.extend(nlb_findings(&content, before, region.as_deref()));
    Ok(Plan {
        format: PLAN_FORMAT,
        stack: stack.clone(),
        verb,
        head: base.head,
        serving: base.serving,
        changes: changes(from.as_ref().map(|it| &it.content), Some(&content)),
        objects: Vec::new(),
        drift: Vec::new(),
        steps: transition.steps(),
        findings: found,
        content,
    })
}

fn release(stack: &StackId, number: ReleaseNumber, content: Content, source: Source) -> Release {
    Release {
        format: FORMAT,
        app: stack.app.clone(),
        stack: stack.stack.clone(),
        number,
        restores: None,
        substitutions: Vec::new(),
        sealed_at: now(),
        sealed_by: who(),
        source,
        content,
    }
}

/// The region that whoever asks works in, where they say so: that of the cluster, as a rule.
fn cluster_region() -> Option<String> {
    ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|name| std::env::var(name).ok())
}

/// `user@host`.
pub fn who() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).ok();
    let user = user.filter(|user| !user.is_empty()).unwrap_or_else(|| {
        let uid = rustix::process::getuid();
        if uid.is_root() { "root".into() } else { format!("uid-{}", uid.as_raw()) }
    });
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{user}@{host}")
}

/// Packs each artifact once.
async fn pack(
    project: &Project,
    resolved: &Resolved,
    output: &Output,
) -> Result<(BTreeMap<String, Artifact>, Packed)> {
    let folder =
        tempfile::tempdir().map_err(|error| unexpected("make a temporary folder", &error))?;
    let mut artifacts: BTreeMap<String, Artifact> = BTreeMap::new();
    let mut files = BTreeMap::new();
    for source in resolved.services.values().filter_map(|it| it.artifact.as_ref()) {
        let key = artifact_key(source);
        if artifacts.contains_key(&key) {
            continue;
        }
        output.working(&format!("packing {}", source.path));
        let to = folder.path().join(format!("{}.tar.zst", files.len()));
        let packed = artifact::pack(&packable(project, source), &to).await.map_err(|error| {
            let chain = chain(&error);
            usage(format!("cannot pack the artifact {}: {chain}", source.path))
        })?;
        let artifact =
            Artifact { digest: packed.digest, size: Bytes(packed.size), path: source.path.clone() };
        artifacts.insert(key, artifact);
        files.insert(packed.digest, to);
    }
    Ok((artifacts, Packed { folder, files, images: Images::default() }))
}

/// An error with everything behind it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

fn artifact_key(source: &ArtifactSource) -> String {
    format!("{}\0{}\0{}", source.path, source.include.join("\0"), source.exclude.join("\0"))
}

fn packable(project: &Project, source: &ArtifactSource) -> artifact::ArtifactSource {
    artifact::ArtifactSource {
        root: project.folder.join(&source.path),
        include: source.include.clone(),
        exclude: source.exclude.clone(),
    }
}

fn content(
    resolved: Resolved,
    artifacts: &BTreeMap<String, Artifact>,
    images: &Images,
    certificates: BTreeMap<CertificateName, Certificate>,
) -> Content {
    let packed = |name: &ServiceName, service: ResolvedService| {
        let packed = |source| artifacts.get(&artifact_key(source)).cloned();
        let chosen = images.chosen.get(name);
        // What is in an image is not fetched from the store.
        let artifact = service.artifact.as_ref().filter(|_| chosen.is_none()).and_then(packed);
        Service {
            artifact,
            image: chosen.map(|chosen| chosen.image.clone()),
            preloaded: chosen.is_some_and(|chosen| chosen.preloaded),
            port: service.port,
            command: service.command,
            replicas: service.replicas,
            env: service.env,
            health: service.health,
            stop: service.stop,
            overlap: service.overlap,
            volumes: service.volumes,
            resources: service.resources,
        }
    };
    Content {
        options: resolved.options,
        certificates,
        services: resolved
            .services
            .into_iter()
            .map(|(name, it)| {
                let service = packed(&name, it);
                (name, service)
            })
            .collect(),
        listeners: resolved.listeners,
        hooks: resolved.hooks,
        rollout: resolved.rollout,
    }
}

/// Says what was found; an error ends the verb.
pub fn report(plan: &Plan, output: &Output) -> Result<()> {
    for finding in &plan.findings {
        output.finding(finding);
    }
    let errors = plan.findings.iter().filter(|it| it.severity == Severity::Error).count();
    if errors > 0 {
        return Err(usage("the plan cannot be carried out: see above"));
    }
    Ok(())
}

/// Sends the blobs that the agent does not have.
pub async fn send(target: &Target, packed: &Packed, output: &Output) -> Result<()> {
    packed.images.push(output).await?;
    let digests: Vec<Digest> = packed.files.keys().copied().collect();
    if digests.is_empty() {
        return Ok(());
    }
    let Reply::Missing { digests } = target.ask(output, &Request::Missing { digests }).await?
    else {
        return Err(odd());
    };
    for digest in digests {
        let Some(file) = packed.files.get(&digest) else { continue };
        output.working(&format!("sending the artifact {}", digest.short()));
        target.agent(output).await?.put_blob(digest, file).await?;
    }
    Ok(())
}

/// The revision of the source, when it is under version control.
pub async fn source(folder: &Path) -> Source {
    let git = async |arguments: &[&str]| {
        let command = tokio::process::Command::new("git")
            .arg("-C")
            .arg(folder)
            .args(arguments)
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(GIT, command).await.ok()?.ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let (revision, changed) =
        tokio::join!(git(&["rev-parse", "HEAD"]), git(&["status", "--porcelain", "--", "."]));
    Source { revision, dirty: changed.is_some_and(|changed| !changed.is_empty()) }
}

fn signing_key(run: &RunArguments) -> Result<SigningKey> {
    let (key, place) = match &run.signing_key {
        Some(file) => (landfall_agent::signing_key(file), file.clone()),
        None => {
            let home = Home::find();
            (landfall_agent::owner_key(&home), home.owner_key())
        }
    };
    key.map_err(|error| {
        Failure::new(ExitCode::Permission, format!("the signing key {}: {error}", place.display()))
    })
}

/// What is sealed, and why it differs from what it restores.
pub struct Wanted {
    /// What it is for.
    pub verb: Verb,
    /// What should run.
    pub content: Content,
    /// Where it came from.
    pub source: Source,
    /// What it restores.
    pub restores: Option<ReleaseNumber>,
    /// What differs from that.
    pub substitutions: Vec<Substitution>,
}

/// Seals, signs, sends and follows. Ctrl-C cancels, twice leaves.
pub async fn roll_out(
    target: &Target,
    wanted: Wanted,
    base: &Base,
    run: &RunArguments,
    output: &Output,
) -> Result<ExitCode> {
    let number = next_number(base.head);
    let mut release = release(&target.id, number, wanted.content, wanted.source);
    release.restores = wanted.restores;
    release.substitutions = wanted.substitutions;
    let key = signing_key(run)?;
    let by = release.sealed_by.clone();
    let sealed =
        seal(release, Some(&key)).map_err(|error| unexpected("seal the release", &error))?;
    let signature = sealed.signature.as_ref().map(ToString::to_string).unwrap_or_default();
    let apply = Apply {
        verb: wanted.verb,
        release: String::from_utf8_lossy(&sealed.bytes).into_owned(),
        signature,
        head: base.head.map(|(number, _)| number),
        serving: base.serving,
        idempotency_key: run.idempotency_key.clone(),
        by,
    };
    output.note(&format!("· sealed release {number} ({})", sealed.digest.short()));
    follow(target, &Request::Apply(Box::new(apply)), output).await
}
