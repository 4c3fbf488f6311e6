//! The versions of Kubernetes that can be baked from source. Owns their list and their spellings; a directory of
//! `builder/components/versions` pins the parts of each.

use std::path::PathBuf;

use thiserror::Error;

use crate::advice::Advice;
use crate::checkout::Checkout;

/// The versions that this checkout pins, newest first; the first is the default.
pub(crate) const PINNED: [&str; 3] = ["v1.36.3", "v1.35.4", "v1.34.4"];

/// The directory with a directory for each version, relative to the top of a checkout.
const DIRECTORY: &str = "builder/components/versions";

/// Why a version cannot be baked.
#[derive(Debug, Error)]
pub(crate) enum Error {
    #[error("Kubernetes {version} cannot be built: there is no `{}`", .path.display())]
    NotPinned {
        version: String,
        /// The directory that would pin it.
        path: PathBuf,
        /// All versions that the checkout pins.
        pinned: Vec<String>,
    },
    /// kubeadm requires another tag than the checkout pins.
    #[error("kubeadm {version} requires {component} {wanted}, and `{}` pins {}", .path.display(), .pinned.as_deref().unwrap_or("none"))]
    Mismatch {
        /// The version of Kubernetes.
        version: String,
        /// `etcd` or `coredns`.
        component: &'static str,
        /// The tag that kubeadm requires.
        wanted: String,
        pinned: Option<String>,
        /// The file that pins it.
        path: PathBuf,
    },
    /// A `go.mod` cannot be read.
    #[error("failed to read `{}`", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

impl Advice for Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NotPinned { pinned, .. } => {
                Some(format!("choose one of {}, or pin it as builder/components/README.md says", pinned.join(", ")))
            }
            Self::Mismatch { .. } => Some("builder/components/README.md says how a version is pinned".to_owned()),
            Self::Read { .. } => None,
        }
    }
}

/// Completes `1.36`, `v1.36`, `1.36.3` and `v1.36.3` to a full version: a minor release becomes its pinned patch release.
/// Returns any other text unchanged, for a later check.
#[must_use]
pub(crate) fn complete(text: &str) -> String {
    let number = text.strip_prefix('v').unwrap_or(text);
    match PINNED.iter().find(|version| minor(version) == number) {
        Some(version) => (*version).to_owned(),
        None if number.starts_with(|first: char| first.is_ascii_digit()) => format!("v{number}"),
        None => text.to_owned(),
    }
}

/// The minor release of a version: `1.36` for `v1.36.3`.
#[must_use]
pub(crate) fn minor(kubernetes_version: &str) -> String {
    let version = kubernetes_version.trim_start_matches('v');
    version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".")
}

/// Checks that the checkout pins a version.
///
/// # Errors
/// [`Error::NotPinned`], with the versions that it pins.
pub(crate) fn check(checkout: &Checkout, version: &str) -> Result<(), Error> {
    let directory = checkout.root().join(DIRECTORY);
    let path = directory.join(version);
    if path.is_dir() {
        return Ok(());
    }
    let names = std::fs::read_dir(&directory).into_iter().flatten().flatten();
    let mut pinned: Vec<String> = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    pinned.sort();
    pinned.reverse();
    Err(Error::NotPinned { version: version.to_owned(), path, pinned })
}

/// Checks that etcd or CoreDNS is pinned in the version whose tag kubeadm requires. Other images need no check: they are
/// Kubernetes' own or have no version.
///
/// # Errors
/// [`Error::Mismatch`], or when the file cannot be read.
pub(crate) fn check_tag(checkout: &Checkout, version: &str, target: &str, tag: &str) -> Result<(), Error> {
    let (component, module) = match target {
        "etcd" => ("etcd", "go.etcd.io/etcd/server/v3"),
        "coredns" => ("coredns", "github.com/coredns/coredns"),
        _ => return Ok(()),
    };
    let path = checkout.root().join(DIRECTORY).join(version).join(component).join("go.mod");
    let text = std::fs::read_to_string(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
    let pinned = required(&text, module);
    // `v1.14.2`, and `3.6.8-0` with the number of the image's build.
    let wanted = tag.trim_start_matches('v').split('-').next().unwrap_or(tag);
    if pinned.as_deref().map(|version| version.trim_start_matches('v')) == Some(wanted) {
        return Ok(());
    }
    Err(Error::Mismatch { version: version.to_owned(), component, wanted: tag.to_owned(), pinned, path })
}

/// The version of a module that a `go.mod` requires.
fn required(go_mod: &str, module: &str) -> Option<String> {
    go_mod.lines().find_map(|line| {
        let mut words = line.trim().trim_start_matches("require ").split_whitespace();
        (words.next() == Some(module)).then(|| words.next().map(str::to_owned)).flatten()
    })
}

#[cfg(test)]
mod tests {
    use kubake_contract::ClusterSettings;

    use super::*;

    fn checkout() -> Checkout {
        Checkout::find().unwrap()
    }

    #[test]
    fn the_list_is_what_the_checkout_pins() {
        let checkout = checkout();
        let read = std::fs::read_dir(checkout.root().join(DIRECTORY)).unwrap();
        let mut found: Vec<String> = read.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        found.sort();
        found.reverse();
        assert_eq!(found, PINNED);
        for version in PINNED {
            let path = checkout.root().join(DIRECTORY).join(version).join("kubernetes/go.mod");
            let text = std::fs::read_to_string(path).unwrap();
            assert_eq!(required(&text, "k8s.io/kubernetes").as_deref(), Some(version));
        }
        assert_eq!(ClusterSettings::default().kubernetes_version, PINNED[0]);
        let dockerfile = std::fs::read_to_string(checkout.root().join("Dockerfile")).unwrap();
        assert!(dockerfile.contains(&format!("\nARG KUBERNETES_VERSION={}\n", PINNED[0])));
    }

    #[test]
    fn a_minor_release_is_the_one_that_is_pinned() {
        for text in ["1.36", "v1.36", "1.36.3", "v1.36.3"] {
            assert_eq!(complete(text), "v1.36.3");
        }
        assert_eq!(complete("v1.33"), "v1.33");
        assert_eq!(complete("1.36.1"), "v1.36.1");
        assert_eq!(complete("newest"), "newest");
    }

    #[test]
    fn a_version_that_is_not_pinned_is_reported_with_those_that_are() {
        check(&checkout(), PINNED[1]).unwrap();
        let error = check(&checkout(), "v1.20.0").unwrap_err();
        assert!(error.to_string().starts_with("Kubernetes v1.20.0 cannot be built"), "{error}");
        assert!(error.hint().unwrap().starts_with(&format!("choose one of {}", PINNED.join(", "))), "{error:?}");
    }

    #[test]
    fn a_tag_that_is_not_what_is_pinned_is_refused() {
        let checkout = checkout();
        check_tag(&checkout, "v1.34.4", "etcd", "3.6.5-0").unwrap();
        check_tag(&checkout, "v1.34.4", "coredns", "v1.12.1").unwrap();
        check_tag(&checkout, "v1.34.4", "pause", "3.10.1").unwrap();
        let error = check_tag(&checkout, "v1.34.4", "etcd", "3.6.50-0").unwrap_err().to_string();
        assert!(error.contains("kubeadm v1.34.4 requires etcd 3.6.50-0") && error.ends_with("pins v3.6.5"), "{error}");
    }
}
