//! The destinations in the rules of kube-proxy, in each of its modes. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};

use serde::Deserialize;

/// Where kube-proxy keeps its rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Iptables,
    Nftables,
    Ipvs,
    /// Not known, or no kube-proxy: the answers at service addresses are all that counts.
    Other,
}

impl Mode {
    /// The mode in a `KubeProxyConfiguration`; without one it is iptables.
    pub(super) fn parse(configuration: &str) -> Self {
        #[derive(Deserialize)]
        struct Configuration {
            #[serde(default)]
            mode: String,
        }
        match serde_yaml::from_str::<Configuration>(configuration).as_ref().map(|one| one.mode.as_str()) {
            Ok("" | "iptables") => Self::Iptables,
            Ok("nftables") => Self::Nftables,
            Ok("ipvs") => Self::Ipvs,
            _ => Self::Other,
        }
    }
}

/// A ConfigMap, as far as it counts here.
#[derive(Debug, Deserialize)]
pub(super) struct ConfigMap {
    #[serde(default)]
    pub(super) data: BTreeMap<String, String>,
}

/// The destinations in the output of `iptables-save`.
pub(super) fn in_iptables(rules: &str) -> BTreeSet<String> {
    let after = rules.lines().filter_map(|line| line.split_once("--to-destination "));
    after.filter_map(|(_, rest)| rest.split(' ').next()).map(str::to_owned).collect()
}

/// The destinations in the output of `nft list`: `dnat to 10.244.0.3:53`, as kube-proxy 1.37 writes the rule for a single
/// one, or values of maps, which may go over several lines: `dnat ip to numgen random mod 1 map { 0 : 10.244.0.3 . 53 }`.
pub(super) fn in_nftables(rules: &str) -> BTreeSet<String> {
    let words: Vec<&str> = rules.split([' ', '\t', '\n', ',', '{', '}']).filter(|word| !word.is_empty()).collect();
    let value = |four: &[&str]| match *four {
        [":", address, ".", port] => Some(SocketAddrV4::new(address.parse().ok()?, port.parse().ok()?).to_string()),
        _ => None,
    };
    let single = |three: &[&str]| match *three {
        ["dnat", "to", destination] => destination.parse::<SocketAddrV4>().ok().map(|one| one.to_string()),
        _ => None,
    };
    words.windows(4).filter_map(value).chain(words.windows(3).filter_map(single)).collect()
}

/// The destinations in `/proc/net/ip_vs`, where addresses and ports are hexadecimal: `  -> 0AF40002:1F90 Masq 1 0 0`.
pub(super) fn in_ipvs(table: &str) -> BTreeSet<String> {
    let destination = |line: &str| {
        let (address, port) = line.trim().strip_prefix("-> ")?.split(' ').next()?.split_once(':')?;
        let address = Ipv4Addr::from(u32::from_str_radix(address, 16).ok()?);
        Some(SocketAddrV4::new(address, u16::from_str_radix(port, 16).ok()?).to_string())
    };
    table.lines().filter_map(destination).collect()
}

/// Whether there is a rule for each destination.
pub(super) fn lead(led: BTreeSet<String>, destinations: &BTreeSet<String>) -> Result<(), String> {
    match destinations.difference(&led).next() {
        None => Ok(()),
        Some(destination) => Err(format!("kube-proxy has no rule yet that leads to {destination}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(all: &[&str]) -> BTreeSet<String> {
        all.iter().map(|&one| one.to_owned()).collect()
    }

    #[test]
    fn each_destination_needs_its_own_rule() {
        let rules = "# Generated\n*nat\n:KUBE-SEP-A - [0:0]\n\
            -A KUBE-SEP-A -p tcp -m comment --comment \"a/b\" -m tcp -j DNAT --to-destination 10.244.0.2:8443\n\
            -A KUBE-SEP-B -p udp -m udp -j DNAT --to-destination 10.244.0.4:53 --random\nCOMMIT\n";
        let wanted = |wanted: &[&str]| lead(in_iptables(rules), &set(wanted));
        assert_eq!(wanted(&[]), Ok(()));
        assert_eq!(wanted(&["10.244.0.2:8443", "10.244.0.4:53"]), Ok(()));
        let missing = Err("kube-proxy has no rule yet that leads to 10.244.0.2:844".to_owned());
        assert_eq!(wanted(&["10.244.0.2:844"]), missing);
    }

    #[test]
    fn rules_of_the_other_modes_are_read() {
        let nft = "table ip kube-proxy {\n\tset hairpin-connections {\n\t\telements = { 10.244.0.3 . 10.244.0.3 . tcp . 53,\n\
            \t\t\t     10.244.0.3 . 10.244.0.3 . udp . 53 }\n\t}\n\tmap service-ips {\n\
            \t\telements = { 10.96.0.10 . tcp . 53 : goto service-A }\n\t}\n\tchain service-A {\n\
            \t\tmeta l4proto udp dnat ip to numgen random mod 2 map { 0 : 10.244.0.3 . 53, 1 : 10.244.0.4 . 53,\n\
            \t\t\t     2 : 10.244.0.5 . 5353 }\n\t}\n\tchain service-B {\n\t\tmeta l4proto tcp dnat to 172.30.99.1:8443\n\t}\n}\n";
        let all = ["10.244.0.3:53", "10.244.0.4:53", "10.244.0.5:5353", "172.30.99.1:8443"];
        assert_eq!(in_nftables(nft), set(&all));
        let ipvs = "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n\
            \x20 -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n\
            TCP  0A600001:01BB rr\n  -> AC1E6301:192B      Masq    1      0          0\n";
        assert_eq!(in_ipvs(ipvs), set(&["172.30.99.1:6443"]));
    }

    #[test]
    fn the_mode_is_that_of_the_configuration() {
        for (text, mode) in [
            ("kind: KubeProxyConfiguration\nmode: \"\"\n", Mode::Iptables),
            ("mode: iptables\n", Mode::Iptables),
            ("mode: nftables\n", Mode::Nftables),
            ("mode: ipvs\n", Mode::Ipvs),
            ("kind: x\n", Mode::Iptables),
            ("mode: kernelspace\n", Mode::Other),
            ("[", Mode::Other),
        ] {
            assert_eq!(Mode::parse(text), mode, "{text}");
        }
    }
}
