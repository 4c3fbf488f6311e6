//! Applies the manifests and kustomizations of add-ons and of the user, in the order of their names, those of add-ons first.
//! Owns which files count and when applying is retried; `jobs` and readiness wait until the objects work.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kubake_contract::{ADDON_PREFIX, paths};
use tokio::time::Instant;

use crate::command::Run;
use crate::events::Events;
use crate::phases::BoxError;

/// Time limit for retries while the API server refuses an object because something it needs is missing: a CRD that is not
/// served yet, a webhook whose pod still starts.
const PATIENCE: Duration = Duration::from_secs(180);
/// Pause between two attempts; no event reports that a webhook answers.
const PAUSE: Duration = Duration::from_millis(500);
/// Time limit for one `kubectl apply`.
const TIMEOUT: Duration = Duration::from_secs(120);
/// The names by which `kubectl` knows a kustomization (sigs.k8s.io/kustomize: `RecognizedKustomizationFileNames`).
const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// Errors of the API server for objects that it may accept a moment later.
const PREMATURE: [&str; 4] =
    ["no matches for kind", "resource mapping not found", "failed calling webhook", "not found in discovery"];

/// A file or directory to apply.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    File(PathBuf),
    Kustomization(PathBuf),
}

impl Source {
    fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Kustomization(path) => path,
        }
    }

    fn is_addon(&self) -> bool {
        self.path().file_name().is_some_and(|name| name.to_string_lossy().starts_with(ADDON_PREFIX))
    }
}

/// Applies everything in `directory`, which may be missing.
pub(super) async fn apply(directory: &Path, events: Events) -> Result<(), BoxError> {
    for source in find(directory)? {
        let name = source.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let deadline = Instant::now() + PATIENCE;
        loop {
            match apply_once(&source, &name, events).await {
                Ok(()) => break,
                Err(error) if is_premature(&error) && Instant::now() < deadline => {
                    events.note(format!("manifests/{name} waits for what it needs"));
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(format!("manifests/{name} cannot be applied: {error}").into()),
            }
        }
    }
    Ok(())
}

async fn apply_once(source: &Source, name: &str, events: Events) -> Result<(), String> {
    let flag = match source {
        Source::File(_) => "--filename",
        Source::Kustomization(_) => "--kustomize",
    };
    // Server-side, because client-side apply keeps a copy of each object in it and fails for large CRDs.
    Run::new("/usr/local/bin/kubectl")
        .args(["apply", "--server-side", "--field-manager=kubake", flag])
        .arg(source.path())
        .env("KUBECONFIG", paths::ADMIN_KUBECONFIG)
        .timeout(TIMEOUT)
        .stream(|line| events.note(format!("manifests/{name} | {line}")))
        .await
        .map_err(|error| error.to_string())
}

fn is_premature(error: &str) -> bool {
    PREMATURE.iter().any(|part| error.contains(part))
}

/// Returns what to apply, in order. Other files are left to hooks.
fn find(directory: &Path) -> Result<Vec<Source>, BoxError> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("cannot read {}: {error}", directory.display()).into()),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| format!("cannot read {}: {error}", directory.display()))?.path();
        let is_manifest = path
            .extension()
            .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known)));
        if path.is_dir() {
            if !KUSTOMIZATIONS.iter().any(|name| path.join(name).is_file()) {
                return Err(format!(
                    "manifests/{} holds no kustomization.yaml; put its manifests beside it, or write one",
                    path.file_name().unwrap_or_default().to_string_lossy()
                )
                .into());
            }
            found.push(Source::Kustomization(path));
        } else if is_manifest {
            found.push(Source::File(path));
        }
    }
    // The user's manifests may need objects of add-ons, such as an IngressClass.
    found.sort_by_key(|source: &Source| (!source.is_addon(), source.path().to_owned()));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_and_kustomizations_are_found_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for name in ["20-app", ".addon-x"] {
            std::fs::create_dir(path(name)).unwrap();
        }
        let addon = ".addon-x/kustomization.yaml";
        for name in ["20-app/kustomization.yaml", "30-b.json", "-first.yaml", "README.md", "40-c.YML", addon] {
            std::fs::write(path(name), "").unwrap();
        }
        assert_eq!(
            find(directory.path()).unwrap(),
            [
                Source::Kustomization(path(".addon-x")),
                Source::File(path("-first.yaml")),
                Source::Kustomization(path("20-app")),
                Source::File(path("30-b.json")),
                Source::File(path("40-c.YML")),
            ]
        );
        assert!(find(&path("none")).unwrap().is_empty());
        std::fs::create_dir(path("50-what")).unwrap();
        let error = find(directory.path()).unwrap_err().to_string();
        assert!(error.contains("manifests/50-what holds no kustomization.yaml"), "{error}");
    }

    #[test]
    fn only_errors_that_may_pass_are_retried() {
        assert!(is_premature("error: resource mapping not found for name: \"x\" namespace: \"\" from \"a.yaml\""));
        assert!(is_premature("Internal error occurred: failed calling webhook \"a.b\": connection refused"));
        assert!(!is_premature("error: error parsing a.yaml: mapping values are not allowed in this context"));
    }
}
