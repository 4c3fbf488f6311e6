//! Hooks on the host: programs of the user that run before a build container starts and after it ends. Owns their
//! environment and the report of a failure. The contract with `kubake-init` defines which files are hooks and their order,
//! so that it is the same everywhere.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use kubake_contract::hooks::{Failure, Hook, find};
use kubake_contract::{ClusterSettings, hook_env, moments};

use super::error::Error;
use crate::advice::Advice;
use crate::printer::{Phase, chain};
use crate::process::{Call, Runner};

/// What the hooks on the host have in common.
#[derive(Debug)]
pub(super) struct HookContext<'a> {
    pub(super) directory: &'a Path,
    /// Settings of the cluster, of which hooks get version and address.
    pub(super) settings: &'a ClusterSettings,
    /// The command line of the engine.
    pub(super) engine: &'a Path,
    /// Limit for each hook.
    pub(super) timeout: Duration,
    /// Whether a failure ends the bake or is a warning.
    pub(super) failure: Failure,
}

/// Runs the hooks of one moment, in order, with the id of the container as argument.
pub(super) fn run(
    runner: &Runner,
    moment: &str,
    container: &str,
    given: &HookContext<'_>,
    phase: &Phase,
) -> Result<(), Error> {
    debug_assert!(moments::HOST.contains(&moment), "all other moments run in the container");
    // Absolute, because a relative program path would be resolved in the hook's working directory.
    let directory = std::path::absolute(given.directory).unwrap_or_else(|_| given.directory.to_owned());
    for hook in find(&directory, moment).map_err(|source| Error::Hooks { source })? {
        phase.message(format_args!("hook {}", hook.name));
        let ended = runner.stream(call(&hook, moment, container, given), |line| {
            phase.message(format_args!("{} | {}", hook.name, line.text));
            ControlFlow::Continue(())
        });
        let ended = ended.map_err(|source| Error::Hook { hook: hook.name.clone(), retained: None, source });
        match ended {
            Err(error) if given.failure == Failure::Report && !error.is_interrupted() => phase.warn(chain(&error)),
            ended => drop(ended?),
        }
    }
    Ok(())
}

fn call(hook: &Hook, moment: &str, container: &str, given: &HookContext<'_>) -> Call {
    Call::new(hook.program())
        .arg(container)
        .directory(hook.directory())
        .env(hook_env::MOMENT, moment)
        .env(hook_env::KUBERNETES_VERSION, &given.settings.kubernetes_version)
        .env(hook_env::STATIC_IP, given.settings.static_ip.to_string())
        .env(hook_env::ENGINE, given.engine)
        .timeout(given.timeout)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::printer::{Printer, Verbosity};
    use crate::process::Cancel;

    fn script(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Written by another process: a child that another test starts at this moment inherits an open file, and Linux
        // refuses to execute a file that is open for writing.
        let command = "printf '#!/bin/sh\\n%s' \"$2\" > \"$1\" && chmod 755 \"$1\"";
        let mut write = std::process::Command::new("sh");
        write.args(["-c", command, "sh"]).arg(path).arg(text);
        assert!(write.status().unwrap().success());
    }

    fn run_in(directory: &Path, moment: &str, failure: Failure) -> (Result<(), Error>, String) {
        let printer = Printer::capturing(Verbosity::Verbose);
        let phase = printer.phase("cluster");
        let settings = ClusterSettings::default();
        let given = HookContext {
            directory,
            settings: &settings,
            engine: Path::new("/usr/bin/engine"),
            timeout: Duration::from_secs(20),
            failure,
        };
        let outcome = run(&Runner::new(Cancel::new()), moment, "0123abc", &given, &phase);
        drop(phase);
        (outcome, printer.captured())
    }

    #[test]
    fn they_get_the_containers_id_and_know_where_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("out");
        let text = "echo \"$1 $KUBAKE_HOOK $KUBERNETES_VERSION $STATIC_IP $KUBAKE_ENGINE\"\npwd > ../out\n";
        script(&directory.path().join("before-setup/10-x"), text);
        let (outcome, shown) = run_in(directory.path(), moments::BEFORE_SETUP, Failure::Fail);
        outcome.unwrap();
        let line = "before-setup/10-x | 0123abc before-setup v1.36.3 172.30.99.1 /usr/bin/engine";
        assert!(shown.contains(line), "{shown}");
        assert!(fs::read_to_string(out).unwrap().trim().ends_with("/before-setup"));
        run_in(directory.path(), moments::AFTER_SETUP, Failure::Fail).0.unwrap();
    }

    #[test]
    fn the_first_that_fails_is_the_last_or_is_reported() {
        let directory = tempfile::tempdir().unwrap();
        script(&directory.path().join("after-setup/10-bad"), "echo no luck >&2\nexit 3\n");
        script(&directory.path().join("after-setup/20-next"), "touch ../out\n");
        let error = run_in(directory.path(), moments::AFTER_SETUP, Failure::Fail).0.unwrap_err();
        let text = chain(&error);
        assert!(text.starts_with("hook after-setup/10-bad failed") && text.contains("no luck"), "{text}");
        assert!(!directory.path().join("out").exists());
        let (outcome, shown) = run_in(directory.path(), moments::AFTER_SETUP, Failure::Report);
        outcome.unwrap();
        assert!(shown.contains("warning: hook after-setup/10-bad failed") && shown.contains("no luck"), "{shown}");
        assert!(directory.path().join("out").exists(), "the next hook runs");
    }
}
