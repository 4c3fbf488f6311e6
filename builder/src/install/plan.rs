//! What apt has to install and from where; and its execution. Knows no daemon.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::Uid;

use super::apt::{self, Mirrors, OsRelease, Source};
use super::error::{ENGINE_PACKAGE, INSTALL_FAILED, InstallError, OLDEST};
use super::simulation::removals;
use crate::engine::TempFile;
use crate::process::{Call, Runner};

/// Debian's release from which an engine comes where the host's own is too old.
const NEWER_SUITE: &str = "trixie";
const SOURCES_FILE: &str = "/etc/apt/sources.list.d/kubake-engine.sources";
const PREFERENCES_FILE: &str = "/etc/apt/preferences.d/kubake-engine";
/// Preferred first: it holds the newer release's keys alone, and they are there where the common ring is older.
const KEYRINGS: [&str; 2] =
    ["/usr/share/keyrings/debian-archive-trixie-stable.gpg", "/usr/share/keyrings/debian-archive-keyring.gpg"];
/// What comes with it, where the release has it: Ubuntu and older Debian have the CLI in `docker.io` itself.
const COMPANIONS: [&str; 4] = ["docker-buildx", "docker-cli", "iptables", "mmdebstrap"];
const APT_TIMEOUT: Duration = Duration::from_secs(15 * 60);
const ASK_TIMEOUT: Duration = Duration::from_secs(60);

/// What has to be installed, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// Files to write first, so that apt knows the newer release.
    pub(crate) files: Vec<(PathBuf, String)>,
    /// The release to take packages from, if not the host's own.
    pub(crate) target_release: Option<&'static str>,
    pub(crate) packages: Vec<String>,
}

/// Decides what to install. `candidates` are the versions that apt would install now, `keyrings` the files of
/// [`KEYRINGS`] that exist.
///
/// # Errors
/// [`InstallError::Unsupported`], [`InstallError::TooOld`] or [`InstallError::NoKeyring`].
pub(super) fn plan(
    os: &OsRelease,
    sources: &[Source],
    candidates: &BTreeMap<String, String>,
    keyrings: &[&str],
) -> Result<Plan, InstallError> {
    let debian = os.id == "debian";
    if !debian && os.id != "ubuntu" && !os.id_like.iter().any(|like| like == "debian" || like == "ubuntu") {
        let name = if os.pretty_name.is_empty() { "an unknown system" } else { &os.pretty_name };
        return Err(InstallError::Unsupported { system: name.to_owned() });
    }
    let candidate = candidates.get(ENGINE_PACKAGE);
    if candidate.and_then(|version| apt::major(version)).is_some_and(|major| major >= OLDEST) {
        let companions = COMPANIONS.iter().filter(|package| candidates.contains_key(**package));
        let packages = [ENGINE_PACKAGE].iter().chain(companions).map(|package| (*package).to_owned()).collect();
        return Ok(Plan { files: Vec::new(), target_release: None, packages });
    }
    // Packages of Debian's next release fit a Debian; whether they fit a derivative is unknown.
    if !debian {
        let found = candidate.map_or_else(|| "no version".to_owned(), |version| format!("version {version}"));
        return Err(InstallError::TooOld { system: os.pretty_name.clone(), found });
    }
    let packages = [ENGINE_PACKAGE].iter().chain(&COMPANIONS).map(|package| (*package).to_owned()).collect();
    let mirror = Mirrors::of(sources).ok_or(InstallError::NoMirror)?.main;
    let known = sources.iter().any(|source| {
        source.suites.iter().any(|suite| suite == NEWER_SUITE)
            && source.uris.iter().any(|uri| uri.trim_end_matches('/') == mirror)
    });
    let mut files = Vec::new();
    if !known {
        let keyring = KEYRINGS.iter().find(|ring| keyrings.contains(ring)).ok_or(InstallError::NoKeyring)?;
        files.push((
            PREFERENCES_FILE.into(),
            // Below the 500 of the host's own release: nothing else comes from there, now or at an upgrade.
            format!("Package: *\nPin: release n={NEWER_SUITE}\nPin-Priority: 100\n"),
        ));
        files.push((
            SOURCES_FILE.into(),
            format!("Types: deb\nURIs: {mirror}\nSuites: {NEWER_SUITE}\nComponents: main\nSigned-By: {keyring}\n"),
        ));
    }
    Ok(Plan { files, target_release: Some(NEWER_SUITE), packages })
}

/// The calls of `apt-get` share these: no questions, and patience with another apt.
fn apt_get(args: &[&str]) -> Call {
    Call::new("apt-get")
        .args(["-o", "DPkg::Lock::Timeout=120", "-o", "APT::Get::Assume-Yes=true", "-q"])
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .timeout(APT_TIMEOUT)
}

/// `--no-remove` makes apt itself refuse, should something have changed since the simulation.
const FOR_REAL: &str = "--no-remove";
const SIMULATED: &str = "--simulate";

fn install_call(plan: &Plan, mode: &str) -> Call {
    let mut call = apt_get(&["install", mode, "--no-install-recommends"]);
    if let Some(release) = plan.target_release {
        call = call.args(["-t", release]);
    }
    call.args(&plan.packages)
}

fn policy(runner: &Runner) -> Result<BTreeMap<String, String>, InstallError> {
    let call = Call::new("apt-cache")
        .args(["policy", ENGINE_PACKAGE])
        .args(COMPANIONS)
        .env("LC_ALL", "C")
        .timeout(ASK_TIMEOUT);
    let text = runner
        .run_captured(call)
        .map_err(|source| InstallError::Command { what: "apt-cache does not answer", source })?;
    Ok(apt::parse_policy(&text))
}

/// Computes the plan for this host from what apt knows now.
///
/// # Errors
/// See [`InstallError`].
pub(super) fn plan_here(runner: &Runner) -> Result<Plan, InstallError> {
    let root = Path::new("/");
    let os = OsRelease::read(root).map_err(|_| InstallError::Unsupported { system: "an unknown system".to_owned() })?;
    let keyrings: Vec<&str> = KEYRINGS.into_iter().filter(|ring| Path::new(ring).exists()).collect();
    if which::which("apt-get").is_err() {
        return Err(InstallError::Unsupported { system: os.pretty_name });
    }
    plan(&os, &apt::read_sources(root), &policy(runner)?, &keyrings)
}

/// Refuses a plan by which apt would remove packages: `docker-cli` and `docker-ce-cli` exclude each other, for instance,
/// and the second belongs to an engine of the user's.
fn refuse_removals(runner: &Runner, plan: &Plan) -> Result<(), InstallError> {
    let output = runner
        .run_captured(install_call(plan, SIMULATED))
        .map_err(|source| InstallError::Command { what: "apt-get cannot install these packages", source })?;
    let removed = removals(&output);
    if removed.is_empty() {
        Ok(())
    } else {
        Err(InstallError::WouldRemove { packages: plan.packages.clone(), removed })
    }
}

/// Files written for apt; removed again unless the installation follows.
struct Written(Vec<PathBuf>);

impl Written {
    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        for path in &self.0 {
            if let Err(error) = fs::remove_file(path) {
                tracing::warn!("file `{}` is left over: {error}; remove it", path.display());
            }
        }
    }
}

/// Installs Debian's engine packages; apt's output goes to `on_line`. Removes no package.
///
/// # Errors
/// See [`InstallError`].
pub(super) fn install(runner: &Runner, mut on_line: impl FnMut(&str)) -> Result<(), InstallError> {
    if !Uid::effective().is_root() {
        return Err(InstallError::NotRoot { action: "install packages" });
    }
    let mut stream = |call: Call, what: &'static str| {
        runner
            .stream(call, |line| {
                on_line(line.text);
                ControlFlow::Continue(())
            })
            .map(drop)
            .map_err(|source| InstallError::Command { what, source })
    };
    stream(apt_get(&["update"]), "apt-get update failed")?;
    let plan = plan_here(runner)?;
    let mut for_apt = Written(Vec::new());
    for (path, text) in &plan.files {
        let file = TempFile::beside(path);
        let written = fs::write(file.path(), text).and_then(|()| file.persist().map(drop));
        written.map_err(|source| InstallError::File { action: "write", path: path.clone(), source })?;
        for_apt.0.push(path.clone());
    }
    if !plan.files.is_empty() {
        stream(apt_get(&["update"]), "apt-get update with Debian's newer release failed")?;
    }
    refuse_removals(runner, &plan)?;
    for_apt.keep();
    stream(install_call(&plan, FOR_REAL), INSTALL_FAILED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn debian() -> OsRelease {
        OsRelease { id: "debian".into(), pretty_name: "Debian GNU/Linux 12 (bookworm)".into(), ..OsRelease::default() }
    }

    fn candidates(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
    }

    #[test]
    fn a_release_with_a_new_engine_is_used_as_it_is() {
        let ubuntu = OsRelease { id: "ubuntu".into(), id_like: vec!["debian".into()], ..OsRelease::default() };
        let known =
            candidates(&[("docker.io", "24.0.7-0ubuntu2~22.04.1"), ("iptables", "1.8"), ("docker-buildx", "0.12")]);
        let plan = plan(&ubuntu, &[], &known, &[]).unwrap();
        assert_eq!(plan.packages, ["docker.io", "docker-buildx", "iptables"]);
        assert_eq!((plan.files.len(), plan.target_release), (0, None));
    }

    #[test]
    fn an_old_debian_takes_the_engine_from_the_next() {
        let sources = apt::parse_one_line("deb http://mirror.example/debian/ bookworm main\n");
        let old = candidates(&[("docker.io", "20.10.24+dfsg1-1+b3"), ("iptables", "1.8.9-2")]);
        let plan = plan(&debian(), &sources, &old, &[KEYRINGS[1], KEYRINGS[0]]).unwrap();
        assert_eq!(plan.target_release, Some("trixie"));
        assert_eq!(
            install_call(&plan, FOR_REAL).pasteable(),
            "DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 -o APT::Get::Assume-Yes=true -q install \
             --no-remove --no-install-recommends -t trixie docker.io docker-buildx docker-cli iptables mmdebstrap"
        );
        assert_eq!(plan.files[0].1, "Package: *\nPin: release n=trixie\nPin-Priority: 100\n");
        assert_eq!(
            plan.files[1].1,
            "Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie\nComponents: main\n\
             Signed-By: /usr/share/keyrings/debian-archive-trixie-stable.gpg\n"
        );
        // Done once, the release is known, and nothing is written again.
        let mut twice = sources;
        twice.extend(apt::parse_deb822(&plan.files[1].1));
        assert!(super::plan(&debian(), &twice, &old, &[]).unwrap().files.is_empty());
    }

    #[test]
    fn what_cannot_be_helped_is_said() {
        let fedora = OsRelease { id: "fedora".into(), pretty_name: "Fedora 43".into(), ..OsRelease::default() };
        let mint = OsRelease { id: "linuxmint".into(), id_like: vec!["ubuntu".into()], ..OsRelease::default() };
        let none = candidates(&[]);
        let error = plan(&fedora, &[], &none, &[]).unwrap_err();
        assert!(error.to_string().contains("this is Fedora 43"), "{error}");
        let error = plan(&mint, &[], &none, &[]).unwrap_err();
        assert!(error.to_string().contains("has no version of `docker.io`"), "{error}");
        assert!(matches!(plan(&debian(), &[], &none, &[]), Err(InstallError::NoMirror)));
        let sources = apt::parse_one_line("deb http://mirror.example/debian bookworm main\n");
        assert!(matches!(plan(&debian(), &sources, &none, &[]), Err(InstallError::NoKeyring)));
    }

    #[test]
    #[ignore = "needs root, and Debian or Ubuntu"]
    fn the_plan_of_this_host() {
        crate::install::for_tests(&Runner::default());
        let plan = plan_here(&Runner::default()).unwrap();
        assert!(plan.packages.contains(&"docker.io".to_owned()), "{plan:?}");
    }
}
