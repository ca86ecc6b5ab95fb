//! What a change of an NLB does to those who are connected.

use crate::Disruption;
use landfall_model::{Content, Listener, Provider, Route};

/// Keys of a listener that its NLB takes over as it stands.
const IN_PLACE: [&str; 3] = ["certificate", "policy", "alpn"];

/// What one key of a listener does when it changes; nothing when no NLB is in it.
pub(crate) fn listener_disruption(old: &Listener, new: &Listener, key: &str) -> Option<Disruption> {
    if old.nlb().is_none() && new.nlb().is_none() {
        return None;
    }
    let both = old.nlb().is_some() && new.nlb().is_some();
    Some(match key {
        // The Service is made into something else, and what clients know it by goes.
        "provider" | "class" | "scheme" | "type" => Disruption::ReplacesBalancer,
        _ if !both => Disruption::Closed,
        "listen" => Disruption::ReplacesTargetGroup,
        "to" | "redirect" => Disruption::ReplacesTargets,
        "protocol" => Disruption::Closed,
        key if IN_PLACE.contains(&key) => Disruption::InPlace,
        _ => Disruption::None,
    })
}

/// Whether a certificate that changes is one that NLBs take over in place.
pub(crate) fn is_in_place(from: Option<&Content>, to: Option<&Content>, name: &str) -> bool {
    let uses = |content: Option<&Content>| {
        content.is_some_and(|content| {
            let named =
                |it: &Listener| it.certificate.as_ref().is_some_and(|it| it.as_str() == name);
            content.nlbs().any(|(_, it, _)| named(it))
        })
    };
    uses(from) && uses(to)
}

/// Whether an NLB that was `old` gets another target group, so that nothing is known of its new
/// targets and what guards the old ones does not guard them.
pub(crate) fn makes_targets(old: Option<&Listener>, new: &Listener) -> bool {
    let Some(nlb) = new.nlb() else { return false };
    let Some(old) = old else { return true };
    let same = |provider: &Provider| match provider {
        Provider::AwsNlb(old) => old.class == nlb.class && old.scheme == nlb.scheme,
        Provider::Service { .. } => false,
    };
    let service = |route: &Route| match route {
        Route::To(service) => Some(service.clone()),
        Route::RedirectHttps { .. } => None,
    };
    !old.balancer.as_ref().is_some_and(|it| same(&it.provider))
        || old.listen.port() != new.listen.port()
        || service(&old.route) != service(&new.route)
}
