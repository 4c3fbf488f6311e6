//! What a crate of the workspace must not depend on, in any depth: the builder compiles nothing of PID 1, and the contract
//! brings no runtime, no TLS and no kernel interface to the crates that use it.

use std::process::Command;

use crate::checkout::Checkout;
use crate::finding::Finding;

/// A package, the directory of its manifest, and what must not be among its dependencies.
const FORBIDDEN: [(&str, &str, &[&str]); 3] = [
    ("kubake", "builder", &["kubake-init", "rtnetlink", "rcgen"]),
    ("kubake-contract", "init/contract", &["tokio", "hyper", "rtnetlink", "rcgen", "ring", "rustls"]),
    ("kubake-init", "init", &["kubake", "clap"]),
];

/// One finding for each package with a dependency that it must not have.
pub(crate) fn find(checkout: &Checkout) -> Vec<Finding> {
    let Some(root) = &checkout.root else { return Vec::new() };
    let check = |(package, directory, forbidden)| {
        // `cargo tree` resolves features as a build of this package alone does, unlike `cargo metadata`.
        let options = ["tree", "--locked", "--edges=normal", "--prefix=none", "--format={p}", "--package", package];
        let output = Command::new(env!("CARGO")).args(options).current_dir(root).output().expect("cargo runs");
        assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
        broken(&String::from_utf8_lossy(&output.stdout), directory, forbidden)
    };
    FORBIDDEN.into_iter().filter_map(check).collect()
}

/// The first line of the tree is the package itself; each line begins with a name.
fn broken(tree: &str, directory: &str, forbidden: &[&str]) -> Option<Finding> {
    let names: Vec<&str> = tree.lines().skip(1).filter_map(|line| line.split(' ').next()).collect();
    let wrong: Vec<&str> = forbidden.iter().copied().filter(|name| names.contains(name)).collect();
    (!wrong.is_empty()).then(|| Finding::new(directory, format!("depends on {}", wrong.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "kubake v0.1.0 (/builder)\nclap v4.5.0\nmiddle v1.0.0\nrcgen v0.14.0\n";

    #[test]
    fn a_forbidden_dependency_is_found() {
        let found = broken(TREE, "builder", &["rcgen", "rtnetlink"]);
        assert_eq!(found, Some(Finding::new("builder", "depends on rcgen")));
    }

    #[test]
    fn other_packages_and_the_package_itself_are_not() {
        assert_eq!(broken(TREE, "builder", &["rtnetlink", "kubake"]), None);
    }
}
