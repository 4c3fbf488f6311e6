//! What whoever starts a container asks for by variables, beside its identity (`identity::Request`) and its token. Gathers
//! what the modules understand that these things belong to, understands the switches and numbers that belong to none, and
//! tells all that is wrong with it; does none of it.

use std::time::Duration;

use tracing_subscriber::EnvFilter;

use crate::authorities;
use crate::hooks;
use crate::kubeconfig::address;
use crate::registries::{self, Registry};
use kubake_contract::error_chain::chain;
use kubake_contract::proxies::Proxies;
use kubake_contract::{BOOT_TIMEOUT, env, ports};

/// What is asked for. By default nothing.
#[derive(Debug)]
pub(crate) struct BootOptions {
    /// The node is as large as the container's limits ([`env::ENFORCE_CAPACITY`]).
    pub is_capacity_enforced: bool,
    /// What is known of registries ([`env::REGISTRY`], [`env::REGISTRIES_FILE`]).
    pub registries: Vec<Registry>,
    /// CAs to trust beside Debian's, as PEM ([`env::EXTRA_CA_CERTS`]).
    pub authorities: Vec<String>,
    /// How hooks of the boot are treated ([`env::HOOK_TIMEOUT`], [`env::HOOK_FAILURE`]).
    pub hooks: hooks::Policy,
    /// Proxies for whoever pulls images.
    pub proxies: Option<Proxies>,
    /// The port under which callers outside reach the API server ([`env::API_PORT`]).
    pub api_port: u16,
    /// Whether the Docker API is also served without TLS ([`env::DOCKER_TCP`]).
    pub is_docker_tcp_served: bool,
    /// Whether a static IP is refused that something else seems to have ([`env::STATIC_IP_CHECK`]).
    pub is_static_ip_checked: bool,
    /// After how long without readiness the boot is given up ([`env::BOOT_TIMEOUT`]).
    pub boot_timeout: Duration,
}

impl Default for BootOptions {
    fn default() -> Self {
        Self {
            is_capacity_enforced: false,
            registries: Vec::new(),
            authorities: Vec::new(),
            hooks: hooks::Policy::default(),
            proxies: None,
            api_port: ports::API,
            is_docker_tcp_served: true,
            is_static_ip_checked: true,
            boot_timeout: BOOT_TIMEOUT,
        }
    }
}

/// A switch or a number that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BootOptionError {
    /// Neither of two.
    #[error("{variable}: `{text}` is neither `on` (the default) nor `off`; set it to one of them")]
    Switch {
        /// The variable.
        variable: &'static str,
        /// What it is.
        text: String,
    },
    /// Not a port.
    #[error("{}: `{text}` is not a port; set a number from 1 to 65535, or leave it out", env::API_PORT)]
    Port {
        /// What it is.
        text: String,
    },
    /// Not a time.
    #[error("{}: `{text}` is not a number of seconds; set one such as `900`, or leave it out", env::BOOT_TIMEOUT)]
    Seconds {
        /// What it is.
        text: String,
    },
    /// Not a filter.
    #[error("{}: `{text}` is not a filter; set one such as `debug`, or leave it out", env::LOG)]
    Filter {
        /// What it is.
        text: String,
    },
}

impl BootOptions {
    /// What a bake is asked for: how to reach the world and how to be reached, and else nothing, since no container shares
    /// what an image is baked with.
    ///
    /// # Errors
    /// Everything that is wrong, a sentence each.
    pub(crate) fn of_a_bake(get: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let boot_options = Self::of_all(&get, &mut problems);
        if problems.is_empty() { Ok(boot_options) } else { Err(problems) }
    }

    /// Understands the variables that `get` finds.
    ///
    /// # Errors
    /// Everything that is wrong, a sentence each.
    pub(crate) fn from_variables(get: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let mut boot_options = Self {
            is_capacity_enforced: get(env::ENFORCE_CAPACITY).is_some_and(|value| is_yes(&value)),
            ..Self::of_all(&get, &mut problems)
        };
        match hooks::Policy::from_variables(&get) {
            Ok(policy) => boot_options.hooks = policy,
            Err(errors) => problems.extend(errors.iter().map(ToString::to_string)),
        }
        match registries::request::from_variables(&get) {
            Ok(registries) => boot_options.registries = registries,
            Err(errors) => problems.extend(errors.iter().map(|error| chain(error))),
        }
        match authorities::from_variable(get(env::EXTRA_CA_CERTS)) {
            Ok(authorities) => boot_options.authorities = authorities,
            Err(error) => problems.push(chain(&error)),
        }
        // CI systems set what they have no value for to nothing, and the check is what happens without.
        match switch(env::STATIC_IP_CHECK, get(env::STATIC_IP_CHECK).filter(|text| !text.is_empty())) {
            Ok(is_on) => boot_options.is_static_ip_checked = is_on,
            Err(error) => problems.push(error.to_string()),
        }
        match boot_timeout(get(env::BOOT_TIMEOUT)) {
            Ok(timeout) => boot_options.boot_timeout = timeout,
            Err(error) => problems.push(error.to_string()),
        }
        if problems.is_empty() { Ok(boot_options) } else { Err(problems) }
    }

    /// What every role is asked for.
    fn of_all(get: impl Fn(&str) -> Option<String>, problems: &mut Vec<String>) -> Self {
        let mut boot_options = Self::default();
        match Proxies::from_variables(&get) {
            Ok(proxies) => boot_options.proxies = proxies,
            Err(errors) => problems.extend(errors.iter().map(ToString::to_string)),
        }
        match api_port(get(env::API_PORT)) {
            Ok(port) => boot_options.api_port = port,
            Err(error) => problems.push(error.to_string()),
        }
        // Empty is no switch here: somebody who meant `off` and lost it on the way would have an open port.
        match switch(env::DOCKER_TCP, get(env::DOCKER_TCP)) {
            Ok(is_on) => boot_options.is_docker_tcp_served = is_on,
            Err(error) => problems.push(error.to_string()),
        }
        if let Err(error) = log_filter(get(env::LOG)) {
            problems.push(error.to_string());
        }
        boot_options
    }
}

/// A switch that is on where it is not set. A mistyped `off` is none, so it is told.
fn switch(variable: &'static str, text: Option<String>) -> Result<bool, BootOptionError> {
    match text.as_deref() {
        None | Some("on") => Ok(true),
        Some("off") => Ok(false),
        Some(text) => Err(BootOptionError::Switch { variable, text: shown(text) }),
    }
}

fn api_port(text: Option<String>) -> Result<u16, BootOptionError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(ports::API) };
    address::port(&text).map_err(|_| BootOptionError::Port { text: shown(&text) })
}

fn boot_timeout(text: Option<String>) -> Result<Duration, BootOptionError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(BOOT_TIMEOUT) };
    let seconds = text.parse().ok().filter(|seconds| *seconds != 0);
    seconds.map(Duration::from_secs).ok_or_else(|| BootOptionError::Seconds { text: shown(&text) })
}

/// Looked at only: the log has begun long before, with `info` where this is no filter.
fn log_filter(text: Option<String>) -> Result<(), BootOptionError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(()) };
    EnvFilter::try_new(&text).map(drop).map_err(|_| BootOptionError::Filter { text: shown(&text) })
}

/// As it can be told on one line.
fn shown(text: &str) -> String {
    text.escape_debug().take(100).collect()
}

/// bsycorp/kind takes any value that is not empty for yes; those that say no in so many words mean it.
fn is_yes(value: &str) -> bool {
    let value = value.trim().to_ascii_lowercase();
    !matches!(value.as_str(), "" | "off" | "0" | "false" | "no")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacity_is_enforced_for_whatever_does_not_say_no() {
        let asks = |value: Option<&str>| {
            let get = |name: &str| value.filter(|_| name == "ENFORCE_CAPACITY").map(str::to_owned);
            BootOptions::from_variables(get).unwrap().is_capacity_enforced
        };
        for yes in ["1", "true", "on", "yes", "please"] {
            assert!(asks(Some(yes)), "{yes}");
        }
        for no in [None, Some(""), Some("off"), Some("0"), Some("False"), Some(" no ")] {
            assert!(!asks(no), "{no:?}");
        }
    }

    #[test]
    fn switches_and_numbers_are_what_they_say_or_told_with_their_variable() {
        let ask = |variable: &str, text: &str| {
            BootOptions::from_variables(|name| (name == variable).then(|| text.to_owned()))
                .map_err(|told| told.join("\n"))
        };
        for (text, is_on) in [("on", true), ("off", false)] {
            assert_eq!(ask(env::DOCKER_TCP, text).unwrap().is_docker_tcp_served, is_on);
            assert_eq!(ask(env::STATIC_IP_CHECK, text).unwrap().is_static_ip_checked, is_on);
        }
        assert_eq!(ask(env::API_PORT, "32768").unwrap().api_port, 32768);
        assert_eq!(ask(env::BOOT_TIMEOUT, "60").unwrap().boot_timeout, Duration::from_secs(60));
        assert!(ask(env::LOG, "warn,kubake_init=debug").is_ok());
        for variable in [env::STATIC_IP_CHECK, env::API_PORT, env::BOOT_TIMEOUT, env::LOG] {
            let boot_options = ask(variable, "").unwrap();
            assert_eq!(
                (boot_options.api_port, boot_options.boot_timeout),
                (ports::API, BOOT_TIMEOUT),
                "empty is not set"
            );
            assert!(boot_options.is_static_ip_checked);
        }
        for (variable, texts, end) in [
            (env::DOCKER_TCP, &["", "OFF", "false", "0", "of"][..], "neither `on` (the default) nor `off`; set it"),
            (env::STATIC_IP_CHECK, &["no", "Off"], "neither `on` (the default) nor `off`; set it to one of them"),
            (env::API_PORT, &["0", "65536", "http", "-1", "+1"], "not a port; set a number from 1 to 65535"),
            (env::BOOT_TIMEOUT, &["0", "15m", "-1"], "not a number of seconds; set one such as `900`"),
            (env::LOG, &["kubake_init=loud"], "not a filter; set one such as `debug`"),
        ] {
            for text in texts {
                let told = ask(variable, text).unwrap_err();
                assert!(told.starts_with(&format!("{variable}: `{text}` is {end}")), "{told}");
            }
        }
        assert!(!ask(env::API_PORT, "1\n2").unwrap_err().contains('\n'), "one line");
    }

    #[test]
    fn the_mistakes_of_all_are_told_together() {
        let variables =
            [(env::EXTRA_CA_CERTS, "/dev/null"), (env::REGISTRY, "ghcr.io"), (env::REGISTRIES_FILE, "/none")];
        let get = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let told = BootOptions::from_variables(get).unwrap_err().join("\n");
        for part in ["KUBAKE_EXTRA_CA_CERTS: ", "REGISTRY is set and ", "KUBAKE_REGISTRIES_FILE: cannot read `/none`"] {
            assert!(told.contains(part), "{told}");
        }
        assert!(
            BootOptions::of_a_bake(get).is_ok_and(|boot_options| boot_options.registries.is_empty()),
            "none of it is its business"
        );
    }
}
