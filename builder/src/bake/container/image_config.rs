//! What an image has beside its files: entry point, labels, health check, as instructions that `commit` takes. Pure.

use std::time::Duration;

use kubake_contract::{BOOT_TIMEOUT, HEALTHCHECK_LIMIT, labels, roles};

use super::recipe::Recipe;
use crate::engine::{EngineFacts, Flavour};

/// A change of how images are committed makes a new image out of old inputs.
pub(in super::super) const RECIPE: &str = "1";
/// Where the image has `kubake-init`; a commit has to name it, since it keeps the build container's own command.
const INIT: &str = "/usr/local/bin/kubake-init";
/// How often the engine asks a cluster that was ready once. Each time costs it a `docker exec`.
const HEALTH_INTERVAL: Duration = Duration::from_secs(10);
/// The same while it boots. Short, because it is the time until the first check and the pause between two of them, and
/// a check waits by itself for what boots: there are few.
const HEALTH_START_INTERVAL: Duration = Duration::from_secs(1);
/// Later than the check itself gives up, so that what it says then is not lost.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(HEALTHCHECK_LIMIT.as_secs() + 2);
/// One failure may be a busy machine's.
const HEALTH_RETRIES: u32 = 2;
/// Docker's first version that knows `--start-interval`; others refuse the instruction (moby's tracking issue 45897).
const START_INTERVAL_SINCE: u32 = 25;

/// The instruction with which an engine sees for itself whether the cluster is ready, as far as it understands one. Only
/// for images that boot: nothing should ask during a bake.
///
/// `commit` takes it as it takes `ENTRYPOINT` (moby: `validCommitCommands`). Podman commits in the OCI format, which has
/// no place for it.
pub(in super::super) fn healthcheck(facts: &EngineFacts) -> Option<String> {
    if facts.flavour == Flavour::Podman {
        return None;
    }
    let mut options = vec![
        ("interval", HEALTH_INTERVAL),
        ("timeout", HEALTH_TIMEOUT),
        // As long as kubake-init itself gives a boot; failures count only afterwards.
        ("start-period", BOOT_TIMEOUT),
    ];
    if facts.major().is_some_and(|major| major >= START_INTERVAL_SINCE) {
        options.push(("start-interval", HEALTH_START_INTERVAL));
    }
    let options: String = options.iter().map(|(name, time)| format!("--{name}={}s ", time.as_secs())).collect();
    Some(format!("HEALTHCHECK {options}--retries={HEALTH_RETRIES} CMD [\"{INIT}\",\"{}\"]", roles::HEALTHCHECK))
}

/// What the image is to have beside the container's files.
pub(super) fn changes(recipe: &Recipe<'_>, version: &str) -> Vec<String> {
    let mut changes = vec![format!("ENTRYPOINT [\"{INIT}\"]"), "CMD []".to_owned()];
    changes.extend(recipe.healthcheck.map(str::to_owned));
    let fixed = [(labels::KUBERNETES_VERSION, version), (labels::BUILD, "")];
    for (name, value) in recipe.labels.iter().copied().chain(fixed) {
        changes.push(format!("LABEL {name}={}", quoted(value)));
    }
    changes
}

/// A value as a Dockerfile's double quotes take it.
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
            ]
        );
        assert!(!changes(&recipe(None), "v1.2.3").iter().any(|change| change.starts_with("HEALTHCHECK")));
    }
}
