//! Whether a cluster has just what one release says, and nothing else of ours.

use crate::world::{OURS, PATIENCE, World};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use std::time::Instant;

impl World {
    /// Waits until the cluster is exactly as one of these releases says, with its version
    /// answering, and says which it is.
    #[track_caller]
    pub fn exactly_one_of(&self, releases: &[(u64, u32)]) -> (u64, u32) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.looks_like(releases) {
                Ok(found) => return found,
                Err(why) if Instant::now() > deadline => panic!("not in order: {why}"),
                Err(_) => std::thread::sleep(std::time::Duration::from_millis(200)),
            }
        }
    }

    /// Waits until the cluster is exactly as this release says.
    #[track_caller]
    pub fn exactly(&self, release: u64, version: u32) {
        self.exactly_one_of(&[(release, version)]);
    }

    fn looks_like(&self, releases: &[(u64, u32)]) -> Result<(u64, u32), String> {
        let deployments = self.names::<Deployment>(OURS);
        let found =
            releases.iter().find(|(number, _)| deployments == [format!("shop-web-r{number}")]);
        let (number, version) = *found.ok_or_else(|| format!("Deployments: {deployments:?}"))?;
        let group = format!("shop-web-r{number}");
        let same = |what: &str, is: Vec<String>, should: &[&str]| {
            if is == should { Ok(()) } else { Err(format!("{what}: {is:?}, not {should:?}")) }
        };
        let mut maps = self.names::<ConfigMap>(OURS);
        // Jobs of hooks keep their environment.
        maps.retain(|name| !name.starts_with("shop-migrate-"));
        same("ConfigMaps", maps, &["landfall-shop-prod", &group])?;
        same("Services", self.names::<Service>(OURS), &["shop-public"])?;
        let replicas = self.get::<Deployment>(&group).and_then(|it| it.spec?.replicas);
        let budgets: &[&str] = if replicas >= Some(2) { &["shop-web"] } else { &[] };
        same("budgets", self.names::<PodDisruptionBudget>(OURS), budgets)?;
        let service = self.get::<Service>("shop-public").ok_or("no Service")?;
        let selected = service.spec.and_then(|spec| spec.selector).unwrap_or_default();
        let selected = selected.get("landfall.dev/release").cloned().unwrap_or_default();
        if selected != number.to_string() {
            return Err(format!("traffic goes to release {selected}, not {number}"));
        }
        let pods = self.list::<Pod>(&format!("{OURS},landfall.dev/group=serves"));
        let foreign = pods.iter().find(|pod| !pod.name_any().starts_with(&format!("{group}-")));
        if let Some(pod) = foreign {
            return Err(format!("there is the pod {}", pod.name_any()));
        }
        let diff = self.host.run(&["diff", "--live"]);
        if diff.code != 0 {
            return Err(format!("exit {}: {}{}", diff.code, diff.stdout, diff.stderr));
        }
        let status = self.status();
        if !status["run"].is_null() || status["serving"]["number"] != number {
            return Err(format!("status: {status}"));
        }
        match self.serves() {
            Some(answers) if answers == version.to_string() => Ok((number, version)),
            other => Err(format!("{other:?} answers, not {version}")),
        }
    }
}
