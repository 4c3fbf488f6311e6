//! What a cluster is made with. Written at the bake, read at every boot; never changes in a baked image.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

/// What the control plane's pods alone ask for, in thousandths of a processor: kubeadm's requests for the API server,
/// the controller manager, the scheduler and etcd, and CoreDNS' (`cmd/kubeadm/app/phases`: 250, 200, 100, 100, 100).
pub const CONTROL_PLANE_CPU: u64 = 750;

/// What a cluster is made with; fixed for the life of a baked image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClusterSettings {
    /// Version of Kubernetes with its leading `v`. Default `v1.36.3`.
    pub kubernetes_version: String,
    /// The node's address, attached to the loopback interface at every boot. Default 172.30.99.1.
    pub static_ip: Ipv4Addr,
    /// Pod addresses. Default 10.244.0.0/16.
    pub pod_subnet: Ipv4Net,
    /// Service addresses. Default 10.96.0.0/12.
    pub service_subnet: Ipv4Net,
    /// Names and addresses in the API server's certificate, beyond those that every cluster has.
    pub cert_sans: Vec<String>,
    /// Whether etcd waits for the disk at every write (`fsync`). Default no: a cluster for CI outlives no power cut, and
    /// an orderly stop writes everything.
    pub etcd_sync: bool,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self {
            kubernetes_version: "v1.36.3".to_owned(),
            static_ip: Ipv4Addr::new(172, 30, 99, 1),
            pod_subnet: Ipv4Net::new_assert(Ipv4Addr::new(10, 244, 0, 0), 16),
            service_subnet: Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 12),
            cert_sans: Vec::new(),
            etcd_sync: false,
        }
    }
}

impl ClusterSettings {
    /// Everything that is wrong with the values, each as (key, what is wrong); empty when they can be used.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let version = self.kubernetes_version.strip_prefix('v').unwrap_or_default();
        let parts: Vec<&str> = version.split('.').collect();
        if parts.len() != 3 || parts.iter().any(|part| part.parse::<u16>().is_err()) {
            problems.push((
                "kubernetesVersion",
                format!("`{}` is not a version such as `v1.36.3`", self.kubernetes_version),
            ));
        }
        let ip = self.static_ip;
        if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast() || ip.is_link_local() {
            problems.push(("staticIp", format!("`{ip}` is not an address a node can have")));
        }
        for (key, subnet, longest) in [("podSubnet", self.pod_subnet, 23), ("serviceSubnet", self.service_subnet, 24)] {
            if subnet.prefix_len() > longest || subnet.prefix_len() < 8 {
                problems.push((key, format!("`{subnet}` must have a prefix length between 8 and {longest}")));
            }
            if subnet.addr() != subnet.network() {
                problems.push((key, format!("`{subnet}` has host bits set; did you mean `{}`?", subnet.trunc())));
            }
            if subnet.contains(&ip) {
                problems.push((key, format!("`{subnet}` holds the static IP {ip}; choose ranges that do not overlap")));
            }
        }
        if self.pod_subnet.contains(&self.service_subnet.network())
            || self.service_subnet.contains(&self.pod_subnet.network())
        {
            problems.push((
                "podSubnet",
                format!("`{}` and the service subnet `{}` overlap", self.pod_subnet, self.service_subnet),
            ));
        }
        for name in &self.cert_sans {
            if !is_certificate_name(name) {
                problems.push(("certSans", format!("`{name}` is neither a DNS name nor an IP address")));
            }
        }
        problems
    }

    /// The 36 of `v1.36.3`; 0 where the version is none.
    #[must_use]
    pub fn minor_release(&self) -> u16 {
        self.kubernetes_version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(0)
    }

    /// Address of the `kubernetes` service: the first of the service subnet (`pkg/controlplane`: `GetIndexedIP(…, 1)`).
    #[must_use]
    pub fn api_service_ip(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.service_subnet.network()) + 1)
    }

    /// Address of the cluster's DNS: the tenth of the service subnet (kubeadm: `GetDNSIP`).
    #[must_use]
    pub fn dns_service_ip(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.service_subnet.network()) + 10)
    }
}

/// Whether a certificate can be made for this name: a DNS name, with a wildcard or underscores (GitLab's service
/// aliases have them) or without, or an IP address.
#[must_use]
pub fn is_certificate_name(name: &str) -> bool {
    let is_name = !name.is_empty()
        && name.len() <= 253
        && name.strip_prefix("*.").unwrap_or(name).split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        });
    is_name || name.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_round_trip() {
        let settings = ClusterSettings::default();
        assert_eq!(settings.problems(), []);
        let yaml = serde_yaml::to_string(&settings).unwrap();
        assert_eq!(serde_yaml::from_str::<ClusterSettings>(&yaml).unwrap(), settings);
        assert_eq!(settings.api_service_ip(), Ipv4Addr::new(10, 96, 0, 1));
        assert_eq!(settings.dns_service_ip(), Ipv4Addr::new(10, 96, 0, 10));
    }

    #[test]
    fn every_problem_is_listed_at_once() {
        let settings = ClusterSettings {
            kubernetes_version: "1.36".to_owned(),
            static_ip: Ipv4Addr::LOCALHOST,
            pod_subnet: "10.96.0.0/30".parse().unwrap(),
            service_subnet: "10.96.0.1/12".parse().unwrap(),
            cert_sans: vec!["ok.example".to_owned(), "not a name".to_owned()],
            ..ClusterSettings::default()
        };
        let keys: Vec<&str> = settings.problems().iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, ["kubernetesVersion", "staticIp", "podSubnet", "serviceSubnet", "podSubnet", "certSans"]);
    }
}
