//! Parses the command line. Does nothing else.

use std::ffi::OsString;

use kubake_contract::roles;

/// What this process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Boots the baked cluster.
    Boot,
    /// The first half of a bake: the image store.
    BakeImages,
    /// The second half of a bake: the cluster.
    BakeCluster,
    /// A bake on top of a baked image.
    BakeCustom,
}

/// A parsed command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invocation {
    /// Perform a task in a supervisor, which the stub starts.
    Run {
        task: Task,
        /// Whether phases appear on stdout as JSON lines.
        has_events: bool,
    },
    /// Ask the supervisor of this container whether the cluster is ready. Needs no stub, because it starts no process.
    Healthcheck,
    /// Replace this process by another program (`docker run IMAGE sh`).
    Exec(Vec<OsString>),
    Version,
    Help,
}

/// An argument that has no meaning here.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown argument `{argument}`; try `kubake-init --help`")]
pub struct UsageError {
    argument: String,
}

/// The help text of `--help`.
pub const HELP: &str = "\
kubake-init: boots the Kubernetes cluster baked into this container image

usage:
  kubake-init                boot the cluster (the image's default)
  kubake-init bake-images    used by `kubake bake`
  kubake-init bake-cluster   used by `kubake bake`
  kubake-init bake-custom    used by `kubake bake --from`
  kubake-init healthcheck    report whether the cluster is ready (the image's HEALTHCHECK)
  kubake-init PROGRAM [ARG]  run another program instead

options:
  --events=json   print one JSON line for each phase on stdout
  --version       print the version
  --help          print this
";

/// Parses the arguments after the program's name.
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
            // Only alone: with other arguments, neither of them is a program to run.
            Some(roles::HEALTHCHECK) => match args.iter().find(|other| *other != argument) {
                None if args.len() == 1 => return Ok(Invocation::Healthcheck),
                other => return Err(UsageError { argument: other.unwrap_or(argument).to_string_lossy().into_owned() }),
            },
            Some(text) if text.starts_with('-') => return Err(UsageError { argument: text.to_owned() }),
            // CI systems and users append a command to run instead.
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
    fn arguments_are_parsed() {
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
