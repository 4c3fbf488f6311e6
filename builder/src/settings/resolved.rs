//! [`Settings`]: all groups of settings, resolved and checked. Declares the settings that belong to no group, and is the
//! one place that lists the groups, in the order in which help, reference and messages show them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kubake_contract::ClusterSettings;

use super::bake::BakeSettings;
use super::container::ContainerSettings;
use super::duration::{DEFAULT_VALIDITY, parse_duration, parse_validity, print_duration, print_validity};
use super::entry::{Origin, Origins};
use super::error::Error;
use super::name::{parse_image, parse_name};
use super::ports::HostPorts;
use super::resolver::Resolver;
use super::setting::{Declaration, Key, Setting, Subcommand, Value, print_path, store};
use super::source::Sources;
use super::{bake, cluster, container, ports};
use crate::versions;

impl Key {
    pub(crate) const NAME: Self = Self::new("name");
    pub(crate) const IMAGE: Self = Self::new("image");
    pub(crate) const CERT_VALIDITY: Self = Self::new("certValidity");
    pub(crate) const READY_TIMEOUT: Self = Self::new("readyTimeout");
    pub(crate) const KUBECONFIG: Self = Self::new("kubeconfig");
}

/// Everything that can be set, resolved and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Name of the cluster, of its container and of its kubeconfig context.
    pub(crate) name: String,
    /// The baked image, with its tag.
    pub(crate) image: String,
    /// The settings that a cluster is made with.
    pub(crate) cluster: ClusterSettings,
    /// How long the certificates are valid that a container makes.
    pub(crate) cert_validity: Duration,
    /// Ports of the container on the host.
    pub(crate) ports: HostPorts,
    /// Options of a new container.
    pub(crate) container: ContainerSettings,
    /// Inputs of a bake.
    pub(crate) bake: BakeSettings,
    /// How long to wait for readiness.
    pub(crate) ready_timeout: Duration,
    /// The kubeconfig that receives the context; none without a variable and a home directory.
    pub(crate) kubeconfig: Option<PathBuf>,
    origins: Origins,
}

/// Names of cluster and image.
const NAMES: &[Setting<Settings>] = &[
    Setting::one(
        Declaration {
            key: Key::NAME,
            flag: "--name",
            env: &["KUBAKE_NAME"],
            placeholder: "NAME",
            default: "kubake",
            about: "name of the cluster, its container and its kubeconfig context",
            subcommands: &[Subcommand::Down],
            ..Declaration::BASE
        },
        |settings, text| store(&mut settings.name, parse_name(text)),
        |settings| Some(settings.name.clone()),
    ),
    Setting::one(
        Declaration {
            key: Key::IMAGE,
            flag: "--image",
            bake_alias: Some(('t', "tag")),
            env: &["KUBAKE_IMAGE"],
            placeholder: "IMAGE",
            default: "kubake:latest-1.NN",
            about: "the baked image that `bake` makes and `up` runs; 1.NN is the minor release of kubernetesVersion",
            subcommands: &[Subcommand::Bake],
            ..Declaration::BASE
        },
        |settings, text| store(&mut settings.image, parse_image(text)),
        |settings| Some(settings.image.clone()),
    ),
];

/// The certificates that a container makes.
const CERTIFICATES: &[Setting<Settings>] = &[Setting::one(
    Declaration {
        key: Key::CERT_VALIDITY,
        flag: "--cert-validity",
        env: &["KUBAKE_CERT_VALIDITY"],
        placeholder: "DURATION",
        default: "3650d",
        about: "validity of the certificates that a container makes, from `1h` to `36500d`",
        ..Declaration::BASE
    },
    |settings, text| store(&mut settings.cert_validity, parse_validity(text)),
    |settings| Some(print_validity(settings.cert_validity)),
)];

/// The wait of `up` and the kubeconfig.
const CLIENT: &[Setting<Settings>] = &[
    Setting::one(
        Declaration {
            key: Key::READY_TIMEOUT,
            flag: "--ready-timeout",
            env: &["KUBAKE_READY_TIMEOUT"],
            placeholder: "DURATION",
            default: "5m",
            about: "how long `up` waits until the cluster is ready",
            subcommands: &[Subcommand::Bench],
            ..Declaration::BASE
        },
        |settings, text| store(&mut settings.ready_timeout, parse_duration(text)),
        |settings| Some(print_duration(settings.ready_timeout)),
    ),
    Setting::path(
        Declaration {
            key: Key::KUBECONFIG,
            flag: "--kubeconfig",
            env: &["KUBAKE_KUBECONFIG", "KUBECONFIG"],
            placeholder: "FILE",
            default: "~/.kube/config",
            about: "kubeconfig that receives the cluster's context",
            subcommands: &[Subcommand::Down],
            ..Declaration::BASE
        },
        |settings, text| store(&mut settings.kubeconfig, Ok(PathBuf::from(text))),
        |settings| print_path(settings.kubeconfig.as_ref()),
    ),
];

/// All declarations, in the order in which they are shown.
#[must_use]
pub(crate) fn declarations() -> Vec<&'static Declaration> {
    fn of<V>(settings: &'static [Setting<V>]) -> impl Iterator<Item = &'static Declaration> {
        settings.iter().map(|setting| &setting.declaration)
    }
    of(NAMES)
        .chain(of(cluster::SETTINGS))
        .chain(of(CERTIFICATES))
        .chain(of(ports::SETTINGS))
        .chain(of(container::SETTINGS))
        .chain(of(bake::SETTINGS))
        .chain(of(CLIENT))
        .collect()
}

/// The flag of a setting, with its dashes.
#[must_use]
pub(crate) fn flag(key: Key) -> &'static str {
    declarations().iter().find(|known| known.key == key).map_or(key.path(), |known| known.flag)
}

impl Settings {
    fn defaults(sources: &Sources) -> Self {
        let cluster = ClusterSettings::default();
        Self {
            name: "kubake".to_owned(),
            image: default_image(&cluster.kubernetes_version),
            cluster,
            cert_validity: DEFAULT_VALIDITY,
            ports: HostPorts::default(),
            container: ContainerSettings::default(),
            bake: BakeSettings::new(sources.addons.clone()),
            ready_timeout: Duration::from_secs(300),
            kubeconfig: home_kubeconfig(&sources.env),
            origins: Origins::default(),
        }
    }

    /// Resolves and checks.
    ///
    /// # Errors
    /// [`Error::Problems`] with everything that is wrong in any source.
    pub(crate) fn resolve(sources: &Sources) -> Result<Self, Error> {
        let mut resolver = Resolver::new(sources, &declarations());
        let mut settings = Self::defaults(sources);
        resolver.group(&mut settings, NAMES);
        resolver.group(&mut settings.cluster, cluster::SETTINGS);
        resolver.problems.extend(cluster::problems(&settings.cluster, &resolver.origins));
        resolver.group(&mut settings, CERTIFICATES);
        resolver.group(&mut settings.ports, ports::SETTINGS);
        resolver.problems.extend(ports::problems(&settings.ports, &resolver.origins));
        resolver.group(&mut settings.container, container::SETTINGS);
        resolver.group(&mut settings.bake, bake::SETTINGS);
        resolver.group(&mut settings, CLIENT);
        if !resolver.problems.is_empty() {
            return Err(Error::Problems(resolver.problems));
        }
        settings.origins = resolver.origins;
        let version = settings.cluster.kubernetes_version.clone();
        Ok(settings.with_version(&version))
    }

    /// The same settings for another version of Kubernetes; the default name of the image follows that version.
    #[must_use]
    pub(crate) fn with_version(&self, version: &str) -> Self {
        let mut settings = self.clone();
        version.clone_into(&mut settings.cluster.kubernetes_version);
        if *self.origin(Key::IMAGE) == Origin::Default {
            settings.image = default_image(version);
        }
        settings
    }

    /// Where a setting's value comes from.
    #[must_use]
    pub(crate) fn origin(&self, key: Key) -> &Origin {
        self.origins.of(key)
    }

    /// Whether `image` is the one that a bake without `--image` makes, which also carries the tags of its version.
    #[must_use]
    pub(crate) fn is_default_image(&self) -> bool {
        self.image == default_image(&self.cluster.kubernetes_version)
    }

    /// The settings that were given explicitly and that an image was baked without: key, wanted, baked. Names in
    /// certificates are left out, since each container makes its certificates anew.
    #[must_use]
    pub(crate) fn differences(&self, baked: &ClusterSettings) -> Vec<(String, String, String)> {
        let is_asked_for = |key| key != Key::CERT_SANS && *self.origin(key) != Origin::Default;
        cluster::different(&self.cluster, baked, is_asked_for)
    }

    /// The difference if an image lacks requested add-ons; `baked` are the names of those it has,
    /// separated by commas. An image may have more add-ons than requested.
    #[must_use]
    pub(crate) fn missing_addons(&self, baked: &str) -> Option<(String, String, String)> {
        let has = |name: &String| baked.split(',').any(|other| other == name);
        let shown = if baked.is_empty() { "none" } else { baked };
        let addons = &self.bake.addons;
        (!addons.iter().all(has)).then(|| (Key::ADDONS.path().to_owned(), addons.join(","), shown.to_owned()))
    }

    /// Every setting's value as it would be written in the file; none where there is none.
    #[must_use]
    pub(crate) fn effective(&self) -> Vec<(&'static Declaration, Option<Value>)> {
        fn of<V>(settings: &'static [Setting<V>], values: &V) -> Vec<(&'static Declaration, Option<Value>)> {
            settings.iter().map(|setting| (&setting.declaration, setting.print(values))).collect()
        }
        [
            of(NAMES, self),
            of(cluster::SETTINGS, &self.cluster),
            of(CERTIFICATES, self),
            of(ports::SETTINGS, &self.ports),
            of(container::SETTINGS, &self.container),
            of(bake::SETTINGS, &self.bake),
            of(CLIENT, self),
        ]
        .concat()
    }
}

/// The name of the image that is baked where none is named.
fn default_image(kubernetes_version: &str) -> String {
    format!("kubake:latest-{}", versions::minor(kubernetes_version))
}

fn home_kubeconfig(env: &BTreeMap<String, String>) -> Option<PathBuf> {
    env.get("HOME").filter(|home| !home.is_empty()).map(|home| Path::new(home).join(".kube/config"))
}
