//! Owns the base image of the appliance: taken from the engine, from a registry, or, where no registry serves it,
//! made from Debian's packages with mmdebstrap. It never builds anything on top of it.

use std::ffi::OsString;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kubake_init::contract::labels;
use thiserror::Error;

use crate::advice::Advice;
use crate::engine::apt::{self, Mirrors};
use crate::engine::command::{Import, Pull};
use crate::engine::run::{Call, RunError};
use crate::engine::{Engine, Stream};

/// What the Dockerfile builds on where nothing else is said.
pub const PUBLISHED: &str = "debian:trixie-slim";
/// The name of the image that we make.
pub const MADE: &str = "kubake/base:trixie";
/// Value of the stage label of that image.
pub const STAGE: &str = "base";
/// The label that says when it was made.
pub const CREATED_LABEL: &str = "org.opencontainers.image.created";

const SUITE: &str = "trixie";
const KEYRINGS: &str = "/usr/share/keyrings";
/// A registry that serves the image does so in seconds (30 MB); one that is not reachable must not cost minutes.
const PULL_TIMEOUT: Duration = Duration::from_secs(90);
const BOOTSTRAP_TIMEOUT: Duration = Duration::from_secs(20 * 60);

/// Why there is no base image.
#[derive(Debug, Error)]
pub enum BaseImageError {
    /// No registry, and no tool to do without.
    #[error(
        "`{PUBLISHED}` cannot be pulled ({reason}) and mmdebstrap, which would make it, is not installed; install mmdebstrap, or name an image with --base-image"
    )]
    NoMmdebstrap {
        /// Why it cannot be pulled.
        reason: String,
    },
    /// The image that the user named is not to be had.
    #[error("base image `{image}` is neither here nor in a registry; correct --base-image")]
    NotAvailable {
        /// Its name.
        image: String,
        /// Why.
        #[source]
        source: RunError,
    },
    /// mmdebstrap failed.
    #[error("make a base image from the packages of {mirror}; check that the mirror serves {SUITE}")]
    Bootstrap {
        /// The mirror.
        mirror: String,
        /// Why.
        #[source]
        source: RunError,
    },
    /// No place for the archive.
    #[error("make a temporary directory below `{}`; free space there or set TMPDIR", .path.display())]
    Temporary {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The engine did not do what it was asked to.
    #[error("put the base image `{image}` into the engine")]
    Engine {
        /// Its name.
        image: String,
        /// Why.
        #[source]
        source: RunError,
    },
}

impl Advice for BaseImageError {
    fn cause(&self) -> Option<&dyn Advice> {
        match self {
            Self::NotAvailable { source, .. } | Self::Bootstrap { source, .. } | Self::Engine { source, .. } => {
                Some(source)
            }
            Self::NoMmdebstrap { .. } | Self::Temporary { .. } => None,
        }
    }
}

/// The setting `--base-image`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BaseImage {
    /// `auto`: what is here, else the published one, else made.
    #[default]
    Auto,
    /// `mmdebstrap`: made.
    Mmdebstrap,
    /// This one, whatever it is.
    Named(String),
}

impl FromStr for BaseImage {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "" | "auto" => Self::Auto,
            "mmdebstrap" => Self::Mmdebstrap,
            name => Self::Named(name.to_owned()),
        })
    }
}

/// Sees to it that the engine has a base image and returns its name. `report` gets a line now and then.
///
/// # Errors
/// See [`BaseImageError`].
pub fn ensure(engine: &Engine, choice: &BaseImage, mut report: impl FnMut(&str)) -> Result<String, BaseImageError> {
    let present = |image: &str| {
        let found = engine.image(image).map_err(|source| BaseImageError::Engine { image: image.to_owned(), source })?;
        Ok::<_, BaseImageError>(found.is_some())
    };
    let pull = |image: &str| engine.run(&Pull { image: image.to_owned(), timeout: Some(PULL_TIMEOUT) });
    match choice {
        BaseImage::Named(image) => {
            if !present(image)? {
                report(&format!("pulling {image}"));
                let unbounded = Pull { image: image.clone(), timeout: None };
                engine
                    .run(&unbounded)
                    .map_err(|source| BaseImageError::NotAvailable { image: image.clone(), source })?;
            }
            Ok(image.clone())
        }
        BaseImage::Mmdebstrap if present(MADE)? => Ok(MADE.to_owned()),
        BaseImage::Mmdebstrap => make(engine, MADE, "it was not tried", report),
        BaseImage::Auto => {
            // The one we made comes second, but before another try to pull: where it is, no registry answered.
            for image in [PUBLISHED, MADE] {
                if present(image)? {
                    return Ok(image.to_owned());
                }
            }
            report(&format!("pulling {PUBLISHED}"));
            match pull(PUBLISHED) {
                Ok(()) => Ok(PUBLISHED.to_owned()),
                Err(source) if source.is_interrupted() => {
                    Err(BaseImageError::Engine { image: PUBLISHED.to_owned(), source })
                }
                Err(error) => {
                    let reason = match error.stderr().lines().last() {
                        Some(line) => line.to_owned(),
                        None => error.to_string(),
                    };
                    report(&format!("no registry serves {PUBLISHED} ({reason}); making {MADE} from Debian's packages"));
                    make(engine, MADE, &reason, report)
                }
            }
        }
    }
}

fn make(engine: &Engine, name: &str, reason: &str, mut report: impl FnMut(&str)) -> Result<String, BaseImageError> {
    if which::which("mmdebstrap").is_err() {
        return Err(BaseImageError::NoMmdebstrap { reason: reason.to_owned() });
    }
    // A file and not a pipe into the engine: the engine would make an image of whatever came before a failure.
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
        // Nothing of our locale must find its way into what the packages' scripts write.
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

    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let import = Import {
        archive,
        name: name.to_owned(),
        changes: vec![
            r#"CMD ["bash"]"#.to_owned(),
            format!("LABEL {}={STAGE}", labels::STAGE),
            format!("LABEL {CREATED_LABEL}={}", rfc3339(created)),
        ],
        message: Some(format!("debian {SUITE} by mmdebstrap")),
    };
    engine.run(&import).map_err(|source| BaseImageError::Engine { image: name.to_owned(), source })?;
    Ok(name.to_owned())
}

/// apt options that the host has for its mirror's sake: a mirror that is a snapshot is out of date by its own word.
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

/// The arguments that make the archive. The image holds no package lists and nothing of this host but the mirror's
/// address, and what apt must know of it, in its sources.
fn bootstrap_args(archive: &Path, mirrors: Option<&Mirrors>, arch: &str, apt_options: &[String]) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["--variant=minbase".into(), "--include=ca-certificates".into()];
    args.push(format!("--architectures={}", debian_arch(arch)).into());
    args.push(format!("--keyring={KEYRINGS}").into());
    args.extend(apt_options.iter().map(|option| format!("--aptopt={option}").into()));
    for directory in ["man", "doc", "locale", "info", "lintian"] {
        args.push(format!("--dpkgopt=path-exclude=/usr/share/{directory}/*").into());
    }
    // Licences stay, as in Debian's own slim images.
    args.push("--dpkgopt=path-include=/usr/share/doc/*/copyright".into());
    // mmdebstrap copies the host's name and resolvers into the root so that scripts find the network.
    args.push(
        r#"--customize-hook=rm -f "$1/etc/resolv.conf" "$1/etc/hostname"; find "$1/var/log" "$1/var/cache" -type f -delete"#
            .into(),
    );
    args.push(SUITE.into());
    args.push(archive.into());
    // Without any, mmdebstrap takes its own, updates and security included.
    if let Some(Mirrors { main, security }) = mirrors {
        args.push(format!("deb {main} {SUITE} main").into());
        args.push(format!("deb {main} {SUITE}-updates main").into());
        args.push(format!("deb {security} {SUITE}-security main").into());
    }
    args
}

/// An architecture's name in Debian's words.
fn debian_arch(arch: &str) -> &str {
    match arch {
        "arm" => "armhf",
        "386" => "i386",
        "ppc64le" => "ppc64el",
        other => other,
    }
}

/// Seconds since 1970 as `2026-11-22T09:30:00Z`.
fn rfc3339(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March make the leap day the last one (Howard Hinnant's civil_from_days).
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest % 3_600 / 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The base image for tests that were asked for (`--include-ignored`): made if need be, by one of them.
#[cfg(test)]
pub(crate) fn for_tests(engine: &Engine) -> String {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    ensure(engine, &BaseImage::Auto, |line| tracing::info!("{line}")).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Runner;
    use crate::engine::command::{ContainerSpec, CopyFrom, Run};
    use crate::engine::guard::{ImageGuard, unique_name};

    #[test]
    fn dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_795_339_800, "2026-11-22T09:30:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
        }
    }

    #[test]
    fn choices() {
        for (text, choice) in [
            ("auto", BaseImage::Auto),
            ("mmdebstrap", BaseImage::Mmdebstrap),
            ("debian:sid", BaseImage::Named("debian:sid".to_owned())),
        ] {
            assert_eq!(text.parse::<BaseImage>().unwrap(), choice);
        }
    }

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
        let engine = crate::engine::install::for_tests(&Runner::default());
        let guard = ImageGuard::new(&engine, &format!("{}:latest", unique_name("kubake/base-test")));
        let mut lines = Vec::new();
        make(&engine, guard.name(), "test", |line| lines.push(line.to_owned())).unwrap();
        assert!(!lines.is_empty());
        let image = engine.image(guard.name()).unwrap().unwrap();
        assert_eq!(image.labels[labels::STAGE], STAGE);
        assert!(image.labels[CREATED_LABEL].ends_with('Z'));
        assert!(image.size < 150_000_000, "{} bytes", image.size);
        // The engine lays its own files over these in a running container, so one that never ran is asked.
        let created = engine.create(ContainerSpec::new(guard.name())).unwrap();
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
