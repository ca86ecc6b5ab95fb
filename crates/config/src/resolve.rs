//! What a stack comes to: every value in place, checked, and with where it came from.

use crate::check::redirect_port;
use crate::codes;
use crate::decode::{Draft, DraftListener, DraftService, Redirect, default_health, variable_name};
use crate::diagnostic::{Diagnostic, Report};
use crate::env_file;
use crate::files::Files;
use landfall_model::{
    AppName, CertificateName, Health, HealthCheck, Hook, Listener, ListenerName, OptionName,
    OptionValue, Provenance, Resources, RolloutPolicy, Route, ServiceName, StackName, Stop, Volume,
    VolumeName,
};
use std::collections::BTreeMap;

/// A stack of the file with nothing left open, before artifacts are packed and certificates are
/// chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The application.
    pub app: AppName,
    /// The stack.
    pub stack: StackName,
    /// What runs it.
    pub engine: EngineChoice,
    /// Whether a person must confirm what is done to it.
    pub confirm: bool,
    /// Every option with the place its value came from.
    pub options: BTreeMap<OptionName, (OptionValue, Provenance)>,
    /// The services.
    pub services: BTreeMap<ServiceName, ResolvedService>,
    /// The certificates that are wanted.
    pub certificates: BTreeMap<CertificateName, CertificateRequest>,
    /// The listeners.
    pub listeners: BTreeMap<ListenerName, Listener>,
    /// Commands that run before traffic moves, in the order of the file.
    pub hooks: Vec<Hook>,
    /// How to get there.
    pub rollout: RolloutPolicy,
}

/// What runs a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineChoice {
    /// Processes on one machine.
    Local,
    /// A namespace of a cluster.
    Kubernetes,
}

/// Where a stack of the engine `kubernetes` is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterChoice {
    /// The context of the kubeconfig; nothing for the current one.
    pub context: Option<String>,
    /// The kubeconfig, relative to the file; nothing for the usual one.
    pub kubeconfig: Option<String>,
    /// The namespace; nothing for that of the context.
    pub namespace: Option<String>,
    /// The repository to which images that are made of artifacts are pushed.
    pub registry: Option<String>,
}

/// Where an artifact is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactSource {
    /// A folder, file or archive, relative to the folder of the file.
    pub path: String,
    /// Patterns, as in a `.gitignore`, of what is packed although a `.gitignore` leaves it out.
    pub include: Vec<String>,
    /// Patterns, as in a `.gitignore`, of what is left out; they win over `include`.
    pub exclude: Vec<String>,
}

/// A container image, as the file names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSource {
    /// Its name, with a tag or a digest.
    pub name: String,
    /// It is on every node already, so no registry is asked for it.
    pub preloaded: bool,
}

/// A certificate that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRequest {
    /// Host names, wildcards and IP addresses, at least one, in lower case.
    pub names: Vec<String>,
    /// Its ARN, when it is in AWS's certificate manager.
    pub arn: Option<String>,
}

/// A service as [`landfall_model::Service`], before its artifact is packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedService {
    /// Where its artifact is made from, when it has one.
    pub artifact: Option<ArtifactSource>,
    /// The container image, as written.
    pub image: Option<ImageSource>,
    /// The image on which one is made of the artifact.
    pub base: Option<String>,
    /// The port it listens on in a container.
    pub port: Option<u16>,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// How many instances, up to 500.
    pub replicas: u16,
    /// The environment, with what its files say.
    pub env: BTreeMap<String, String>,
    /// When an instance is ready for traffic.
    pub health: Health,
    /// How an instance is stopped.
    pub stop: Stop,
    /// Whether two releases of it may run at once.
    pub overlap: bool,
    /// Folders that outlive a release.
    pub volumes: BTreeMap<VolumeName, Volume>,
    /// Limits.
    pub resources: Resources,
}

/// The parts of [`Resolved`] that come from the tree.
pub(crate) struct Parts {
    pub(crate) services: BTreeMap<ServiceName, ResolvedService>,
    pub(crate) certificates: BTreeMap<CertificateName, CertificateRequest>,
    pub(crate) listeners: BTreeMap<ListenerName, Listener>,
    pub(crate) hooks: Vec<Hook>,
    pub(crate) rollout: RolloutPolicy,
}

/// Takes away what only a cluster reads, so that it is no part of what runs on one machine.
pub(crate) fn leave_out_cluster(parts: &mut Parts) {
    for listener in parts.listeners.values_mut() {
        listener.balancer = None;
    }
    for certificate in parts.certificates.values_mut() {
        certificate.arn = None;
    }
    for service in parts.services.values_mut() {
        (service.image, service.base, service.port) = (None, None, None);
    }
}

/// Reads the env_files, reporting what is wrong with them.
pub(crate) fn read_env_files(report: &mut Report<'_>, draft: &mut Draft, files: &dyn Files) {
    for (name, service) in &mut draft.services {
        let Some(service) = &mut service.value else { continue };
        let mut all = BTreeMap::new();
        for file in &service.env_files {
            match env_file::read(files, &file.path) {
                Ok(variables) => {
                    for (variable, value) in variables {
                        let what = format!("`{}`, the env_file of service `{name}`,", file.path);
                        if let Err(diagnostic) = variable_name(&variable, &file.span, &what) {
                            report.add(*diagnostic);
                        }
                        all.insert(variable, value);
                    }
                }
                Err(problem) => report.add(problem.diagnostic(&file.path, file.span.clone())),
            }
        }
        for (variable, value) in all {
            service.env.entry(variable).or_insert(value);
        }
    }
}

/// Puts a sound draft together. Nothing means that something had been reported.
pub(crate) fn finish(draft: Draft) -> Option<Parts> {
    let target = redirect_port(&draft).ok();
    let served: Vec<ServiceName> = draft
        .listeners
        .values()
        .filter_map(|listener| Some(listener.value.as_ref()?.to.as_ref()?.value.clone()))
        .collect();
    let mut services = BTreeMap::new();
    for (name, service) in draft.services {
        let check = if served.contains(&name) { HealthCheck::Tcp } else { HealthCheck::Process };
        services.insert(name, finish_service(service.value?, check));
    }
    let mut listeners = BTreeMap::new();
    for (name, listener) in draft.listeners {
        listeners.insert(name, finish_listener(listener.value?, target)?);
    }
    let mut certificates = BTreeMap::new();
    for (name, certificate) in draft.certificates {
        certificates.insert(name, certificate.value?);
    }
    let hooks = draft.hooks.into_iter().map(|hook| hook.hook).collect::<Option<Vec<_>>>()?;
    let policy = draft.rollout?.policy;
    Some(Parts { services, certificates, listeners, hooks, rollout: policy })
}

fn finish_service(draft: DraftService, check: HealthCheck) -> ResolvedService {
    ResolvedService {
        artifact: draft.artifact,
        image: draft.image.map(|image| image.value),
        base: draft.base,
        port: draft.port,
        command: draft.command,
        replicas: draft.replicas,
        env: draft.env,
        health: draft.health.map_or_else(|| default_health(check), |health| health.value),
        stop: draft.stop,
        overlap: draft.overlap,
        volumes: draft.volumes,
        resources: draft.resources,
    }
}

fn finish_listener(draft: DraftListener, target: Option<u16>) -> Option<Listener> {
    let route = match (draft.to, draft.redirect.map(|redirect| redirect.value)) {
        (Some(to), _) => Route::To(to.value),
        (None, Some(Redirect::Port(port))) => Route::RedirectHttps { port },
        (None, Some(Redirect::Only)) => Route::RedirectHttps { port: target? },
        (None, None) => return None,
    };
    Some(Listener {
        listen: draft.listen?.value,
        protocol: draft.protocol?,
        certificate: draft.certificate.map(|certificate| certificate.value),
        policy: draft.policy,
        hosts: draft.hosts,
        route,
        balancer: draft.balancer,
    })
}

/// The options with their places, reporting those without a value.
pub(crate) fn options(
    report: &mut Report<'_>,
    values: &crate::options::Values,
    stack: &crate::stacks::Stack,
) -> BTreeMap<OptionName, (OptionValue, Provenance)> {
    let mut all = BTreeMap::new();
    for (name, current) in values {
        match (&current.value, &current.from) {
            (Some(value), Some(from)) => {
                all.insert(name.clone(), (value.clone(), from.clone()));
            }
            _ if current.given => {}
            _ => {
                let stack_label = Some(stack.span.clone()).filter(|span| !span.is_empty());
                report.add(
                    Diagnostic::error(
                        codes::OPTION_WITHOUT_VALUE,
                        current.declared.clone(),
                        format!("the option `{name}` has no value in stack `{}`", stack.name),
                    )
                    .caret("has no `default`")
                    .label_if(stack_label, "and is not set here")
                    .help(format!(
                        "give it a `default`, write `set: {{ {name}: … }}` in the stack, or run with `--set {name}=…` or `{}{}=…`",
                        crate::options::VARIABLE_PREFIX,
                        name.as_str().to_ascii_uppercase()
                    )),
                );
            }
        }
    }
    all
}
