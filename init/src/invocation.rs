//! What the command line asks for. Pure.

use std::ffi::OsString;

use kubake_contract::roles;

/// What this process is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Boot the baked cluster.
    Boot,
    /// First half of a bake.
    BakeImages,
    /// Second half of a bake.
    BakeCluster,
    /// Bake on top of a baked image.
    BakeCustom,
}

/// A parsed command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invocation {
    /// Do this, behind the stub.
    Run {
        /// What.
        task: Task,
        /// Whether phases appear on stdout as JSON lines.
        has_events: bool,
    },
    /// Ask the supervisor of this container whether the cluster is ready. No stub: nothing is started.
    Healthcheck,
    /// Replace this process by another program (`docker run IMAGE sh`).
    Exec(Vec<OsString>),
    /// Print the version.
    Version,
    /// Print how this is used.
    Help,
}

/// Arguments that mean nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown argument `{argument}`; try `kubake-init --help`")]
pub struct UsageError {
    argument: String,
}

/// How this is used.
pub const HELP: &str = "\
kubake-init: boots the Kubernetes cluster baked into this container image

usage:
  kubake-init                boot (what the image does by itself)
  kubake-init bake-images    used by `kubake bake`
  kubake-init bake-cluster   used by `kubake bake`
  kubake-init bake-custom    used by `kubake bake --from`
  kubake-init healthcheck    say whether the cluster is ready (what the image's HEALTHCHECK runs)
  kubake-init PROGRAM [ARG]  run another program instead

options:
  --events=json   one JSON line a phase on stdout
  --version       print the version
  --help          print this
";

/// Understands the arguments after the program's name.
///
/// # Errors
/// For an option that does not exist.
pub fn parse(args: &[OsString]) -> Result<Invocation, UsageError> {
    let mut task = None;
    let mut has_events = false;
    for (index, argument) in args.iter().enumerate() {
        match argument.to_str() {
            Some("--version" | "-V") => return Ok(Invocation::Version),
            Some("--help" | "-h") => return Ok(Invocation::Help),
            Some("--events=json") => has_events = true,
            Some(roles::BAKE_IMAGES) if task.is_none() => task = Some(Task::BakeImages),
            Some(roles::BAKE_CLUSTER) if task.is_none() => task = Some(Task::BakeCluster),
            Some(roles::BAKE_CUSTOM) if task.is_none() => task = Some(Task::BakeCustom),
            // Alone: with anything else beside it, neither is a program to run.
            Some(roles::HEALTHCHECK) => match args.iter().find(|other| *other != argument) {
                None if args.len() == 1 => return Ok(Invocation::Healthcheck),
                other => return Err(UsageError { argument: other.unwrap_or(argument).to_string_lossy().into_owned() }),
            },
            Some(text) if text.starts_with('-') => return Err(UsageError { argument: text.to_owned() }),
            // CI systems and people append a command; run it as they mean it.
            _ if task.is_none() => return Ok(Invocation::Exec(args[index..].to_vec())),
            _ => return Err(UsageError { argument: argument.to_string_lossy().into_owned() }),
        }
    }
    Ok(Invocation::Run { task: task.unwrap_or(Task::Boot), has_events })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Invocation, UsageError> {
        parse(&args.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_mean_what_they_say() {
        assert_eq!(parsed(&[]), Ok(Invocation::Run { task: Task::Boot, has_events: false }));
        assert_eq!(
            parsed(&["bake-cluster", "--events=json"]),
            Ok(Invocation::Run { task: Task::BakeCluster, has_events: true })
        );
        assert_eq!(parsed(&["sh", "-c", "id"]), Ok(Invocation::Exec(vec!["sh".into(), "-c".into(), "id".into()])));
        assert_eq!(parsed(&["--version"]), Ok(Invocation::Version));
        assert_eq!(parsed(&["healthcheck"]), Ok(Invocation::Healthcheck));
        assert!(parsed(&["--nonsense"]).is_err());
        assert!(parsed(&["bake-images", "bake-cluster"]).is_err());
        for args in [["healthcheck", "sh"], ["bake-images", "healthcheck"], ["--events=json", "healthcheck"]] {
            assert!(parsed(&args).is_err(), "{args:?}");
        }
        assert_eq!(parsed(&["healthcheck", "x"]), Err(UsageError { argument: "x".to_owned() }));
        assert_eq!(parsed(&["echo", "healthcheck"]), Ok(Invocation::Exec(vec!["echo".into(), "healthcheck".into()])));
    }
}
