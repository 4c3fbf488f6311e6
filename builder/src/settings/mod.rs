//! What a command works with: values from flags, environment, settings file and defaults, in this precedence. Owns the
//! one conversion from what was written to [`Settings`] and the complete list of what is wrong with it. Looks at no
//! engine and no cluster, and in a checkout only for the names that may be set; a mistake here is found before anything is
//! touched.

mod file;
mod table;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kubake_contract::hooks::Failure;
use kubake_contract::{BAKE_HOOK_TIMEOUT, ClusterSettings};
use thiserror::Error;

use crate::advice::Advice;
use crate::checkout::Checkout;
use crate::versions;
pub use table::{Key, Row, Shape, TABLE, reference};
pub use value::{Cpus, DEFAULT_VALIDITY, HostPort, Memory, Protocol, Publish, print_duration, print_validity};

/// The file that is read where none is named.
pub const DEFAULT_FILE: &str = "kubake.yaml";
/// Names the file where `--settings` does not.
pub const FILE_VARIABLE: &str = "KUBAKE_SETTINGS";

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody gave one.
    Default,
    /// A file.
    File {
        /// Which.
        path: PathBuf,
        /// Line from 1, where it is known.
        line: Option<usize>,
        /// The key; empty when the file as a whole is meant.
        key: String,
    },
    /// An environment variable.
    Env(&'static str),
    /// The environment: variables that are no settings, and that are named by what is wrong with them.
    Environment,
    /// A flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::Env(name) => write!(formatter, "{name}"),
            Self::Environment => formatter.write_str("the environment"),
            Self::Flag(name) => write!(formatter, "{name}"),
            Self::File { path, line, key } => {
                write!(formatter, "{}", path.display())?;
                if let Some(line) = line {
                    write!(formatter, ":{line}")?;
                }
                if key.is_empty() { Ok(()) } else { write!(formatter, " {key}") }
            }
        }
    }
}

/// A value as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// One.
    One(String),
    /// A list.
    Many(Vec<String>),
}

/// A value for a setting, from one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which setting.
    pub key: Key,
    /// Its value.
    pub value: Value,
    /// Where it stands.
    pub origin: Origin,
}

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub origin: Origin,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.origin, self.message)
    }
}

/// Why there are no settings.
#[derive(Debug, Error)]
pub enum Error {
    /// The settings file cannot be read.
    #[error("read the settings file `{}`", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Something is wrong with them: everything that is.
    #[error("{} with the settings:{}", count(.0.len()), lines(.0))]
    Problems(Vec<Problem>),
}

impl Advice for Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Problems(_) => Some("`kubake settings --reference` lists every setting".to_owned()),
            Self::Read { .. } => None,
        }
    }
}

fn count(problems: usize) -> String {
    if problems == 1 { "1 problem".to_owned() } else { format!("{problems} problems") }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

/// Ports of the container on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPorts {
    /// Of the Kubernetes API.
    pub api: HostPort,
    /// Of readiness, status and kubeconfig.
    pub http: HostPort,
    /// Of the Docker API.
    pub docker: HostPort,
    /// Of the Docker API with TLS.
    pub docker_tls: HostPort,
    /// More.
    pub extra: Vec<Publish>,
}

/// What a new container is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSettings {
    /// The file with the token that guards a container's credentials.
    pub token_file: Option<PathBuf>,
    /// The engine's network; none is the engine's default.
    pub network: Option<String>,
    /// A file about registries for the container.
    pub registries_file: Option<PathBuf>,
    /// A file of CAs that containers trust.
    pub extra_ca_certs: Option<PathBuf>,
    /// How many processors the container may use; none is all.
    pub cpus: Option<Cpus>,
    /// How much memory the container may use; none is all.
    pub memory: Option<Memory>,
}

/// What a bake takes beside the cluster's own settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BakeSettings {
    /// Archives and lists of images; none is the checkout's.
    pub images_dir: Option<PathBuf>,
    /// Hooks; none is the checkout's.
    pub hooks_dir: Option<PathBuf>,
    /// How long one hook of the bake may take.
    pub hook_timeout: Duration,
    /// What it means when one fails.
    pub hook_failure: Failure,
    /// Whether images that are baked in keep their packed layers beside the unpacked ones.
    pub packed_layers: bool,
    /// What is built and baked in beside the cluster: names, each once, in order.
    pub addons: Vec<String>,
    /// The appliance's base image: `auto`, `mmdebstrap` or a name.
    pub base_image: String,
    /// Go module proxy; none is Go's own.
    pub go_proxy: Option<String>,
}

/// Everything that can be set, resolved and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Name of the cluster, of its container and of its kubeconfig context.
    pub name: String,
    /// The baked image, with its tag.
    pub image: String,
    /// What a cluster is made with.
    pub cluster: ClusterSettings,
    /// How long the certificates are valid that a container makes.
    pub cert_validity: Duration,
    /// Ports of the container on the host.
    pub ports: HostPorts,
    /// Options of a new container.
    pub container: ContainerSettings,
    /// Inputs of a bake.
    pub bake: BakeSettings,
    /// How long to wait for readiness.
    pub ready_timeout: Duration,
    /// The kubeconfig that gets the context; none where neither a variable nor a home directory says.
    pub kubeconfig: Option<PathBuf>,
    origins: BTreeMap<Key, Origin>,
}

/// Where values come from, besides the defaults.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The settings file's path and text, if there is one.
    pub file: Option<(PathBuf, String)>,
    /// What the environment says.
    pub env: BTreeMap<String, String>,
    /// What the flags say; their origins are [`Origin::Flag`].
    pub flags: Vec<Entry>,
    /// Which add-ons there are; none where no checkout says.
    pub addons: Option<Vec<String>>,
}

impl Sources {
    /// Reads the file (`named`, else what the environment names, else [`DEFAULT_FILE`] where it exists), the environment,
    /// and which add-ons there are.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn load(named: Option<&Path>, flags: Vec<Entry>) -> Result<Self, Error> {
        // Variables that are not UTF-8 cannot hold a setting of ours.
        let env: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let named = named
            .map(Path::to_owned)
            .or_else(|| env.get(FILE_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from));
        let path = named.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => Some((path, text)),
            Err(source) if source.kind() == io::ErrorKind::NotFound && named.is_none() => None,
            Err(source) => return Err(Error::Read { path, source }),
        };
        let addons = Checkout::find().ok().map(|checkout| checkout.addons());
        Ok(Self { file, env, flags, addons })
    }
}

impl Settings {
    /// Resolves and checks.
    ///
    /// # Errors
    /// [`Error::Problems`] with everything that is wrong in any source.
    pub fn resolve(sources: &Sources) -> Result<Self, Error> {
        let mut resolver = Resolver::new(sources);
        let mut cluster = ClusterSettings::default();
        let defaults = ClusterSettings::default();
        cluster.kubernetes_version =
            resolver.one(Key::KubernetesVersion, defaults.kubernetes_version, |text| Ok(versions::complete(text)));
        cluster.static_ip = resolver.one(Key::StaticIp, defaults.static_ip, |text| {
            text.parse().map_err(|_| format!("`{text}` is not an IPv4 address"))
        });
        let subnet =
            |text: &str| text.parse().map_err(|_| format!("`{text}` is not an IPv4 range such as `10.244.0.0/16`"));
        cluster.pod_subnet = resolver.one(Key::PodSubnet, defaults.pod_subnet, subnet);
        cluster.service_subnet = resolver.one(Key::ServiceSubnet, defaults.service_subnet, subnet);
        cluster.cert_sans = resolver.many(Key::CertSans, |text| Ok(text.to_owned()));
        cluster.etcd_sync = resolver.one(Key::EtcdSync, defaults.etcd_sync, value::parse_switch);
        resolver.check(&cluster);

        let ports = HostPorts {
            api: resolver.one(Key::ApiPort, HostPort::local(8443), HostPort::parse),
            http: resolver.one(Key::HttpPort, HostPort::local(10080), HostPort::parse),
            docker: resolver.one(Key::DockerPort, HostPort::Off, HostPort::parse),
            docker_tls: resolver.one(Key::DockerTlsPort, HostPort::Off, HostPort::parse),
            extra: resolver.many(Key::ExtraPorts, Publish::parse),
        };
        resolver.check_ports(&ports);

        let mut addons = resolver.many(Key::Addons, |text| value::parse_addon(text, sources.addons.as_deref()));
        addons.sort();
        addons.dedup();

        let text = |text: &str| Ok(Some(text.to_owned()));
        let path = |text: &str| Ok(Some(PathBuf::from(text)));
        let settings = Self {
            name: resolver.one(Key::Name, "kubake".to_owned(), value::parse_name),
            image: resolver.one(Key::Image, default_image(&cluster.kubernetes_version), value::parse_image),
            cert_validity: resolver.one(Key::CertValidity, DEFAULT_VALIDITY, value::parse_validity),
            ports,
            container: ContainerSettings {
                token_file: resolver.one(Key::TokenFile, None, path),
                network: resolver.one(Key::Network, None, text),
                registries_file: resolver.one(Key::RegistriesFile, None, path),
                extra_ca_certs: resolver.one(Key::ExtraCaCerts, None, value::parse_path_of_pem),
                cpus: resolver.one(Key::Cpus, None, |text| Cpus::parse(text).map(Some)),
                memory: resolver.one(Key::Memory, None, |text| Memory::parse(text).map(Some)),
            },
            bake: BakeSettings {
                images_dir: resolver.one(Key::ImagesDir, None, path),
                hooks_dir: resolver.one(Key::HooksDir, None, path),
                hook_timeout: resolver.one(Key::HookTimeout, BAKE_HOOK_TIMEOUT, value::parse_timeout),
                hook_failure: resolver.one(Key::HookFailure, Failure::Fail, value::parse_failure),
                packed_layers: resolver.one(Key::PackedLayers, false, value::parse_switch),
                addons,
                base_image: resolver.one(Key::BaseImage, "auto".to_owned(), |text| Ok(text.to_owned())),
                go_proxy: resolver.one(Key::GoProxy, None, text),
            },
            ready_timeout: resolver.one(Key::ReadyTimeout, Duration::from_secs(300), value::parse_duration),
            kubeconfig: resolver.one(Key::Kubeconfig, home_kubeconfig(&sources.env), path),
            cluster,
            origins: resolver.origins,
        };
        if resolver.problems.is_empty() { Ok(settings) } else { Err(Error::Problems(resolver.problems)) }
    }

    /// The same for another version of Kubernetes; an image that was not named goes by that version, too.
    #[must_use]
    pub fn with_version(&self, version: &str) -> Self {
        let mut settings = self.clone();
        version.clone_into(&mut settings.cluster.kubernetes_version);
        if *self.origin(Key::Image) == Origin::Default {
            settings.image = default_image(version);
        }
        settings
    }

    /// Where a setting's value comes from.
    #[must_use]
    pub fn origin(&self, key: Key) -> &Origin {
        self.origins.get(&key).unwrap_or(&Origin::Default)
    }

    /// Whether `image` is the one that a bake without `--image` makes, which also carries the tags of its version.
    #[must_use]
    pub fn is_default_image(&self) -> bool {
        self.image == default_image(&self.cluster.kubernetes_version)
    }

    /// Which settings were asked for explicitly and are not what an image was baked with: key, wanted, baked. Not names in
    /// certificates, which are made anew in each container.
    #[must_use]
    pub fn differences(&self, baked: &ClusterSettings) -> Vec<(String, String, String)> {
        let asked = |key| key != Key::CertSans && *self.origin(key) != Origin::Default;
        different(&self.cluster, baked, asked)
    }

    /// What differs where add-ons were asked for that an image does not have; `baked` are the names of those it has,
    /// separated by commas. Those that nobody asked for are no difference.
    #[must_use]
    pub fn missing_addons(&self, baked: &str) -> Option<(String, String, String)> {
        let has = |name: &String| baked.split(',').any(|other| other == name);
        let shown = if baked.is_empty() { "none" } else { baked };
        let key = Key::Addons.row().dotted();
        (!self.bake.addons.iter().all(has)).then(|| (key, self.bake.addons.join(","), shown.to_owned()))
    }

    /// Every setting's value as it would be written in the file; none where there is none.
    #[must_use]
    pub fn effective(&self) -> Vec<(Key, Option<Value>)> {
        let one = |text: String| Some(Value::One(text));
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| Value::One(path.to_string_lossy().into_owned()));
        let many = |texts: Vec<String>| (!texts.is_empty()).then_some(Value::Many(texts));
        TABLE
            .iter()
            .map(|row| {
                let value = match row.key {
                    Key::Name => one(self.name.clone()),
                    Key::Image => one(self.image.clone()),
                    Key::KubernetesVersion => one(self.cluster.kubernetes_version.clone()),
                    Key::StaticIp => one(self.cluster.static_ip.to_string()),
                    Key::PodSubnet => one(self.cluster.pod_subnet.to_string()),
                    Key::ServiceSubnet => one(self.cluster.service_subnet.to_string()),
                    Key::CertSans => many(self.cluster.cert_sans.clone()),
                    Key::CertValidity => one(print_validity(self.cert_validity)),
                    Key::EtcdSync => one(if self.cluster.etcd_sync { "on" } else { "off" }.to_owned()),
                    Key::ApiPort => one(self.ports.api.to_string()),
                    Key::HttpPort => one(self.ports.http.to_string()),
                    Key::DockerPort => one(self.ports.docker.to_string()),
                    Key::DockerTlsPort => one(self.ports.docker_tls.to_string()),
                    Key::ExtraPorts => many(self.ports.extra.iter().map(ToString::to_string).collect()),
                    Key::TokenFile => path(&self.container.token_file),
                    Key::Network => self.container.network.clone().map(Value::One),
                    Key::RegistriesFile => path(&self.container.registries_file),
                    Key::ExtraCaCerts => path(&self.container.extra_ca_certs),
                    Key::Cpus => self.container.cpus.map(|cpus| Value::One(cpus.to_string())),
                    Key::Memory => self.container.memory.map(|memory| Value::One(memory.to_string())),
                    Key::ImagesDir => path(&self.bake.images_dir),
                    Key::HooksDir => path(&self.bake.hooks_dir),
                    Key::HookTimeout => one(print_duration(self.bake.hook_timeout)),
                    Key::HookFailure => one(value::print_failure(self.bake.hook_failure).to_owned()),
                    Key::PackedLayers => one(if self.bake.packed_layers { "on" } else { "off" }.to_owned()),
                    Key::Addons => many(self.bake.addons.clone()),
                    Key::BaseImage => one(self.bake.base_image.clone()),
                    Key::GoProxy => self.bake.go_proxy.clone().map(Value::One),
                    Key::ReadyTimeout => one(print_duration(self.ready_timeout)),
                    Key::Kubeconfig => path(&self.kubeconfig),
                };
                (row.key, value)
            })
            .collect()
    }
}

/// The name of the image that is baked where none is named.
#[must_use]
pub fn default_image(kubernetes_version: &str) -> String {
    format!("kubake:latest-{}", versions::minor(kubernetes_version))
}

fn home_kubeconfig(env: &BTreeMap<String, String>) -> Option<PathBuf> {
    env.get("HOME").filter(|home| !home.is_empty()).map(|home| Path::new(home).join(".kube/config"))
}

struct Resolver {
    /// Lowest precedence first.
    entries: Vec<Entry>,
    origins: BTreeMap<Key, Origin>,
    problems: Vec<Problem>,
}

impl Resolver {
    fn new(sources: &Sources) -> Self {
        let file = sources.file.as_ref().map(|(path, text)| file::parse(text, path)).unwrap_or_default();
        let mut entries = file.entries;
        for row in TABLE {
            // An empty variable is how a CI system says "not set".
            let set =
                row.env.iter().find_map(|name| Some((*name, sources.env.get(*name).filter(|text| !text.is_empty())?)));
            let Some((name, text)) = set else { continue };
            let value = match row.shape {
                Shape::List => {
                    Value::Many(text.split([',', ' ']).filter(|part| !part.is_empty()).map(str::to_owned).collect())
                }
                // Like PATH; kubectl writes to the first of them.
                Shape::Path if name == "KUBECONFIG" => match text.split(':').find(|part| !part.is_empty()) {
                    Some(first) => Value::One(first.to_owned()),
                    None => continue,
                },
                Shape::Path | Shape::Scalar => Value::One(text.clone()),
            };
            entries.push(Entry { key: row.key, value, origin: Origin::Env(name) });
        }
        entries.extend(sources.flags.iter().cloned());
        Self { entries, origins: BTreeMap::new(), problems: file.problems }
    }

    /// The value of highest precedence; the others are parsed too, so that their mistakes are told now and not on
    /// the day when they count.
    fn one<T>(&mut self, key: Key, default: T, parse: impl Fn(&str) -> Result<T, String>) -> T {
        let mut result = default;
        for entry in self.entries.iter().filter(|entry| entry.key == key) {
            let Value::One(text) = &entry.value else { continue };
            match parse(text) {
                Ok(value) => {
                    result = value;
                    self.origins.insert(key, entry.origin.clone());
                }
                Err(message) => self.problems.push(Problem { origin: entry.origin.clone(), message }),
            }
        }
        result
    }

    fn many<T>(&mut self, key: Key, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let mut result = Vec::new();
        for entry in self.entries.iter().filter(|entry| entry.key == key) {
            let Value::Many(texts) = &entry.value else { continue };
            result.clear();
            for text in texts {
                match parse(text) {
                    Ok(value) => result.push(value),
                    Err(message) => self.problems.push(Problem { origin: entry.origin.clone(), message }),
                }
            }
            self.origins.insert(key, entry.origin.clone());
        }
        result
    }

    fn check(&mut self, cluster: &ClusterSettings) {
        for (key, message) in cluster.problems() {
            let origin = TABLE
                .iter()
                .find(|row| row.path == [key])
                .and_then(|row| self.origins.get(&row.key))
                .cloned()
                // Two settings that do not fit together: the one that is named may be the default one.
                .unwrap_or_else(|| {
                    self.origins
                        .get(&Key::StaticIp)
                        .or(self.origins.get(&Key::ServiceSubnet))
                        .cloned()
                        .unwrap_or(Origin::Default)
                });
            self.problems.push(Problem { origin, message: format!("{key} {message}") });
        }
    }

    fn check_ports(&mut self, ports: &HostPorts) {
        let named = [
            (Key::ApiPort, ports.api),
            (Key::HttpPort, ports.http),
            (Key::DockerPort, ports.docker),
            (Key::DockerTlsPort, ports.docker_tls),
        ];
        let fixed = named.into_iter().chain(
            ports
                .extra
                .iter()
                .filter(|extra| extra.protocol == Protocol::Tcp)
                .map(|extra| (Key::ExtraPorts, extra.host)),
        );
        let mut seen: Vec<(Key, HostPort)> = Vec::new();
        for (key, port) in fixed {
            if !matches!(port, HostPort::On { port: Some(_), .. }) {
                continue;
            }
            if let Some((other, _)) = seen.iter().find(|(_, seen)| *seen == port) {
                let origin = self.origins.get(&key).or(self.origins.get(other)).cloned().unwrap_or(Origin::Default);
                let message = format!("{} and {} both want host port {port}", other.row().dotted(), key.row().dotted());
                self.problems.push(Problem { origin, message });
            }
            seen.push((key, port));
        }
        if ports.http == HostPort::Off {
            let origin = self.origins.get(&Key::HttpPort).cloned().unwrap_or(Origin::Default);
            self.problems.push(Problem {
                origin,
                message: "hostPorts.http cannot be off: readiness is read from it".to_owned(),
            });
        }
    }
}

/// What differs between two clusters' settings, of those that `asked` names: key, wanted, baked.
pub(crate) fn different(
    wanted: &ClusterSettings,
    baked: &ClusterSettings,
    asked: impl Fn(Key) -> bool,
) -> Vec<(String, String, String)> {
    let values = |settings: &ClusterSettings| serde_json::to_value(settings).unwrap_or_default();
    let (wanted, baked) = (values(wanted), values(baked));
    TABLE
        .iter()
        .filter(|row| asked(row.key))
        .filter_map(|row| {
            let key = row.dotted();
            let (wanted, baked) = (wanted.get(&key)?, baked.get(&key)?);
            (wanted != baked).then(|| (key, wanted.to_string(), baked.to_string()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(file: &str, env: &[(&str, &str)], flags: &[(Key, &str)]) -> Sources {
        Sources {
            file: Some((PathBuf::from("dir/kubake.yaml"), file.to_owned())),
            env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            flags: flags
                .iter()
                .map(|(key, text)| Entry {
                    key: *key,
                    value: Value::One((*text).to_owned()),
                    origin: Origin::Flag(key.row().flag),
                })
                .collect(),
            ..Sources::default()
        }
    }

    #[test]
    fn nothing_given_is_the_defaults() {
        let settings = Settings::resolve(&Sources::default()).unwrap();
        assert_eq!(settings.image, "kubake:latest-1.36");
        assert!(settings.is_default_image());
        assert_eq!(settings.cluster, ClusterSettings::default());
        assert_eq!(settings.origin(Key::Name), &Origin::Default);
    }

    #[test]
    fn flags_beat_environment_beats_file() {
        let file =
            "version: 1\nname: from-file\nimage: x:1\nimagesDir: more\nhostPorts:\n  api: auto\n  extra: [8080:80]\n";
        let settings = Settings::resolve(&sources(
            file,
            &[("KUBAKE_NAME", "from-env"), ("KUBAKE_IMAGE", "y:2"), ("KUBECONFIG", ":/a:/b"), ("KUBAKE_NETWORK", "")],
            &[(Key::Name, "from-flag")],
        ))
        .unwrap();
        assert_eq!((settings.name.as_str(), settings.origin(Key::Name)), ("from-flag", &Origin::Flag("--name")));
        assert_eq!(settings.image, "y:2");
        assert_eq!(settings.bake.images_dir.as_deref(), Some(Path::new("dir/more")));
        assert_eq!(settings.kubeconfig.as_deref(), Some(Path::new("/a")));
        assert_eq!(settings.container.network, None);
        assert_eq!(settings.ports.api.to_string(), "auto");
        assert_eq!(settings.origin(Key::ApiPort).to_string(), "dir/kubake.yaml:6 hostPorts.api");
    }

    #[test]
    fn all_problems_of_all_sources_are_told_at_once() {
        let file = "version: 1\npodSubnett: 10.0.0.0/8\nstaticIp: nowhere\ncertSans: one\nhostPorts:\n  http: off\n  apii: 3\n\
                    serviceSubnet: 10.96.0.1/12\nname: [a]\n";
        let error = Settings::resolve(&sources(
            file,
            &[("KUBAKE_CERT_SANS", "good.example,-bad name!"), ("KUBAKE_API_PORT", "x")],
            &[(Key::ReadyTimeout, "soon"), (Key::KubernetesVersion, "1.20"), (Key::DockerPort, "99999")],
        ))
        .unwrap_err();
        insta::assert_snapshot!(error);
    }

    #[test]
    fn a_broken_file_is_told_with_its_position() {
        let mut told = String::new();
        for text in [
            "name: x\n",
            "version: 2\n",
            "version: 1\nname: [a\n",
            "version: 1\nname: a\nname: b\n",
            "version: 1\nhostPorts:\n  api: 1\n  api: 2\n",
            "- a\n",
            "version: 1\nhostPorts: 3\n",
        ] {
            let error = Settings::resolve(&sources(text, &[], &[])).unwrap_err();
            told.push_str(&format!("{text:?}\n{error}\n\n"));
        }
        insta::assert_snapshot!(told);
    }

    #[test]
    fn an_empty_file_is_no_problem() {
        for text in ["", "# nothing\n", "version: 1\nname:\nhostPorts:\n"] {
            Settings::resolve(&sources(text, &[], &[])).unwrap();
        }
    }

    #[test]
    fn a_hook_that_may_take_no_time_is_a_problem() {
        let settings = Settings::resolve(&sources("version: 1\nhookTimeout: 90s\n", &[], &[])).unwrap();
        assert_eq!(settings.bake.hook_timeout, Duration::from_secs(90));
        let error = Settings::resolve(&sources("", &[("KUBAKE_HOOK_TIMEOUT", "0")], &[])).unwrap_err();
        assert!(error.to_string().contains("KUBAKE_HOOK_TIMEOUT: `0` leaves no time"), "{error}");
    }

    #[test]
    fn limits_that_leave_no_room_for_a_cluster_are_problems() {
        let settings = Settings::resolve(&sources("version: 1\ncpus: 2.50\nmemory: 4GiB\n", &[], &[])).unwrap();
        let limits = (settings.container.cpus.unwrap().to_string(), settings.container.memory.unwrap().to_string());
        assert_eq!(limits, ("2.5".to_owned(), "4g".to_owned()));
        let error =
            Settings::resolve(&sources("version: 1\ncpus: 0.5\n", &[("KUBAKE_MEMORY", "512m")], &[])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "2 problems with the settings:\n  dir/kubake.yaml:2 cpus: `0.5` is too little: the control plane's pods alone ask \
             for 0.75 of a processor\n  KUBAKE_MEMORY: `512m` is too little: Kubernetes needs about 1g to boot"
        );
    }

    #[test]
    fn an_addon_is_one_that_there_is() {
        let there = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        let given = |text| sources("", &[("KUBAKE_ADDONS", text)], &[]);
        let known = Sources { addons: there(&["helm", "metrics-server"]), ..given("metrics-server,helm helm") };
        let settings = Settings::resolve(&known).unwrap();
        assert_eq!(settings.bake.addons, ["helm", "metrics-server"]);
        assert_eq!(settings.missing_addons("helm,ingress,metrics-server"), None);
        assert_eq!(
            settings.missing_addons("helm"),
            Some(("addons".to_owned(), "helm,metrics-server".to_owned(), "helm".to_owned()))
        );
        assert_eq!(Settings::resolve(&given("")).unwrap().missing_addons(""), None);

        let unknown = Sources { addons: there(&["helm", "metrics-server"]), ..given("helm,metrics,../x") };
        let error = Settings::resolve(&unknown).unwrap_err().to_string();
        for told in
            ["KUBAKE_ADDONS: `metrics` is no add-on; there are helm, metrics-server", "`../x` is no add-on's name"]
        {
            assert!(error.contains(told), "{error}");
        }
        // Without a checkout nobody knows them; a bake says then what it needs.
        assert_eq!(Settings::resolve(&given("metrics")).unwrap().bake.addons, ["metrics"]);
    }

    #[test]
    fn the_same_host_port_twice_is_a_problem() {
        let error = Settings::resolve(&sources("version: 1\nhostPorts: {api: 10080}\n", &[], &[])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "1 problem with the settings:\n  dir/kubake.yaml hostPorts.api: hostPorts.api and hostPorts.http both want host port 10080"
        );
    }

    #[test]
    fn the_reference_names_every_setting() {
        insta::assert_snapshot!(reference());
    }

    #[test]
    fn readme_holds_the_reference() {
        let readme = include_str!("../../../README.md");
        assert!(readme.contains(&reference()), "put what `kubake settings --reference` prints into README.md");
    }
}
