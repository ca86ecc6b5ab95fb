//! Where a service listens.

use crate::region::Region;
use std::collections::BTreeMap;

/// The services that are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Who am I.
    Sts,
    /// Certificates.
    Acm,
    /// Load balancers, version 2 of the interface.
    LoadBalancing,
    /// Kubernetes clusters.
    Eks,
}

impl Service {
    pub(crate) const ALL: [Self; 4] = [Self::Sts, Self::Acm, Self::LoadBalancing, Self::Eks];

    /// The name in host names, signatures and permissions.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sts => "sts",
            Self::Acm => "acm",
            Self::LoadBalancing => "elasticloadbalancing",
            Self::Eks => "eks",
        }
    }

    /// The name from which `AWS_ENDPOINT_URL_…` and the sections of profiles are made.
    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::Sts => "STS",
            Self::Acm => "ACM",
            Self::LoadBalancing => "Elastic Load Balancing v2",
            Self::Eks => "EKS",
        }
    }
}

/// Addresses that replace the usual ones, without a slash at their end.
#[derive(Debug, Clone, Default)]
pub struct Endpoints(BTreeMap<Service, String>);

impl Endpoints {
    /// Replaces the address of a service.
    pub fn set(&mut self, service: Service, url: &str) {
        self.0.insert(service, url.trim_end_matches('/').to_owned());
    }

    /// Where a service of a region listens. STS too is asked in the region: its global address is
    /// one place on earth, and tokens that it signs are refused elsewhere.
    pub fn of(&self, service: Service, region: &Region) -> String {
        self.0.get(&service).cloned().unwrap_or_else(|| {
            format!("https://{}.{region}.{}", service.name(), region.partition().suffix())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_has_an_address_in_every_partition() {
        let endpoints = Endpoints::default();
        for (service, region, url) in [
            (Service::Sts, "eu-west-1", "https://sts.eu-west-1.amazonaws.com"),
            (Service::Eks, "cn-north-1", "https://eks.cn-north-1.amazonaws.com.cn"),
            (Service::Acm, "us-gov-west-1", "https://acm.us-gov-west-1.amazonaws.com"),
            (
                Service::LoadBalancing,
                "us-east-1",
                "https://elasticloadbalancing.us-east-1.amazonaws.com",
            ),
        ] {
            assert_eq!(endpoints.of(service, &region.parse().expect("a region")), url);
        }
    }
}
