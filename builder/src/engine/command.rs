//! Owns the engine's command line: every command that `kubake` uses as a value that turns into arguments. It never
//! runs anything, and knows nothing of clusters.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Bound for commands that only ask or that change a little.
const QUICK: Duration = Duration::from_secs(60);
/// Bound for commands that remove or stop something on a machine that may be busy.
const SLOW: Duration = Duration::from_secs(300);

/// A command of the engine's CLI.
pub trait EngineCommand {
    /// The arguments after the program's name.
    fn args(&self) -> Vec<OsString>;

    /// Variables that the command line shows.
    fn env(&self) -> Vec<(OsString, OsString)> {
        Vec::new()
    }

    /// Variables that the command line does not show.
    fn secret_env(&self) -> Vec<(OsString, OsString)> {
        Vec::new()
    }

    /// How long it may take.
    fn timeout(&self) -> Option<Duration> {
        Some(QUICK)
    }
}

/// Collects arguments; keeps the `args` functions below in the order in which one reads the command.
#[derive(Debug, Default)]
struct Args(Vec<OsString>);

impl Args {
    fn of(words: &[&str]) -> Self {
        Self(words.iter().map(OsString::from).collect())
    }

    fn word(mut self, word: impl Into<OsString>) -> Self {
        self.0.push(word.into());
        self
    }

    fn words(mut self, words: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.0.extend(words.into_iter().map(Into::into));
        self
    }

    fn flag(self, name: &str, set: bool) -> Self {
        if set { self.word(name) } else { self }
    }

    fn option(self, name: &str, value: Option<impl Into<OsString>>) -> Self {
        match value {
            Some(value) => self.word(name).word(value),
            None => self,
        }
    }

    fn each(mut self, name: &str, values: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        for value in values {
            self = self.word(name).word(value);
        }
        self
    }

    fn pairs(self, name: &str, pairs: &[(String, String)]) -> Self {
        self.each(name, pairs.iter().map(|(key, value)| format!("{key}={value}")))
    }

    fn filters(self, filters: &[Filter]) -> Self {
        self.each("--filter", filters.iter().map(Filter::to_string))
    }
}

/// Which objects a list holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Those that have a label.
    Label(String),
    /// Those that have a label with a value.
    LabelIs(String, String),
    /// Containers and volumes whose name holds this text.
    Name(String),
    /// Images whose name matches this pattern, such as `kubake/*`.
    Reference(String),
}

impl std::fmt::Display for Filter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Label(key) => write!(formatter, "label={key}"),
            Self::LabelIs(key, value) => write!(formatter, "label={key}={value}"),
            Self::Name(name) => write!(formatter, "name={name}"),
            Self::Reference(pattern) => write!(formatter, "reference={pattern}"),
        }
    }
}

/// `info`: what the engine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Info;

impl EngineCommand for Info {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["info", "--format", "{{json .}}"]).0
    }

    fn timeout(&self) -> Option<Duration> {
        // Longer than the CLI's own attempts at a remote engine, shorter than a person's patience.
        Some(Duration::from_secs(30))
    }
}

/// `version`: the versions of both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Version;

impl EngineCommand for Version {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["version", "--format", "{{json .}}"]).0
    }

    fn timeout(&self) -> Option<Duration> {
        Some(Duration::from_secs(30))
    }
}

/// `context inspect`: which engine the CLI talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ContextInspect;

impl EngineCommand for ContextInspect {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]).0
    }
}

/// `image inspect`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageInspect {
    /// Names or ids.
    pub images: Vec<String>,
}

impl EngineCommand for ImageInspect {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["image", "inspect"]).words(&self.images).0
    }
}

/// `image ls`, one full id a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageList {
    /// Which.
    pub filters: Vec<Filter>,
}

impl EngineCommand for ImageList {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["image", "ls", "--quiet", "--no-trunc"]).filters(&self.filters).0
    }
}

/// `tag`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// What gets a name.
    pub image: String,
    /// The name.
    pub name: String,
}

impl EngineCommand for Tag {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["tag"]).word(&self.image).word(&self.name).0
    }
}

/// `rmi`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoveImage {
    /// Names or ids.
    pub images: Vec<String>,
    /// Also if it has other names, or a stopped container uses it.
    pub force: bool,
}

impl EngineCommand for RemoveImage {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["image", "rm"]).flag("--force", self.force).words(&self.images).0
    }

    fn timeout(&self) -> Option<Duration> {
        Some(SLOW)
    }
}

/// `import`: an archive of a root file system becomes an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The archive; `-` is stdin.
    pub archive: PathBuf,
    /// The image's name.
    pub name: String,
    /// `Dockerfile` instructions such as `CMD ["bash"]`.
    pub changes: Vec<String>,
    /// The history's remark.
    pub message: Option<String>,
}

impl EngineCommand for Import {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["import"])
            .each("--change", &self.changes)
            .option("--message", self.message.as_ref())
            .word(&self.archive)
            .word(&self.name)
            .0
    }

    fn timeout(&self) -> Option<Duration> {
        Some(Duration::from_secs(900))
    }
}

/// `load`: the images of an archive that `save` wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// The archive.
    pub archive: PathBuf,
}

impl EngineCommand for Load {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["load", "--input"]).word(&self.archive).0
    }

    fn timeout(&self) -> Option<Duration> {
        None
    }
}

/// `save`: images into an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Save {
    /// The archive.
    pub output: PathBuf,
    /// Names.
    pub images: Vec<String>,
}

impl EngineCommand for Save {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["save", "--output"]).word(&self.output).words(&self.images).0
    }

    fn timeout(&self) -> Option<Duration> {
        None
    }
}

/// `push`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// Name.
    pub image: String,
}

impl EngineCommand for Push {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["push", "--quiet"]).word(&self.image).0
    }

    fn timeout(&self) -> Option<Duration> {
        None
    }
}

/// `pull`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// Name.
    pub image: String,
    /// Bound; `None` waits for as long as the registry sends.
    pub timeout: Option<Duration>,
}

impl EngineCommand for Pull {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["pull", "--quiet"]).word(&self.image).0
    }

    fn timeout(&self) -> Option<Duration> {
        self.timeout
    }
}

/// How a build is done: decided by what is installed ([`super::Engine::builder`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Builder {
    /// `docker buildx build`.
    Buildx,
    /// `docker build` of a CLI before 23, which has BuildKit built in.
    BuiltIn,
    /// `podman build`.
    Podman,
}

/// How a build reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProgressMode {
    /// Lines for people, on stderr.
    #[default]
    Plain,
    /// One JSON object a line, on stderr; needs buildx 0.13.
    RawJson,
}

/// Where a build's secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file.
    File(PathBuf),
    /// A variable of our own environment.
    Env(String),
}

/// `build`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// How.
    pub builder: Builder,
    /// The context directory.
    pub context: PathBuf,
    /// The Dockerfile, if it is not the context's.
    pub dockerfile: Option<PathBuf>,
    /// The stage to build.
    pub target: Option<String>,
    /// Names of the result.
    pub tags: Vec<String>,
    /// A file for the result as a tar of its files; none makes an image of it.
    pub tree: Option<PathBuf>,
    /// Build arguments.
    pub args: Vec<(String, String)>,
    /// Build arguments whose values the engine's program takes from its environment, because they may hold a password.
    pub args_of_environment: Vec<String>,
    /// Secrets: id and source.
    pub secrets: Vec<(String, SecretSource)>,
    /// Labels of the result.
    pub labels: Vec<(String, String)>,
    /// More named contexts: name and source.
    pub contexts: Vec<(String, String)>,
    /// Network of `RUN` steps, such as `host`.
    pub network: Option<String>,
    /// Platform, such as `linux/arm64`.
    pub platform: Option<String>,
    /// How it reports.
    pub progress: ProgressMode,
    /// Ignore the cache.
    pub no_cache: bool,
}

impl Build {
    /// A build of the context's Dockerfile with nothing else said.
    #[must_use]
    pub fn new(builder: Builder, context: impl Into<PathBuf>) -> Self {
        Self {
            builder,
            context: context.into(),
            dockerfile: None,
            target: None,
            tags: Vec::new(),
            tree: None,
            args: Vec::new(),
            args_of_environment: Vec::new(),
            secrets: Vec::new(),
            labels: Vec::new(),
            contexts: Vec::new(),
            network: None,
            platform: None,
            progress: ProgressMode::Plain,
            no_cache: false,
        }
    }
}

impl EngineCommand for Build {
    fn args(&self) -> Vec<OsString> {
        let secrets = self.secrets.iter().map(|(id, source)| match source {
            SecretSource::File(path) => {
                let mut value = OsString::from(format!("id={id},src="));
                value.push(path);
                value
            }
            SecretSource::Env(name) => OsString::from(format!("id={id},env={name}")),
        });
        let start = match self.builder {
            Builder::Buildx if self.tree.is_some() => Args::of(&["buildx", "build"]),
            // `--load`: a builder with the container driver would otherwise keep the result to itself.
            Builder::Buildx => Args::of(&["buildx", "build", "--load"]),
            Builder::BuiltIn | Builder::Podman => Args::of(&["build"]),
        };
        let progress = match (self.builder, self.progress) {
            (Builder::Podman, _) => None,
            (Builder::Buildx, ProgressMode::RawJson) => Some("rawjson"),
            (Builder::BuiltIn, _) | (Builder::Buildx, ProgressMode::Plain) => Some("plain"),
        };
        let tree = self.tree.as_ref().map(|path| {
            let mut value = OsString::from("type=tar,dest=");
            value.push(path);
            value
        });
        start
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

    fn timeout(&self) -> Option<Duration> {
        None
    }
}

/// A port of a container that the host shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish {
    /// The host's address; `None` is every one.
    pub host_ip: Option<IpAddr>,
    /// The host's port; `None` lets the engine choose a free one.
    pub host_port: Option<u16>,
    /// The container's port (TCP).
    pub container_port: u16,
}

impl std::fmt::Display for Publish {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host_ip {
            Some(IpAddr::V6(ip)) => write!(formatter, "[{ip}]:")?,
            Some(IpAddr::V4(ip)) => write!(formatter, "{ip}:")?,
            None => {}
        }
        match self.host_port {
            Some(port) => write!(formatter, "{port}:")?,
            None if self.host_ip.is_some() => write!(formatter, ":")?,
            None => {}
        }
        write!(formatter, "{}", self.container_port)
    }
}

/// A file system in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mount {
    /// A volume of its own, which goes with the container.
    Anonymous {
        /// Where.
        target: String,
    },
    /// A named volume.
    Volume {
        /// Its name.
        name: String,
        /// Where.
        target: String,
    },
    /// A file or directory of the engine's machine; it must exist.
    Bind {
        /// What.
        source: PathBuf,
        /// Where.
        target: String,
        /// Whether the container must not change it.
        read_only: bool,
    },
    /// Memory.
    Tmpfs {
        /// Where.
        target: String,
        /// Mount options such as `size=64m,exec`.
        options: Option<String>,
    },
}

impl Mount {
    fn args(&self) -> [OsString; 2] {
        match self {
            Self::Anonymous { target } => ["--volume".into(), target.into()],
            Self::Volume { name, target } => ["--volume".into(), format!("{name}:{target}").into()],
            // `--mount` and not `--volume`: the latter creates a directory where the source is missing.
            Self::Bind { source, target, read_only } => {
                let mut value = OsString::from("type=bind,");
                value.push(csv_field(&format!("source={}", source.display())));
                value.push(",");
                value.push(csv_field(&format!("target={target}")));
                if *read_only {
                    value.push(",readonly");
                }
                ["--mount".into(), value]
            }
            Self::Tmpfs { target, options: None } => ["--tmpfs".into(), target.into()],
            Self::Tmpfs { target, options: Some(options) } => ["--tmpfs".into(), format!("{target}:{options}").into()],
        }
    }
}

/// The engine reads `--mount` as a line of CSV.
fn csv_field(field: &str) -> String {
    if field.contains([',', '"', '\n']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.to_owned() }
}

/// What a container is made from and with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerSpec {
    /// The image.
    pub image: String,
    /// The container's name; the engine invents one where there is none.
    pub name: Option<String>,
    /// Arguments after the image.
    pub command: Vec<String>,
    /// Instead of the image's entrypoint: the program. Its arguments go to `command`.
    pub entrypoint: Option<String>,
    /// All capabilities and devices.
    pub privileged: bool,
    /// Variables.
    pub env: Vec<(String, String)>,
    /// Variables whose values do not appear on any command line.
    pub secret_env: Vec<(String, String)>,
    /// Labels.
    pub labels: Vec<(String, String)>,
    /// Published ports.
    pub ports: Vec<Publish>,
    /// File systems.
    pub mounts: Vec<Mount>,
    /// Network; the engine's default where there is none.
    pub network: Option<String>,
    /// Host name.
    pub hostname: Option<String>,
    /// `private` or `host`.
    pub cgroupns: Option<String>,
    /// Seconds between SIGTERM and SIGKILL when it is stopped.
    pub stop_timeout: Option<u32>,
    /// `no`, `always`, `unless-stopped`, `on-failure[:N]`.
    pub restart: Option<String>,
    /// Bound of memory, such as `4g`.
    pub memory: Option<String>,
    /// Bound of CPUs, such as `2`.
    pub cpus: Option<String>,
    /// Keep stdin open.
    pub interactive: bool,
    /// Allocate a terminal.
    pub tty: bool,
    /// `never` makes a missing image an error instead of a pull.
    pub pull: Option<String>,
    /// Options that `kubake` does not know, passed on as they are.
    pub extra: Vec<String>,
}

impl ContainerSpec {
    /// A container of an image with nothing else said.
    #[must_use]
    pub fn new(image: impl Into<String>) -> Self {
        Self { image: image.into(), ..Self::default() }
    }

    fn add_to(&self, args: Args) -> Args {
        args.option("--name", self.name.as_ref())
            .flag("--privileged", self.privileged)
            .option("--pull", self.pull.as_ref())
            .option("--network", self.network.as_ref())
            .option("--hostname", self.hostname.as_ref())
            .option("--cgroupns", self.cgroupns.as_ref())
            .option("--stop-timeout", self.stop_timeout.map(|seconds| seconds.to_string()))
            .option("--restart", self.restart.as_ref())
            .option("--memory", self.memory.as_ref())
            .option("--cpus", self.cpus.as_ref())
            .flag("--interactive", self.interactive)
            .flag("--tty", self.tty)
            .pairs("--env", &self.env)
            .each("--env", self.secret_env.iter().map(|(name, _)| name))
            .pairs("--label", &self.labels)
            .each("--publish", self.ports.iter().map(Publish::to_string))
            .words(self.mounts.iter().flat_map(Mount::args))
            .option("--entrypoint", self.entrypoint.as_ref())
            .words(&self.extra)
            .word(&self.image)
            .words(&self.command)
    }

    fn secrets(&self) -> Vec<(OsString, OsString)> {
        self.secret_env.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }
}

/// `create`; answers with the id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create(pub ContainerSpec);

impl EngineCommand for Create {
    fn args(&self) -> Vec<OsString> {
        self.0.add_to(Args::of(&["create"])).0
    }

    fn secret_env(&self) -> Vec<(OsString, OsString)> {
        self.0.secrets()
    }

    fn timeout(&self) -> Option<Duration> {
        // Unless told not to, it pulls.
        if self.0.pull.as_deref() == Some("never") { Some(SLOW) } else { None }
    }
}

/// `run`; detached it answers with the id, else it lives as long as the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The container.
    pub spec: ContainerSpec,
    /// Return as soon as it is started.
    pub detach: bool,
    /// Remove it with its volumes when it has ended.
    pub remove: bool,
}

impl EngineCommand for Run {
    fn args(&self) -> Vec<OsString> {
        self.spec.add_to(Args::of(&["run"]).flag("--detach", self.detach).flag("--rm", self.remove)).0
    }

    fn secret_env(&self) -> Vec<(OsString, OsString)> {
        self.spec.secrets()
    }

    fn timeout(&self) -> Option<Duration> {
        if self.detach && self.spec.pull.as_deref() == Some("never") { Some(SLOW) } else { None }
    }
}

/// `start`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// Name or id.
    pub container: String,
    /// Stay, with the container's stdout and stderr as our own, and end with its status.
    pub attach: bool,
}

impl EngineCommand for Start {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["start"]).flag("--attach", self.attach).word(&self.container).0
    }

    fn timeout(&self) -> Option<Duration> {
        if self.attach { None } else { Some(SLOW) }
    }
}

/// `logs`; the container's stdout and stderr stay apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logs {
    /// Name or id.
    pub container: String,
    /// Go on until the container ends.
    pub follow: bool,
    /// Only this many lines from the end.
    pub tail: Option<u32>,
    /// Only what is younger: a time stamp or a duration such as `10m`.
    pub since: Option<String>,
}

impl Logs {
    /// Everything, to the end of the container's life.
    #[must_use]
    pub fn follow(container: impl Into<String>) -> Self {
        Self { container: container.into(), follow: true, tail: None, since: None }
    }

    /// The last lines.
    #[must_use]
    pub fn tail(container: impl Into<String>, lines: u32) -> Self {
        Self { container: container.into(), follow: false, tail: Some(lines), since: None }
    }
}

impl EngineCommand for Logs {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["logs"])
            .flag("--follow", self.follow)
            .option("--tail", self.tail.map(|lines| lines.to_string()))
            .option("--since", self.since.as_ref())
            .word(&self.container)
            .0
    }

    fn timeout(&self) -> Option<Duration> {
        if self.follow { None } else { Some(QUICK) }
    }
}

/// `cp` of a file or directory into a container, which need not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyInto {
    /// What; `-` is a tar stream on stdin, which is unpacked in the directory `target`.
    pub source: PathBuf,
    /// Name or id.
    pub container: String,
    /// Where.
    pub target: String,
    /// Keep user and group numbers (only for what is not `-`: a tar stream always keeps its own).
    pub archive: bool,
}

impl EngineCommand for CopyInto {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["cp"])
            .flag("--archive", self.archive)
            .word(&self.source)
            .word(format!("{}:{}", self.container, self.target))
            .0
    }

    fn timeout(&self) -> Option<Duration> {
        None
    }
}

/// `cp` of a file or directory out of a container, which need not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyFrom {
    /// Name or id.
    pub container: String,
    /// What.
    pub source: String,
    /// Where; `-` is a tar stream on stdout.
    pub target: PathBuf,
}

impl EngineCommand for CopyFrom {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["cp"]).word(format!("{}:{}", self.container, self.source)).word(&self.target).0
    }

    fn timeout(&self) -> Option<Duration> {
        None
    }
}

/// `stop`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Name or id.
    pub container: String,
    /// Seconds before SIGKILL; the container's own where there is none.
    pub timeout: Option<u32>,
}

impl EngineCommand for Stop {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["stop"]).option("-t", self.timeout.map(|seconds| seconds.to_string())).word(&self.container).0
    }

    fn timeout(&self) -> Option<Duration> {
        Some(SLOW + Duration::from_secs(self.timeout.unwrap_or(0).into()))
    }
}

/// `kill`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kill {
    /// Name or id.
    pub container: String,
    /// Signal, SIGKILL where there is none.
    pub signal: Option<String>,
}

impl EngineCommand for Kill {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["kill"]).option("--signal", self.signal.as_ref()).word(&self.container).0
    }
}

/// `rm --force --volumes`: ends the container, and removes it with its anonymous volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoveContainer {
    /// Names or ids.
    pub containers: Vec<String>,
}

impl EngineCommand for RemoveContainer {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["rm", "--force", "--volumes"]).words(&self.containers).0
    }

    fn timeout(&self) -> Option<Duration> {
        Some(SLOW)
    }
}

/// `wait`; answers with the exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// Name or id.
    pub container: String,
    /// Bound.
    pub timeout: Option<Duration>,
}

impl EngineCommand for Wait {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["wait"]).word(&self.container).0
    }

    fn timeout(&self) -> Option<Duration> {
        self.timeout
    }
}

/// `container inspect`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerInspect {
    /// Names or ids.
    pub containers: Vec<String>,
}

impl EngineCommand for ContainerInspect {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["container", "inspect"]).words(&self.containers).0
    }
}

/// `container inspect --size`; answers with the bytes of the container's own layer, which is what its files in no
/// volume and no image take, or with `null` where the engine does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSize {
    /// Name or id.
    pub container: String,
}

impl EngineCommand for ContainerSize {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["container", "inspect", "--size", "--format", "{{json .SizeRw}}"]).word(&self.container).0
    }

    fn timeout(&self) -> Option<Duration> {
        // It walks through the layer's files.
        Some(SLOW)
    }
}

/// `ps`, one full id a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerList {
    /// Also those that do not run.
    pub all: bool,
    /// Which.
    pub filters: Vec<Filter>,
}

impl EngineCommand for ContainerList {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["ps", "--quiet", "--no-trunc"]).flag("--all", self.all).filters(&self.filters).0
    }
}

/// `commit`; answers with the image's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Name or id.
    pub container: String,
    /// The image's name.
    pub image: String,
    /// `Dockerfile` instructions such as `ENTRYPOINT ["/kubake-init"]`.
    pub changes: Vec<String>,
    /// The history's remark.
    pub message: Option<String>,
    /// Freeze the container meanwhile. Of no use for one that has stopped.
    pub pause: bool,
}

impl EngineCommand for Commit {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["commit"])
            .word(format!("--pause={}", self.pause))
            .option("--message", self.message.as_ref())
            .each("--change", &self.changes)
            .word(&self.container)
            .word(&self.image)
            .0
    }

    fn timeout(&self) -> Option<Duration> {
        // Gigabytes on a slow disk.
        Some(Duration::from_secs(1800))
    }
}

/// `exec`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exec {
    /// Name or id.
    pub container: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Pass our input on.
    pub interactive: bool,
    /// Allocate a terminal.
    pub tty: bool,
    /// Variables.
    pub env: Vec<(String, String)>,
    /// Directory.
    pub workdir: Option<String>,
    /// Bound.
    pub timeout: Option<Duration>,
}

impl EngineCommand for Exec {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["exec"])
            .flag("--interactive", self.interactive)
            .flag("--tty", self.tty)
            .pairs("--env", &self.env)
            .option("--workdir", self.workdir.as_ref())
            .word(&self.container)
            .words(&self.command)
            .0
    }

    fn timeout(&self) -> Option<Duration> {
        self.timeout
    }
}

/// `network create`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkCreate {
    /// Name.
    pub name: String,
    /// Labels.
    pub labels: Vec<(String, String)>,
}

impl EngineCommand for NetworkCreate {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["network", "create"]).pairs("--label", &self.labels).word(&self.name).0
    }
}

/// `network rm`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkRemove {
    /// Name.
    pub name: String,
}

impl EngineCommand for NetworkRemove {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["network", "rm"]).word(&self.name).0
    }
}

/// `network inspect`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkInspect {
    /// Name.
    pub name: String,
}

impl EngineCommand for NetworkInspect {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["network", "inspect"]).word(&self.name).0
    }
}

/// `volume ls`, one name a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VolumeList {
    /// Which.
    pub filters: Vec<Filter>,
}

impl EngineCommand for VolumeList {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["volume", "ls", "--quiet"]).filters(&self.filters).0
    }
}

/// `volume rm`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeRemove {
    /// Names.
    pub names: Vec<String>,
}

impl EngineCommand for VolumeRemove {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["volume", "rm"]).words(&self.names).0
    }

    fn timeout(&self) -> Option<Duration> {
        Some(SLOW)
    }
}
