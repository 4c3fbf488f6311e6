//! Builds of images.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::Args;
use super::engine_command::EngineCommand;

/// How a build is done: decided by what is installed ([`super::Engine::builder`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Builder {
    /// `docker buildx build`.
    Buildx,
    /// `docker build` of a CLI before 23, which has BuildKit built in.
    BuiltIn,
    Podman,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Build {
    pub(crate) builder: Builder,
    /// The instance of buildx. The one of the engine itself sees the engine's images, one in a container does not.
    pub(crate) instance: Option<String>,
    /// The context directory.
    pub(crate) context: PathBuf,
    /// The Dockerfile, if it is not the context's.
    pub(crate) dockerfile: Option<PathBuf>,
    /// The stage to build.
    pub(crate) target: Option<String>,
    /// Names of the result.
    pub(crate) tags: Vec<String>,
    /// A file for the result as a tar of its files; none makes an image of it.
    pub(crate) tree: Option<PathBuf>,
    pub(crate) args: Vec<(String, String)>,
    /// Build arguments whose values the engine's program takes from its environment, because they may hold a password.
    pub(crate) args_of_environment: Vec<String>,
    /// Build arguments whose values may hold a password; the engine's program gets them through its environment.
    pub(crate) secret_args: Vec<(String, String)>,
    /// Secrets: id and source.
    pub(crate) secrets: Vec<(String, PathBuf)>,
    /// Labels of the result.
    pub(crate) labels: Vec<(String, String)>,
    /// More named contexts: name and source.
    pub(crate) contexts: Vec<(String, String)>,
    /// Network of `RUN` steps, such as `host`.
    pub(crate) network: Option<String>,
    /// Platform, such as `linux/arm64`.
    pub(crate) platform: Option<String>,
    /// Ignore the cache.
    pub(crate) no_cache: bool,
}

impl Build {
    /// A build of the context's Dockerfile with nothing else said.
    #[must_use]
    pub(crate) fn new(builder: Builder, context: impl Into<PathBuf>) -> Self {
        Self {
            builder,
            instance: None,
            context: context.into(),
            dockerfile: None,
            target: None,
            tags: Vec::new(),
            tree: None,
            args: Vec::new(),
            args_of_environment: Vec::new(),
            secret_args: Vec::new(),
            secrets: Vec::new(),
            labels: Vec::new(),
            contexts: Vec::new(),
            network: None,
            platform: None,
            no_cache: false,
        }
    }
}

/// Two fields of a line of CSV, as engines parse them: a path may hold commas.
fn pairs(first: &str, key: &str, path: &Path) -> OsString {
    let text = path.to_string_lossy();
    if text.contains([',', '"']) {
        return format!("{first},\"{key}{}\"", text.replace('"', "\"\"")).into();
    }
    let mut value = OsString::from(format!("{first},{key}"));
    value.push(path);
    value
}

impl EngineCommand for Build {
    fn args(&self) -> Vec<OsString> {
        let secrets = self.secrets.iter().map(|(id, path)| pairs(&format!("id={id}"), "src=", path));
        let start = match self.builder {
            Builder::Buildx if self.tree.is_some() => Args::of(&["buildx", "build"]),
            // `--load`: a builder with the container driver would otherwise keep the result to itself.
            Builder::Buildx => Args::of(&["buildx", "build", "--load"]),
            Builder::BuiltIn | Builder::Podman => Args::of(&["build"]),
        };
        let progress = (self.builder != Builder::Podman).then_some("plain");
        let tree = self.tree.as_ref().map(|path| pairs("type=tar", "dest=", path));
        start
            .option("--builder", self.instance.as_ref().filter(|_| self.builder == Builder::Buildx))
            .option("--output", tree)
            .option("--progress", progress)
            .option("--file", self.dockerfile.as_ref())
            .option("--target", self.target.as_ref())
            .option("--platform", self.platform.as_ref())
            .option("--network", self.network.as_ref())
            .each("--tag", &self.tags)
            .pairs("--label", &self.labels)
            .pairs("--build-arg", &self.args)
            .each("--build-arg", &self.args_of_environment)
            .each("--build-arg", self.secret_args.iter().map(|(name, _)| name))
            .pairs("--build-context", &self.contexts)
            .each("--secret", secrets)
            .flag("--no-cache", self.no_cache)
            .word(&self.context)
            .0
    }

    fn env(&self) -> Vec<(OsString, OsString)> {
        match self.builder {
            Builder::BuiltIn => vec![("DOCKER_BUILDKIT".into(), "1".into())],
            Builder::Buildx | Builder::Podman => Vec::new(),
        }
    }

    fn secret_env(&self) -> Vec<(OsString, OsString)> {
        self.secret_args.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    fn timeout(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_commas_are_one_field() {
        assert_eq!(pairs("id=ca", "src=", Path::new("/a b/ca.pem")), "id=ca,src=/a b/ca.pem");
        assert_eq!(pairs("id=ca", "src=", Path::new("/a,b/c\"d")), "id=ca,\"src=/a,b/c\"\"d\"");
    }
}
