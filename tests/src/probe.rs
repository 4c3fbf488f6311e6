//! Container images without a registry: from nothing but the probe program (`src/bin/kubake-e2e-probe.rs`) and the few
//! libraries that it needs, taken from this host. Built with a user's own `docker build`, through any Docker API.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::{engine, lab, process};

const BUILD_PATIENCE: Duration = Duration::from_secs(180);

/// What is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipe {
    /// The program and a file `/version` with this text.
    Plain(&'static str),
    /// As `Plain`, and further layers in which the program ran: one that makes `/made` and `/gone`, and one that deletes
    /// `/gone` and replaces the directory of `/replaced/old` by one with `/replaced/new`. The last holds a whiteout and an
    /// opaque directory, which is what a baked store cannot hold as it is.
    WithDeletedFile(&'static str),
}

/// Builds an image; `docker_host` names another engine than the host's.
///
/// # Errors
/// When the build fails.
pub fn build(program: &Path, name: &str, recipe: Recipe, docker_host: Option<&str>) -> Result<()> {
    build_context(&context(program, recipe)?, name, docker_host)
}

/// Builds an image with another program beside the probe, `/NAME` as it is called on this host. It must not need
/// libraries.
///
/// # Errors
/// When the build fails.
pub fn build_with(program: &Path, beside: &Path, name: &str, docker_host: Option<&str>) -> Result<()> {
    let context = context(program, Recipe::Plain("1"))?;
    let called = beside.file_name().with_context(|| format!("`{}` has no name", beside.display()))?;
    copy(beside, &context.path().join("root").join(called))?;
    build_context(&context, name, docker_host)
}

fn build_context(context: &tempfile::TempDir, name: &str, docker_host: Option<&str>) -> Result<()> {
    let mut command = engine::docker(["build", "--tag", name]);
    command.arg(context.path());
    if let Some(host) = docker_host {
        command.env("DOCKER_HOST", host).env_remove("DOCKER_CONTEXT");
    }
    process::run(&mut command, BUILD_PATIENCE)?.success().with_context(|| format!("build the image `{name}`"))?;
    Ok(())
}

/// What an image is built from: a directory for `docker build`.
///
/// # Errors
/// When it cannot be made.
pub fn context(program: &Path, recipe: Recipe) -> Result<tempfile::TempDir> {
    let directory = tempfile::Builder::new().prefix("kubake-e2e-").tempdir().context("cannot make a directory")?;
    let root = directory.path().join("root");
    copy(program, &root.join("probe"))?;
    for library in libraries(program)? {
        let target =
            root.join(library.strip_prefix("/").with_context(|| format!("{} is relative", library.display()))?);
        copy(&library, &target)?;
    }
    let (version, deletes) = match recipe {
        Recipe::Plain(version) => (version, false),
        Recipe::WithDeletedFile(version) => (version, true),
    };
    lab::write(&root.join("version"), version)?;
    let mut dockerfile = "FROM scratch\nCOPY root /\nENTRYPOINT [\"/probe\"]\n".to_owned();
    if deletes {
        dockerfile.push_str(
            "RUN [\"/probe\", \"write\", \"/gone\", \"x\"]\nRUN [\"/probe\", \"write\", \"/replaced/old\", \"x\"]\nRUN [\"/probe\", \"write\", \"/made\", \"by RUN\"]\n",
        );
        dockerfile.push_str("RUN [\"/probe\", \"remove\", \"/gone\"]\n");
        dockerfile.push_str("RUN [\"/probe\", \"renew\", \"/replaced/new\", \"by RUN\"]\n");
    }
    lab::write(&directory.path().join("Dockerfile"), dockerfile)?;
    Ok(directory)
}

fn copy(source: &Path, target: &Path) -> Result<()> {
    let content = fs::read(source).with_context(|| format!("cannot read `{}`", source.display()))?;
    lab::write(target, content)?;
    fs::set_permissions(target, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make `{}` executable", target.display()))
}

/// What the program is linked against, with the loader, each under the path at which it is looked for.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let mut command = Command::new("ldd");
    command.arg(program);
    let listing = process::run(&mut command, Duration::from_secs(20))?.success()?;
    let found = parse_libraries(&listing);
    ensure!(!found.is_empty(), "`ldd {}` names no library: {listing}", program.display());
    Ok(found)
}

fn parse_libraries(listing: &str) -> Vec<PathBuf> {
    listing
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_found_and_the_kernels_own_is_not() {
        let listing = "\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x2)\n\t/lib64/ld-linux.so.2 (0x3)\n";
        assert_eq!(parse_libraries(listing), [Path::new("/lib/x/libc.so.6"), Path::new("/lib64/ld-linux.so.2")]);
    }
}
