//! The settings of a new container: what it receives from this machine and how much of it it may use. Owns their
//! declarations and values.

use std::path::PathBuf;

use super::limits::{Cpus, Memory};
use super::setting::{Declaration, Key, Setting, Subcommand, print_path, store};

impl Key {
    pub(crate) const TOKEN_FILE: Self = Self::new("tokenFile");
    pub(crate) const NETWORK: Self = Self::new("network");
    pub(crate) const REGISTRIES_FILE: Self = Self::new("registriesFile");
    pub(crate) const EXTRA_CA_CERTS: Self = Self::new("extraCaCerts");
    pub(crate) const CPUS: Self = Self::new("cpus");
    pub(crate) const MEMORY: Self = Self::new("memory");
}

/// Options of a new container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ContainerSettings {
    /// The file with the token that guards a container's credentials.
    pub(crate) token_file: Option<PathBuf>,
    /// The engine's network; none is the engine's default.
    pub(crate) network: Option<String>,
    /// A file about registries for the container.
    pub(crate) registries_file: Option<PathBuf>,
    /// A file of CAs that containers trust.
    pub(crate) extra_ca_certs: Option<PathBuf>,
    /// How many processors the container may use; none is all.
    pub(crate) cpus: Option<Cpus>,
    /// How much memory the container may use; none is all.
    pub(crate) memory: Option<Memory>,
}

pub(super) const SETTINGS: &[Setting<ContainerSettings>] = &[
    Setting::path(
        Declaration {
            key: Key::TOKEN_FILE,
            flag: "--token-file",
            env: &["KUBAKE_TOKEN_FILE"],
            placeholder: "FILE",
            about: "file with the token that guards the container's credentials and logs",
            ..Declaration::BASE
        },
        |container, text| store(&mut container.token_file, Ok(PathBuf::from(text))),
        |container| print_path(container.token_file.as_ref()),
    ),
    Setting::one(
        Declaration {
            key: Key::NETWORK,
            flag: "--network",
            env: &["KUBAKE_NETWORK"],
            placeholder: "NAME",
            default: "the engine's",
            about: "the engine's network that the container joins",
            subcommands: &[Subcommand::Bake, Subcommand::Bench],
            ..Declaration::BASE
        },
        |container, text| store(&mut container.network, Ok(text.to_owned())),
        |container| container.network.clone(),
    ),
    Setting::path(
        Declaration {
            key: Key::REGISTRIES_FILE,
            flag: "--registries-file",
            env: &["KUBAKE_REGISTRIES_FILE"],
            placeholder: "FILE",
            about: "file with logins, mirrors and CAs of registries for a new container; the files that it names are read on this machine",
            ..Declaration::BASE
        },
        |container, text| store(&mut container.registries_file, Ok(PathBuf::from(text))),
        |container| print_path(container.registries_file.as_ref()),
    ),
    Setting::path(
        Declaration {
            key: Key::EXTRA_CA_CERTS,
            flag: "--extra-ca-certs",
            env: &["KUBAKE_EXTRA_CA_CERTS"],
            placeholder: "FILE",
            about: "PEM file with CAs that a new container and the hooks of a bake trust besides Debian's",
            subcommands: &[Subcommand::Bake],
            ..Declaration::BASE
        },
        |container, text| store(&mut container.extra_ca_certs, parse_path_of_pem(text)),
        |container| print_path(container.extra_ca_certs.as_ref()),
    ),
    Setting::one(
        Declaration {
            key: Key::CPUS,
            flag: "--cpus",
            env: &["KUBAKE_CPUS"],
            placeholder: "NUMBER",
            default: "the host's",
            about: "number of processors that a new container may use, such as `2.5`; the node is no larger",
            ..Declaration::BASE
        },
        |container, text| store(&mut container.cpus, Cpus::parse(text)),
        |container| container.cpus.map(|cpus| cpus.to_string()),
    ),
    Setting::one(
        Declaration {
            key: Key::MEMORY,
            flag: "--memory",
            env: &["KUBAKE_MEMORY"],
            placeholder: "SIZE",
            default: "the host's",
            about: "amount of memory that a new container may use, such as `4g`, at least `1g`; the node has no more",
            ..Declaration::BASE
        },
        |container, text| store(&mut container.memory, Memory::parse(text)),
        |container| container.memory.map(|memory| memory.to_string()),
    ),
];

/// Takes the path of a PEM file. In a container the variable of this name may hold the PEM text itself, which must be
/// neither opened as a file nor quoted in a message.
fn parse_path_of_pem(text: &str) -> Result<PathBuf, String> {
    if text.contains("-----BEGIN") {
        return Err("this is PEM itself; put it into a file and give its path".to_owned());
    }
    Ok(PathBuf::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_is_no_path_and_is_not_quoted() {
        assert_eq!(parse_path_of_pem("ca.pem"), Ok(PathBuf::from("ca.pem")));
        assert!(!parse_path_of_pem("-----BEGIN CERTIFICATE-----\nMII").unwrap_err().contains("MII"));
    }
}
