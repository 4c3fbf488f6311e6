//! Hooks of the bake: every executable file of a directory, in the order of its name, its output passed on line by
//! line. A hook that fails fails the bake.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::command::Run;
use crate::contract::paths;
use crate::phases::{BoxError, Events};
use crate::stage::Stage;

/// How long one hook may take.
const TIMEOUT: Duration = Duration::from_secs(1800);

/// Runs the hooks of one moment (`before-cluster`, `after-cluster`). No directory, no hooks.
pub(super) async fn run(moment: &str, stage: &Stage, events: Events) -> Result<(), BoxError> {
    let directory = Path::new(paths::INBOX_HOOKS).join(moment);
    let settings = &stage.settings;
    for hook in executables(&directory)? {
        let name = hook.file_name().unwrap_or_default().to_string_lossy().into_owned();
        events.note(format!("hook {moment}/{name}"));
        let run = stage.proxy_variables().into_iter().fold(Run::new(&hook), |run, (name, value)| run.env(&name, value));
        run.directory(&directory)
            .env("KUBECONFIG", paths::ADMIN_KUBECONFIG)
            .env("KUBERNETES_VERSION", &settings.kubernetes_version)
            .env("STATIC_IP", settings.static_ip.to_string())
            .env("DOCKER_HOST", format!("unix://{}", paths::DOCKER_SOCKET))
            .timeout(TIMEOUT)
            .stream(|line| events.note(format!("{name} | {line}")))
            .await
            .map_err(|error| BoxError::from(format!("hook {moment}/{name} failed: {error}")))?;
    }
    Ok(())
}

fn executables(directory: &Path) -> Result<Vec<PathBuf>, BoxError> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("cannot read {}: {error}", directory.display()).into()),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| format!("cannot read {}: {error}", directory.display()))?.path();
        let is_executable =
            std::fs::metadata(&path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0);
        if is_executable {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_executable_files_count_and_their_names_order_them() {
        let directory = tempfile::tempdir().unwrap();
        for (name, mode) in [("20-b", 0o755), ("10-a", 0o755), ("README", 0o644)] {
            let path = directory.path().join(name);
            std::fs::write(&path, "#!/bin/sh\n").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let names: Vec<_> =
            executables(directory.path()).unwrap().iter().map(|path| path.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["10-a", "20-b"]);
        assert!(executables(&directory.path().join("none")).unwrap().is_empty());
    }
}
