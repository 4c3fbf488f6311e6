//! The names by which clients reach a container, as far as they are known before its network is. Pure.

use std::collections::BTreeSet;

use kubake_contract::{ClusterSettings, Node};

use super::files;
use super::request::Request;

/// The names in the serving certificates, without the container's addresses.
#[must_use]
pub(crate) fn own(settings: &ClusterSettings, node: &Node, request: &Request, hostname: &str) -> BTreeSet<String> {
    files::served(settings, node, &request.names, &[], hostname)
}

/// Whether one of `names`, in which a first label may be `*`, stands for `name`.
#[must_use]
pub(crate) fn covers(names: &BTreeSet<String>, name: &str) -> bool {
    let parent = name.split_once('.').map(|(_, parent)| parent);
    names.iter().any(|known| {
        known.eq_ignore_ascii_case(name)
            || known.strip_prefix("*.").is_some_and(|known| parent.is_some_and(|name| known.eq_ignore_ascii_case(name)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_stands_for_one_label() {
        let names: BTreeSet<String> = ["Ci.example", "*.mine.example", "10.0.0.1"].map(str::to_owned).into();
        for name in ["ci.example", "CI.EXAMPLE", "a.mine.example", "10.0.0.1"] {
            assert!(covers(&names, name), "{name}");
        }
        for name in ["mine.example", "a.b.mine.example", "example", "xci.example", "10.0.0.2", ""] {
            assert!(!covers(&names, name), "{name}");
        }
    }
}
