//! Creates a base image from Debian packages with mmdebstrap.

use std::ffi::OsString;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, SystemTime};

use kubake_contract::labels;

use super::error::BaseImageError;
use super::names::SUITE;
use crate::engine::Engine;
use crate::engine::command::Import;
use crate::install::apt::{self, Mirrors};
use crate::process::Call;
use crate::process::Stream;

/// Value of the stage label of a created base image.
pub(super) const STAGE: &str = "base";
/// The label with the time of creation (RFC 3339).
pub(super) const CREATED_LABEL: &str = "org.opencontainers.image.created";

const KEYRINGS: &str = "/usr/share/keyrings";
const BOOTSTRAP_TIMEOUT: Duration = Duration::from_secs(20 * 60);

pub(super) fn bootstrap(
    engine: &Engine,
    name: &str,
    reason: &str,
    mut report: impl FnMut(&str),
) -> Result<String, BaseImageError> {
    if which::which("mmdebstrap").is_err() {
        return Err(BaseImageError::NoMmdebstrap { reason: reason.to_owned() });
    }
    // A file instead of a pipe into the engine, which would make an image of everything before a failure.
    let directory = tempfile::Builder::new()
        .prefix("kubake-base-")
        .tempdir()
        .map_err(|source| BaseImageError::Temporary { path: std::env::temp_dir(), source })?;
    let archive = directory.path().join("base.tar");
    let mirrors = Mirrors::of(&apt::read_sources(Path::new("/")));
    let mirror = mirrors.as_ref().map_or_else(|| "mmdebstrap's own mirror".to_owned(), |mirrors| mirrors.main.clone());
    let options = inherited_apt_options(engine);
    let call = Call::new("mmdebstrap")
        .args(bootstrap_args(&archive, mirrors.as_ref(), &engine.facts().arch, &options))
        // Keeps the locale of this machine out of the files that package scripts write.
        .env("LC_ALL", "C")
        .timeout(BOOTSTRAP_TIMEOUT);
    engine
        .runner()
        .stream(call, |line| {
            if line.stream == Stream::Stderr && line.text.starts_with("I: ") {
                report(line.text.trim_start_matches("I: "));
            }
            ControlFlow::Continue(())
        })
        .map_err(|source| BaseImageError::Bootstrap { mirror, source })?;

    let created = humantime::format_rfc3339_seconds(SystemTime::now());
    let import = Import {
        archive,
        name: name.to_owned(),
        changes: vec![
            r#"CMD ["bash"]"#.to_owned(),
            format!("LABEL {}={STAGE}", labels::STAGE),
            format!("LABEL {CREATED_LABEL}={created}"),
        ],
        message: Some(format!("debian {SUITE} by mmdebstrap")),
    };
    engine.run(&import).map_err(|source| BaseImageError::Engine { image: name.to_owned(), source })?;
    Ok(name.to_owned())
}

/// apt options that the host sets for its mirror: a mirror that is a snapshot declares itself expired.
fn inherited_apt_options(engine: &Engine) -> Vec<String> {
    let options = ["Acquire::Check-Valid-Until", "Acquire::Check-Date"];
    options
        .iter()
        .filter(|option| {
            let call =
                Call::new("apt-config").args(["dump", "--format", "%v", *option]).timeout(Duration::from_secs(20));
            // A host without apt has no such options.
            engine.runner().run_captured(call).is_ok_and(|value| matches!(value.as_str(), "false" | "no" | "0"))
        })
        .map(|option| format!("{option} \"false\""))
        .collect()
}

/// The arguments of mmdebstrap. The image has no package lists. All that it has of this host is the address of the mirror
/// in its sources, and the apt options for that.
fn bootstrap_args(archive: &Path, mirrors: Option<&Mirrors>, arch: &str, apt_options: &[String]) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["--variant=minbase".into(), "--include=ca-certificates".into()];
    args.push(format!("--architectures={}", debian_architecture(arch)).into());
    args.push(format!("--keyring={KEYRINGS}").into());
    args.extend(apt_options.iter().map(|option| format!("--aptopt={option}").into()));
    for directory in ["man", "doc", "locale", "info", "lintian"] {
        args.push(format!("--dpkgopt=path-exclude=/usr/share/{directory}/*").into());
    }
    // Licences stay, as in the slim images of Debian.
    args.push("--dpkgopt=path-include=/usr/share/doc/*/copyright".into());
    // mmdebstrap copies hostname and resolvers of the host into the root, so that scripts reach the network.
    args.push(
        r#"--customize-hook=rm -f "$1/etc/resolv.conf" "$1/etc/hostname"; find "$1/var/log" "$1/var/cache" -type f -delete"#
            .into(),
    );
    args.push(SUITE.into());
    args.push(archive.into());
    // Without mirrors, mmdebstrap uses its defaults, updates and security included.
    if let Some(Mirrors { main, security }) = mirrors {
        args.push(format!("deb {main} {SUITE} main").into());
        args.push(format!("deb {main} {SUITE}-updates main").into());
        args.push(format!("deb {security} {SUITE}-security main").into());
    }
    args
}

/// The name that Debian has for an architecture.
fn debian_architecture(arch: &str) -> &str {
    match arch {
        "arm" => "armhf",
        "386" => "i386",
        "ppc64le" => "ppc64el",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ContainerGuard;
    use crate::engine::command::{ContainerSpec, CopyFrom, Run};
    use crate::engine::guard::{ImageGuard, unique_name};
    use crate::process::Runner;

    #[test]
    fn arguments_name_the_hosts_mirror_and_nothing_else_of_it() {
        let mirrors = Mirrors { main: "http://m/debian".into(), security: "http://s/debian-security".into() };
        let options = ["Acquire::Check-Date \"false\"".to_owned()];
        let args = bootstrap_args(Path::new("/t/base.tar"), Some(&mirrors), "amd64", &options);
        let args: Vec<&str> = args.iter().map(|arg| arg.to_str().unwrap()).collect();
        assert_eq!(
            args[args.len() - 5..],
            [
                "trixie",
                "/t/base.tar",
                "deb http://m/debian trixie main",
                "deb http://m/debian trixie-updates main",
                "deb http://s/debian-security trixie-security main",
            ]
        );
        assert!(args.contains(&"--architectures=amd64"));
        assert!(args.contains(&"--aptopt=Acquire::Check-Date \"false\""));
    }

    #[test]
    #[ignore = "needs a running engine, root, mmdebstrap and a Debian mirror"]
    fn the_image_is_made_and_holds_nothing_of_the_host() {
        let engine = crate::install::for_tests(&Runner::default());
        let guard = ImageGuard::new(&engine, &format!("{}:latest", unique_name("kubake/base-test")));
        let mut lines = Vec::new();
        bootstrap(&engine, guard.name(), "test", |line| lines.push(line.to_owned())).unwrap();
        assert!(!lines.is_empty());
        let image = engine.image(guard.name()).unwrap().unwrap();
        assert_eq!(image.labels[labels::STAGE], STAGE);
        assert!(image.labels[CREATED_LABEL].ends_with('Z'));
        assert!(image.size < 150_000_000, "{} bytes", image.size);
        // In a running container the engine mounts its own files here, so the files come from one that never ran.
        let created = ContainerGuard::create(&engine, ContainerSpec::new(guard.name())).unwrap();
        let directory = tempfile::tempdir().unwrap();
        for file in ["hostname", "resolv.conf"] {
            let target = directory.path().join(file);
            let source = format!("/etc/{file}");
            drop(engine.run(&CopyFrom { container: created.name().into(), source, target: target.clone() }));
            assert!(std::fs::metadata(target).map_or(0, |data| data.len()) == 0, "{file}");
        }
        let script = "set -e; . /etc/os-release; echo $VERSION_CODENAME; \
            find /var/lib/apt/lists /var/cache /var/log -type f ! -name lock; \
            find /usr/share/doc /usr/share/man /usr/share/locale -type f ! -name copyright ! -name locale.alias; \
            cut -d' ' -f3- /etc/apt/sources.list | grep .";
        let run = Run {
            spec: ContainerSpec {
                command: vec!["sh".into(), "-c".into(), script.into()],
                network: Some("none".into()),
                ..ContainerSpec::new(guard.name())
            },
            detach: false,
            remove: true,
        };
        insta::assert_snapshot!(engine.run_captured(&run).unwrap(), @r"
        trixie
        trixie main
        trixie-updates main
        trixie-security main
        ");
    }
}
