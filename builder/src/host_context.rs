//! What containers are told about this machine's surroundings: registries, CAs, proxies. Owns where each of it is read, that
//! `kubake-init` would understand it, and how it travels: variables by their names, files as a tar stream for a container
//! that has not started, since the engine may run on a machine that has none of them. Runs nothing, and shows no secret.

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

/// The file about registries, as a container has it.
const REGISTRIES: &str = "registries.yaml";
/// The CAs beside Debian's, as a container has them.
const EXTRA_CA_CERTS: &str = "extra-ca.crt";
/// Variables that are handed on as they are, all three or none.
const THREE: [&str; 3] = [env::REGISTRY, env::REGISTRY_USER, env::REGISTRY_PASSWORD];

/// What a container is told. By default nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HostContext {
    /// What the file about registries says, with what the files hold that it names; none without such a file.
    registries: Option<Vec<Registry>>,
    /// CAs that it trusts beside Debian's, as PEM.
    authorities: Vec<String>,
    /// One registry, as the environment has it.
    three: Vec<(String, String)>,
    /// Variables about proxies, in both spellings.
    proxies: Vec<(String, String)>,
    /// Variables about proxies that no container reaches.
    unreachable: Vec<&'static str>,
}

impl fmt::Debug for HostContext {
    // Values may be secrets, a proxy's URL as well as a password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |variables: &[(String, String)]| variables.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        formatter
            .debug_struct("HostContext")
            .field("registries", &self.registries)
            .field("authorities", &self.authorities.len())
            .field("variables", &[names(&self.three), names(&self.proxies)].concat())
            .finish_non_exhaustive()
    }
}

impl HostContext {
    /// For a build container: whom hooks trust and how they reach the world.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn for_bake(settings: &Settings, variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let host_context = Self::begin(settings, &variable, &mut problems);
        if problems.is_empty() { Ok(host_context) } else { Err(Error::Problems(problems)) }
    }

    /// For a cluster: the same and what is known of registries.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn for_up(settings: &Settings, variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let mut host_context = Self::begin(settings, &variable, &mut problems);
        let origin = || settings.origin(Key::REGISTRIES_FILE).clone();
        let mut add = |origin: Origin, error: &dyn std::error::Error| {
            problems.push(Problem { origin, message: chain(error) });
        };
        if let Some(path) = &settings.container.registries_file {
            match request::from_file(path, path.parent()) {
                Ok(registries) => host_context.registries = Some(registries),
                Err(errors) => errors.iter().for_each(|error| add(origin(), error)),
            }
        }
        // Alone it is a variable that many CI systems and scripts set for themselves.
        let is_set = |name: &str| variable(name).is_some_and(|value| !value.trim().is_empty());
        let is_login = is_set(env::REGISTRY_USER) || is_set(env::REGISTRY_PASSWORD);
        match request::from_three(|name: &str| variable(name).filter(|_| is_login)) {
            Ok(three) => {
                if three.is_some() {
                    let value = |name: &str| Some((name.to_owned(), variable(name)?));
                    host_context.three = THREE.into_iter().filter_map(value).collect();
                }
                let mut all = host_context.registries.clone().unwrap_or_default();
                if let Err(error) = request::together(&mut all, three) {
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
        // In the host's own network its loopback is the container's, too.
        let has_own_loopback = settings.container.network.as_deref() != Some("host");
        for spellings in proxies::UNDERSTOOD {
            let set = |name: &'static str| Some((name, variable(name)?)).filter(|(_, value)| !value.trim().is_empty());
            let Some((name, value)) = spellings.into_iter().find_map(set) else { continue };
            if has_own_loopback && spellings[0] != "NO_PROXY" && proxies::is_on_loopback(value.trim()) {
                host_context.unreachable.push(name);
                continue;
            }
            // In both, because the engine's client completes the one that is missing from its user's configuration.
            host_context.proxies.extend(spellings.map(|name| (name.to_owned(), value.clone())));
        }
        host_context
    }

    /// Says what is not handed on.
    pub fn warn(&self, printer: &Printer) {
        let [first, rest @ ..] = self.unreachable.as_slice() else { return };
        let (names, what) = match rest {
            [] => ((*first).to_owned(), "leads to"),
            rest => (format!("{first} and {}", rest.join(" and ")), "lead to"),
        };
        printer
            .warn(format_args!("{names} {what} a loopback address, where no container finds a proxy: not handed on"));
        printer.hint("name the proxy by an address of this machine that its containers reach");
    }

    /// CAs that are trusted beside Debian's, a block of PEM each.
    #[must_use]
    pub fn authorities(&self) -> &[String] {
        &self.authorities
    }

    /// Variables about proxies, whose values may hold passwords.
    #[must_use]
    pub fn proxies(&self) -> &[(String, String)] {
        &self.proxies
    }

    /// Variables whose values may be told: where the files are.
    #[must_use]
    pub fn variables(&self) -> Vec<(String, String)> {
        let files = [
            (env::REGISTRIES_FILE, REGISTRIES, self.registries.is_some()),
            (env::EXTRA_CA_CERTS, EXTRA_CA_CERTS, !self.authorities.is_empty()),
        ];
        let is_there = files.into_iter().filter(|(_, _, is_there)| *is_there);
        is_there.map(|(variable, file, _)| (variable.to_owned(), place(file))).collect()
    }

    /// Variables whose values may be secrets.
    #[must_use]
    pub fn secret_variables(&self) -> Vec<(String, String)> {
        self.three.iter().chain(&self.proxies).cloned().collect()
    }

    /// A tar stream of the files, for root alone, to be unpacked at `/`; none where there are none.
    ///
    /// # Errors
    /// When there is no memory left.
    pub fn pack(&self) -> io::Result<Option<Vec<u8>>> {
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
        let directory = Path::new(paths::HANDED_ON);
        let mut archive = PrivateTar::default();
        archive.directory(directory)?;
        for (name, text) in files {
            archive.file(&directory.join(name), text.as_bytes())?;
        }
        archive.finish().map(Some)
    }

    /// What a new container is told and how large it may be, by what it is called, each with what may be known of it: enough
    /// to see whether a container was made with the same, as far as that is no secret.
    #[must_use]
    pub fn marks(&self, settings: &Settings) -> BTreeMap<String, String> {
        let mut marks = BTreeMap::new();
        let mut add = |name: String, value: String| marks.insert(name, value);
        if let Some(registries) = &self.registries {
            // A hash of a password is a help to whoever wants to guess it.
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
        if let Some((name, host)) = self.three.first() {
            add(name.clone(), host.clone());
        }
        for (name, _) in self.proxies.iter().filter(|(name, _)| name == "HTTP_PROXY" || name == "HTTPS_PROXY") {
            add(name.clone(), "set".to_owned());
        }
        marks
    }
}

/// Where a container has a file.
fn place(file: &str) -> String {
    format!("{}/{file}", paths::HANDED_ON)
}

fn short(parts: &[&str]) -> String {
    digest::short(&digest::of_parts(parts)).to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;

    use super::*;
    use crate::printer::Verbosity;
    use crate::settings::Sources;

    fn settings(env: &[(&str, &str)]) -> Settings {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings::resolve(&Sources { env, ..Sources::default() }).unwrap()
    }

    fn environment<'a>(variables: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    fn certificate() -> String {
        // Of nobody: its key was never written anywhere.
        include_str!("../tests/fixtures/ca.pem").to_owned()
    }

    /// What is in a tar stream: path, mode and content.
    fn unpacked(archive: &[u8]) -> Vec<(String, u32, String)> {
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (format!("/{}", entry.path().unwrap().display()), entry.header().mode().unwrap(), text)
        });
        entries.collect()
    }

    #[test]
    fn a_file_about_registries_brings_along_what_it_names_and_means_the_same_there() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        write(
            "registries.yaml",
            "registries:\n- {host: a.example, user: ci, passwordFile: secret, caFile: ca.pem, insecure: true}\n\
             - {host: docker.io, mirrors: [https://m.example]}\n- {host: b.example, user: u, password: hunter23}\n",
        );
        write("secret", "hunter22\n");
        write("ca.pem", &certificate());
        let file = directory.path().join("registries.yaml").display().to_string();
        let settings = settings(&[("KUBAKE_REGISTRIES_FILE", &file)]);
        let host_context = HostContext::for_up(&settings, |_| None).unwrap();

        let variable = ("KUBAKE_REGISTRIES_FILE".to_owned(), "/etc/kubake/handed-on/registries.yaml".to_owned());
        assert_eq!(host_context.variables(), [variable]);
        assert!(host_context.secret_variables().is_empty());
        let files = unpacked(&host_context.pack().unwrap().unwrap());
        let shown: Vec<(&str, u32)> = files.iter().map(|(path, mode, _)| (path.as_str(), *mode)).collect();
        let expected = [
            ("/etc/kubake/handed-on", 0o700),
            ("/etc/kubake/handed-on/registries.yaml", 0o600),
            ("/etc/kubake/handed-on/registry-0.crt", 0o600),
        ];
        assert_eq!(shown, expected);
        // As kubake-init reads it: nothing leads to this machine any more.
        let root = tempfile::tempdir().unwrap();
        for (path, _, text) in &files[1..] {
            let text = text.replace(paths::HANDED_ON, &root.path().display().to_string());
            fs::write(root.path().join(Path::new(path).file_name().unwrap()), text).unwrap();
        }
        let there = request::from_file(&root.path().join("registries.yaml"), None).unwrap();
        assert_eq!(Some(there), host_context.registries);
        assert_eq!(host_context.registries.as_ref().unwrap()[0].login.as_ref().unwrap().password, "hunter22");
        let told = format!("{host_context:?} {:?}", host_context.marks(&settings));
        assert!(!told.contains("hunter2"), "{told}");
    }

    #[test]
    fn every_mistake_is_told_with_where_it_comes_from_and_no_secret() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("registries.yaml");
        fs::write(&file, "registries:\n- {host: registry, user: ci, password: hunter22}\n- {hosts: a.example}\n")
            .unwrap();
        let file = file.display().to_string();
        let settings = settings(&[("KUBAKE_REGISTRIES_FILE", &file), ("KUBAKE_EXTRA_CA_CERTS", "/dev/null")]);
        let variables =
            [("REGISTRY", "ghcr.io"), ("REGISTRY_PASSWORD", "hunter22"), ("https_proxy", "http://me:hunter22@x:port")];
        let told = HostContext::for_up(&settings, environment(&variables)).unwrap_err().to_string();
        assert_eq!(
            told,
            format!(
                "6 problems with the settings:\
                 \n  KUBAKE_EXTRA_CA_CERTS: `/dev/null`: there is no certificate in it; it takes one or more in PEM \
                 (-----BEGIN CERTIFICATE-----)\
                 \n  the environment: https_proxy: this is not the URL of a proxy; give one such as \
                 http://proxy.example:3128, or leave it out\
                 \n  KUBAKE_REGISTRIES_FILE: `{file}` registries[0].host: `registry` cannot be the registry of an image; \
                 give a host with a dot or a port, such as registry.example:5000\
                 \n  KUBAKE_REGISTRIES_FILE: `{file}` registries[1].hosts: is unknown; there are host, user, password, \
                 passwordFile, mirrors, insecure, plainHttp, caFile\
                 \n  KUBAKE_REGISTRIES_FILE: `{file}` registries[1].host: is missing\
                 \n  the environment: REGISTRY and REGISTRY_PASSWORD are set and REGISTRY_USER is not, or empty; set all \
                 three or none"
            )
        );
        // What a bake does not hand on is none of its business.
        let told = HostContext::for_bake(&settings, environment(&variables[..2])).unwrap_err().to_string();
        assert!(told.starts_with("1 problem ") && told.contains("KUBAKE_EXTRA_CA_CERTS"), "{told}");
    }

    #[test]
    fn a_registry_of_the_environment_goes_by_its_variables_and_contradicts_no_file() {
        let three = [("REGISTRY", "a.example"), ("REGISTRY_USER", "ci"), ("REGISTRY_PASSWORD", "hunter22")];
        let host_context = HostContext::for_up(&settings(&[]), environment(&three)).unwrap();
        let expected = three.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(host_context.secret_variables(), expected);
        assert!(host_context.variables().is_empty() && host_context.pack().unwrap().is_none());
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("registries.yaml");
        fs::write(&file, "registries:\n- {host: a.example, user: u, password: p}\n").unwrap();
        let settings = settings(&[("KUBAKE_REGISTRIES_FILE", &file.display().to_string())]);
        let told = HostContext::for_up(&settings, environment(&three)).unwrap_err().to_string();
        assert!(told.contains("both tell how to log in at a.example; do so once"), "{told}");
        assert!(HostContext::for_up(&settings, environment(&[("REGISTRY", ""), ("REGISTRY_USER", " ")])).is_ok());
        let host_context = HostContext::for_up(&settings, environment(&[("REGISTRY", "a.example")])).unwrap();
        assert!(host_context.secret_variables().is_empty(), "somebody's variable and no login");
    }

    #[test]
    fn proxies_are_handed_on_unless_only_this_machine_reaches_them() {
        let variables = [
            ("http_proxy", "http://127.0.0.1:3128"),
            ("HTTPS_PROXY", "http://me:hunter22@proxy.example:3128"),
            ("https_proxy", "http://other.example:1"),
            ("no_proxy", "localhost"),
        ];
        let host_context = HostContext::for_bake(&settings(&[]), environment(&variables)).unwrap();
        let names: Vec<&str> = host_context.proxies().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"]);
        assert_eq!(host_context.proxies()[1].1, variables[1].1, "of two spellings the first counts");
        let printer = Printer::capturing(Verbosity::Normal);
        host_context.warn(&printer);
        let told = printer.captured();
        assert!(told.contains("http_proxy leads to a loopback address"), "{told}");
        assert!(!format!("{told}{host_context:?}").contains("hunter22"), "{told}");

        let in_the_hosts =
            HostContext::for_bake(&settings(&[("KUBAKE_NETWORK", "host")]), environment(&variables)).unwrap();
        assert_eq!(in_the_hosts.proxies()[0], ("HTTP_PROXY".to_owned(), variables[0].1.to_owned()));
        let printer = Printer::capturing(Verbosity::Normal);
        in_the_hosts.warn(&printer);
        assert_eq!(printer.captured(), "");
    }

    #[test]
    fn marks_tell_one_request_from_another_and_no_password() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let (file, pem) = (path("registries.yaml"), path("ca.pem"));
        fs::write(&pem, certificate()).unwrap();
        let variables = [
            ("KUBAKE_REGISTRIES_FILE", file.as_str()),
            ("KUBAKE_EXTRA_CA_CERTS", pem.as_str()),
            ("KUBAKE_CPUS", "2.0"),
            ("KUBAKE_MEMORY", "2048m"),
        ];
        let settings = settings(&variables);
        let outside = [
            ("REGISTRY", "ghcr.io"),
            ("REGISTRY_USER", "ci"),
            ("REGISTRY_PASSWORD", "p"),
            ("HTTP_PROXY", "proxy.example:1"),
        ];
        let marks = |text: &str| {
            fs::write(&file, text).unwrap();
            HostContext::for_up(&settings, environment(&outside)).unwrap().marks(&settings)
        };
        let one = marks("registries:\n- {host: a.example, user: u, password: one}\n");
        let names: Vec<&str> = one.keys().map(String::as_str).collect();
        assert_eq!(names, ["HTTP_PROXY", "REGISTRY", "cpus", "extraCaCerts", "memory", "registriesFile"]);
        assert_eq!((one["cpus"].as_str(), one["memory"].as_str(), one["REGISTRY"].as_str()), ("2", "2g", "ghcr.io"));
        assert_eq!(marks("registries:\n- {host: a.example, user: u, password: other}\n"), one);
        assert_ne!(marks("registries:\n- {host: a.example, user: other, password: one}\n"), one);
    }
}
