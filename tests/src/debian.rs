//! Images with Debian's packages in them, built on the Debian that the tested image was built on. Nothing is pulled for
//! them and nothing installed on this host.

use std::time::Duration;

use anyhow::{Context, Result};
use kubake_contract::proxies::UNDERSTOOD;

use crate::lab::{self, Lab};
use crate::{engine, process};

/// A few packages and what they need, from a mirror.
const PATIENCE: Duration = Duration::from_secs(600);
/// What `kubake bake` builds on: what it made itself, or what it pulled (`builder/src/base_image`).
const BASES: [&str; 2] = ["kubake/base:trixie", "debian:trixie-slim"];

/// Builds an image by a Dockerfile whose `FROM` is a bare Debian; that line is not in `dockerfile`.
///
/// # Errors
/// When the build fails, most likely because packages cannot be had.
pub fn build(lab: &Lab, name: &str, dockerfile: &str) -> Result<()> {
    build_with(lab, name, dockerfile, &[])
}

/// The same with files beside the Dockerfile, by name and content.
///
/// # Errors
/// As [`build`].
pub fn build_with(lab: &Lab, name: &str, dockerfile: &str, files: &[(&str, &str)]) -> Result<()> {
    lab.image()?;
    let base = BASES.into_iter().find(|base| engine::run(["image", "inspect", base]).is_ok());
    let base = base.with_context(|| format!("the bake left none of {}", BASES.join(", ")))?;
    build_from(lab, base, name, dockerfile, files)
}

/// The same on an image of the caller's choice.
///
/// # Errors
/// As [`build`].
pub fn build_on(lab: &Lab, base: &str, name: &str, dockerfile: &str) -> Result<()> {
    build_from(lab, base, name, dockerfile, &[])
}

fn build_from(lab: &Lab, base: &str, name: &str, dockerfile: &str, files: &[(&str, &str)]) -> Result<()> {
    let directory = lab.directory()?;
    for (name, content) in files {
        lab::write(&directory.path().join(name), content)?;
    }
    lab::write(&directory.path().join("Dockerfile"), format!("FROM {base}\n{dockerfile}"))?;
    let mut command = engine::docker(["build", "--tag", name]);
    // Those of the host that builds: packages may be reached through a proxy only.
    for name in UNDERSTOOD.as_flattened().iter().filter(|name| std::env::var_os(name).is_some()) {
        // Without a value it is the one of the environment, which belongs into no message.
        command.args(["--build-arg", name]);
    }
    command.arg(directory.path());
    process::run(&mut command, PATIENCE)?.success().with_context(|| format!("build the image `{name}`"))?;
    Ok(())
}
