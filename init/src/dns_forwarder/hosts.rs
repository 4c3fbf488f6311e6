//! Names of the container's `/etc/hosts`: what the engine (`--add-host`) or a user wrote there, pods resolve as the node does.
//! Pure; never opens a file.

use std::collections::HashMap;
use std::net::IpAddr;

/// Names that are kept; lists that block advertisements hold more, and are not what this is for.
const MOST_NAMES: usize = 20_000;
/// Addresses of one name: few enough for a datagram of 512 bytes.
const MOST_ADDRESSES: usize = 8;

/// The addresses of each name, in the order of the file; names are in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Hosts(HashMap<String, Vec<IpAddr>>);

impl Hosts {
    /// Reads a hosts file. Lines for the node's own loopback are left out: in a pod, that is the pod's.
    pub(super) fn parse(text: &str) -> Self {
        let mut hosts: HashMap<String, Vec<IpAddr>> = HashMap::new();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
            if address.is_loopback() || address.is_unspecified() || address.is_multicast() {
                continue;
            }
            for name in words {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                if name.is_empty() || (hosts.len() >= MOST_NAMES && !hosts.contains_key(&name)) {
                    continue;
                }
                let addresses = hosts.entry(name).or_default();
                if addresses.len() < MOST_ADDRESSES && !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        Self(hosts)
    }

    /// The addresses of a name in lower case; none if the file does not have it.
    pub(super) fn find(&self, name: &str) -> Option<&[IpAddr]> {
        self.0.get(name).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_others_are_found_and_loopback_is_not() {
        let hosts = Hosts::parse(
            "127.0.0.1\tlocalhost\n::1 localhost ip6-localhost\nff02::1 ip6-allnodes\n127.0.1.1 me\n# 192.0.2.1 no\n\
             192.0.2.77\tName.Internal short. # why\n2001:db8::7 name.internal\n192.0.2.77 name.internal\nx y\n192.0.2.9\n",
        );
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(hosts.find("name.internal"), Some(&[address("192.0.2.77"), address("2001:db8::7")][..]));
        assert_eq!(hosts.find("short"), Some(&[address("192.0.2.77")][..]));
        for absent in ["localhost", "ip6-allnodes", "me", "no", "y", "", "internal"] {
            assert_eq!(hosts.find(absent), None, "{absent}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_bounded(text in "([0-9a-f.:]{0,12}[ \t#a-z.]{0,20}\n?){0,30}") {
            prop_assert!(Hosts::parse(&text).0.values().all(|addresses| addresses.len() <= MOST_ADDRESSES));
        }
    }
}
