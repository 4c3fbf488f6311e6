//! Entry point, labels and health check of an image, as instructions for `commit`. Pure.

use std::time::Duration;

use kubake_contract::{BOOT_TIMEOUT, HEALTHCHECK_LIMIT, labels, roles};

use super::recipe::Recipe;
use crate::engine::{EngineFacts, Flavour};

/// Part of every inputs digest. A change of how images are committed changes it, so that all images are built anew.
pub(in super::super) const RECIPE: &str = "1";
/// Path of `kubake-init` in the image. A commit must name it, because it would keep the command of the build container.
const INIT: &str = "/usr/local/bin/kubake-init";
/// Interval of checks once the cluster was ready. Each check costs the engine an `exec`.
const HEALTH_INTERVAL: Duration = Duration::from_secs(10);
/// Interval of checks during the boot, and the delay before the first. It is short, and the checks are few all the same:
/// each waits for the boot by itself.
const HEALTH_START_INTERVAL: Duration = Duration::from_secs(1);
/// Longer than the limit of the check itself, so that its output is not lost.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(HEALTHCHECK_LIMIT.as_secs() + 2);
/// A single failure may come from a busy machine.
const HEALTH_RETRIES: u32 = 2;
/// First version of Docker with `--start-interval`; older ones refuse the instruction (moby issue 45897).
const START_INTERVAL_SINCE: u32 = 25;

/// The `HEALTHCHECK` instruction that this engine understands, by which it reports whether the cluster is ready. Only for
/// images that boot: nothing should check during a bake.
///
/// `commit` accepts it like `ENTRYPOINT` (moby: `validCommitCommands`). Podman commits in the OCI format, which has no
/// field for it.
pub(in super::super) fn healthcheck(facts: &EngineFacts) -> Option<String> {
    if facts.flavour == Flavour::Podman {
        return None;
    }
    let mut options = vec![
        ("interval", HEALTH_INTERVAL),
        ("timeout", HEALTH_TIMEOUT),
        // The limit that kubake-init sets for a boot; the engine counts failures only afterwards.
        ("start-period", BOOT_TIMEOUT),
    ];
    if facts.major().is_some_and(|major| major >= START_INTERVAL_SINCE) {
        options.push(("start-interval", HEALTH_START_INTERVAL));
    }
    let options: String = options.iter().map(|(name, time)| format!("--{name}={}s ", time.as_secs())).collect();
    Some(format!("HEALTHCHECK {options}--retries={HEALTH_RETRIES} CMD [\"{INIT}\",\"{}\"]", roles::HEALTHCHECK))
}

/// Instructions for the `--change` options of `commit`.
pub(super) fn changes(recipe: &Recipe<'_>, version: &str) -> Vec<String> {
    let mut changes = vec![format!("ENTRYPOINT [\"{INIT}\"]"), "CMD []".to_owned()];
    changes.extend(recipe.healthcheck.map(str::to_owned));
    let fixed = [(labels::KUBERNETES_VERSION, version), (labels::BUILD, ""), (labels::CREATION, "")];
    for (name, value) in recipe.labels.iter().copied().chain(fixed) {
        changes.push(format!("LABEL {name}={}", quoted(value)));
    }
    changes
}

/// Quotes a value in the syntax of a Dockerfile.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_labels_survive_the_dockerfile_syntax() {
        assert_eq!(quoted(r#"{"a":"$b\c"}"#), r#""{\"a\":\"\$b\\c\"}""#);
    }

    #[test]
    fn the_healthcheck_is_what_the_engine_understands() {
        let of = |flavour, version: &str| {
            healthcheck(&EngineFacts { flavour, version: version.to_owned(), ..EngineFacts::default() })
        };
        let old = "HEALTHCHECK --interval=10s --timeout=30s --start-period=900s --retries=2 \
                   CMD [\"/usr/local/bin/kubake-init\",\"healthcheck\"]";
        let new = old.replace("--retries", "--start-interval=1s --retries");
        assert_eq!(of(Flavour::Docker, "24.0.9").as_deref(), Some(old));
        assert_eq!(of(Flavour::Docker, "25.0.0").as_deref(), Some(new.as_str()));
        assert_eq!(of(Flavour::Docker, "26.1.5+dfsg1").as_deref(), Some(new.as_str()));
        assert_eq!(of(Flavour::Docker, "").as_deref(), Some(old));
        assert_eq!(of(Flavour::Podman, "5.4.2"), None);
    }

    #[test]
    fn only_an_image_that_boots_is_asked_for_its_health() {
        let recipe = |healthcheck| Recipe {
            from: "a",
            role: roles::BAKE_CLUSTER,
            files: Vec::new(),
            archives: Vec::new(),
            trees: Vec::new(),
            has_hooks: false,
            name: "b",
            healthcheck,
            labels: vec![(labels::STAGE, "baked")],
        };
        let made = changes(&recipe(Some("HEALTHCHECK CMD [\"c\"]")), "v1.2.3");
        assert_eq!(
            made,
            [
                "ENTRYPOINT [\"/usr/local/bin/kubake-init\"]",
                "CMD []",
                "HEALTHCHECK CMD [\"c\"]",
                "LABEL io.kubake.stage=\"baked\"",
                "LABEL io.kubake.kubernetes-version=\"v1.2.3\"",
                "LABEL io.kubake.build=\"\"",
                "LABEL io.kubake.creation=\"\"",
            ]
        );
        assert!(!changes(&recipe(None), "v1.2.3").iter().any(|change| change.starts_with("HEALTHCHECK")));
    }
}
