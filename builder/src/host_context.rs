//! What a container receives of this host's context: registries, CAs, proxies. Owns where each is read, the check that
//! `kubake-init` will accept it, and how it travels: variables by name, files as a tar stream into a container that has not
//! started, since the engine may run on another machine. Runs nothing, and shows no secret.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use kubake_contract::authorities;
use kubake_contract::proxies::{self, Proxies};
use kubake_contract::registries::{self, Login, Registry, request};
use kubake_contract::{env, paths};

use crate::digest;
use crate::printer::{Printer, chain};
use crate::private_tar::PrivateTar;
use crate::settings::{Error, Key, Origin, Problem, Settings};

/// Name of the registries file in a container.
const REGISTRIES: &str = "registries.yaml";
/// Name in a container of the file with CAs besides Debian's.
const EXTRA_CA_CERTS: &str = "extra-ca.crt";
/// Variables of one registry's login, which a container receives unchanged: all three or none.
const LOGIN_VARIABLES: [&str; 3] = [env::REGISTRY, env::REGISTRY_USER, env::REGISTRY_PASSWORD];

/// What a container receives of this host; nothing by default.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct HostContext {
    /// The registries file, with the content of the files that it names; none without such a file.
    registries: Option<Vec<Registry>>,
    /// CAs that the container trusts besides Debian's, as PEM.
    authorities: Vec<String>,
    /// The variables of one registry's login, where the environment has them.
    login: Vec<(String, String)>,
    /// Proxy variables, in both spellings.
    proxies: Vec<(String, String)>,
    /// Proxy variables whose proxy no container reaches.
    unreachable: Vec<&'static str>,
}

impl fmt::Debug for HostContext {
    // Values may be secrets: a password, or a proxy's URL with one.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |variables: &[(String, String)]| variables.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        formatter
            .debug_struct("HostContext")
            .field("registries", &self.registries)
            .field("authorities", &self.authorities.len())
            .field("variables", &[names(&self.login), names(&self.proxies)].concat())
            .finish_non_exhaustive()
    }
}

impl HostContext {
    /// Collects what the hooks of a build container need: CAs and proxies.
    ///
    /// # Errors
    /// All problems at once.
    pub(crate) fn for_bake(settings: &Settings, variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let host_context = Self::begin(settings, &variable, &mut problems);
        if problems.is_empty() { Ok(host_context) } else { Err(Error::Problems(problems)) }
    }

    /// Collects what a cluster needs: CAs, proxies and registries.
    ///
    /// # Errors
    /// All problems at once.
    pub(crate) fn for_up(settings: &Settings, variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let mut host_context = Self::begin(settings, &variable, &mut problems);
        let origin = || settings.origin(Key::REGISTRIES_FILE).clone();
        let mut add = |origin: Origin, error: &(dyn std::error::Error + 'static)| {
            problems.push(Problem { origin, message: chain(error) });
        };
        if let Some(path) = &settings.container.registries_file {
            match request::from_file(path, path.parent()) {
                Ok(registries) => host_context.registries = Some(registries),
                Err(errors) => errors.iter().for_each(|error| add(origin(), error)),
            }
        }
        // Many CI systems and scripts set REGISTRY alone, for purposes of their own.
        let is_set = |name: &str| variable(name).is_some_and(|value| !value.trim().is_empty());
        let is_login = is_set(env::REGISTRY_USER) || is_set(env::REGISTRY_PASSWORD);
        match request::from_three(|name: &str| variable(name).filter(|_| is_login)) {
            Ok(login) => {
                if login.is_some() {
                    let value = |name: &str| Some((name.to_owned(), variable(name)?));
                    host_context.login = LOGIN_VARIABLES.into_iter().filter_map(value).collect();
                }
                let mut all = host_context.registries.clone().unwrap_or_default();
                if let Err(error) = request::together(&mut all, login) {
                    add(origin(), &error);
                }
            }
            Err(errors) => errors.iter().for_each(|error| add(Origin::Environment, error)),
        }
        if problems.is_empty() { Ok(host_context) } else { Err(Error::Problems(problems)) }
    }

    fn begin(settings: &Settings, variable: &dyn Fn(&str) -> Option<String>, problems: &mut Vec<Problem>) -> Self {
        let mut host_context = Self::default();
        if let Some(path) = &settings.container.extra_ca_certs {
            match authorities::from_file(path) {
                Ok(authorities) => host_context.authorities = authorities,
                Err(error) => problems
                    .push(Problem { origin: settings.origin(Key::EXTRA_CA_CERTS).clone(), message: chain(&error) }),
            }
        }
        if let Err(errors) = Proxies::from_variables(variable) {
            let problem = |error: &proxies::ProxyError| Problem { origin: Origin::Environment, message: chain(error) };
            problems.extend(errors.iter().map(problem));
            return host_context;
        }
        // In the host's network, the host's loopback interface is the container's.
        let has_own_loopback = settings.container.network.as_deref() != Some("host");
        for spellings in proxies::UNDERSTOOD {
            let set = |name: &'static str| Some((name, variable(name)?)).filter(|(_, value)| !value.trim().is_empty());
            let Some((name, value)) = spellings.into_iter().find_map(set) else { continue };
            if has_own_loopback && spellings[0] != "NO_PROXY" && proxies::is_on_loopback(value.trim()) {
                host_context.unreachable.push(name);
                continue;
            }
            // Both spellings, because the engine's client takes a missing one from its user's configuration.
            host_context.proxies.extend(spellings.map(|name| (name.to_owned(), value.clone())));
        }
        host_context
    }

    /// Warns about proxies that containers do not receive.
    pub(crate) fn warn(&self, printer: &Printer) {
        let [first, rest @ ..] = self.unreachable.as_slice() else { return };
        let (names, what) = match rest {
            [] => ((*first).to_owned(), "leads to"),
            rest => (format!("{first} and {}", rest.join(" and ")), "lead to"),
        };
        printer.warn(format_args!(
            "{names} {what} a loopback address, which containers cannot reach; they do not receive it"
        ));
        printer.hint("name the proxy by an address of this machine that its containers reach");
    }

    /// CAs that containers trust besides Debian's, one PEM block each.
    #[must_use]
    pub(crate) fn authorities(&self) -> &[String] {
        &self.authorities
    }

    /// Proxy variables; their values may hold passwords.
    #[must_use]
    pub(crate) fn proxies(&self) -> &[(String, String)] {
        &self.proxies
    }

    /// Variables whose values may be shown: the paths of the files in the container.
    #[must_use]
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let files = [
            (env::REGISTRIES_FILE, REGISTRIES, self.registries.is_some()),
            (env::EXTRA_CA_CERTS, EXTRA_CA_CERTS, !self.authorities.is_empty()),
        ];
        let is_there = files.into_iter().filter(|(_, _, is_there)| *is_there);
        is_there.map(|(variable, file, _)| (variable.to_owned(), place(file))).collect()
    }

    /// Variables whose values may be secrets.
    #[must_use]
    pub(crate) fn secret_variables(&self) -> Vec<(String, String)> {
        self.login.iter().chain(&self.proxies).cloned().collect()
    }

    /// Packs the files, readable by root alone, into a tar stream to unpack at `/`; none without files.
    ///
    /// # Errors
    /// When the stream cannot be written into memory.
    pub(crate) fn pack(&self) -> io::Result<Option<Vec<u8>>> {
        let mut files = Vec::new();
        if let Some(registries) = &self.registries {
            let ca_file = |index: usize| format!("registry-{index}.crt");
            files.push((REGISTRIES.to_owned(), registries::text(registries, |index| place(&ca_file(index)))));
            let with_authorities =
                registries.iter().enumerate().filter(|(_, registry)| !registry.authorities.is_empty());
            files.extend(with_authorities.map(|(index, registry)| (ca_file(index), registry.authorities.concat())));
        }
        if !self.authorities.is_empty() {
            files.push((EXTRA_CA_CERTS.to_owned(), self.authorities.concat()));
        }
        if files.is_empty() {
            return Ok(None);
        }
        let directory = Path::new(paths::HOST_CONTEXT);
        let mut archive = PrivateTar::default();
        archive.directory(directory)?;
        for (name, text) in files {
            archive.file(&directory.join(name), text.as_bytes())?;
        }
        archive.finish().map(Some)
    }

    /// What a new container receives and its limits, as name and comparable value. Values hold no secret: they show whether
    /// another container received the same, as far as that can be known without one.
    #[must_use]
    pub(crate) fn marks(&self, settings: &Settings) -> BTreeMap<String, String> {
        let mut marks = BTreeMap::new();
        let mut add = |name: String, value: String| marks.insert(name, value);
        if let Some(registries) = &self.registries {
            // A hash of a password would help to guess it.
            let mut open = registries.clone();
            for login in open.iter_mut().filter_map(|registry| registry.login.as_mut()) {
                *login = Login { user: login.user.clone(), password: "-".to_owned() };
            }
            let authorities = open.iter().map(|registry| registry.authorities.concat()).collect::<Vec<_>>().join("-");
            add(
                Key::REGISTRIES_FILE.path().to_owned(),
                short(&[&registries::text(&open, |_| String::new()), &authorities]),
            );
        }
        if !self.authorities.is_empty() {
            add(Key::EXTRA_CA_CERTS.path().to_owned(), short(&[&self.authorities.concat()]));
        }
        if let Some(cpus) = settings.container.cpus {
            add(Key::CPUS.path().to_owned(), cpus.to_string());
        }
        if let Some(memory) = settings.container.memory {
            add(Key::MEMORY.path().to_owned(), memory.to_string());
        }
        if let Some((name, host)) = self.login.first() {
            add(name.clone(), host.clone());
        }
        for (name, _) in self.proxies.iter().filter(|(name, _)| name == "HTTP_PROXY" || name == "HTTPS_PROXY") {
            add(name.clone(), "set".to_owned());
        }
        marks
    }
}

/// The path of a file in the container.
fn place(file: &str) -> String {
    format!("{}/{file}", paths::HOST_CONTEXT)
}

fn short(parts: &[&str]) -> String {
    digest::short(&digest::of_parts(parts)).to_owned()
}

#[cfg(test)]
mod tests;
