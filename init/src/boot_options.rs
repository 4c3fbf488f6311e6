//! Boot options from the environment, except identity (`identity::Request`) and token. The modules that own an option parse
//! it; this one parses switches and numbers that belong to no other module, and collects all mistakes. Applies nothing.

use std::time::Duration;

use kubake_contract::authorities;
use kubake_contract::error_chain::chain;
use kubake_contract::hooks;
use kubake_contract::proxies::Proxies;
use kubake_contract::registries::{self, Registry};
use kubake_contract::{BOOT_TIMEOUT, STOP_TIMEOUT, env, ports};
use tracing_subscriber::EnvFilter;

use crate::kubeconfig::address;

/// Options of one boot; the default is a boot without any variable.
#[derive(Debug)]
pub(crate) struct BootOptions {
    /// The node is as large as the container's limits ([`env::ENFORCE_CAPACITY`]).
    pub is_capacity_enforced: bool,
    /// Mirrors, logins and CAs of registries ([`env::REGISTRY`], [`env::REGISTRIES_FILE`]).
    pub registries: Vec<Registry>,
    /// CAs to trust in addition to Debian's, as PEM ([`env::EXTRA_CA_CERTS`]).
    pub authorities: Vec<String>,
    /// Time limit of hooks, and whether a failed one ends the boot ([`env::HOOK_TIMEOUT`], [`env::HOOK_FAILURE`]).
    pub hooks: hooks::Policy,
    /// Proxies for programs that pull images.
    pub proxies: Option<Proxies>,
    /// The port at which clients outside the container reach the API server ([`env::API_PORT`]).
    pub api_port: u16,
    /// Whether the Docker API is also served without TLS ([`env::DOCKER_TCP`]).
    pub is_docker_tcp_served: bool,
    /// Whether the boot fails when the static IP seems to be in use ([`env::STATIC_IP_CHECK`]).
    pub is_static_ip_checked: bool,
    /// Time without readiness after which the boot fails ([`env::BOOT_TIMEOUT`]).
    pub boot_timeout: Duration,
    /// After how much time the engine kills a container that it stops ([`env::STOP_TIMEOUT`]).
    pub stop_timeout: Duration,
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
            stop_timeout: STOP_TIMEOUT,
        }
    }
}

/// A switch or a number that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BootOptionError {
    #[error("{variable}: `{text}` is neither `on` (the default) nor `off`; set it to one of them")]
    Switch { variable: &'static str, text: String },
    #[error("{}: `{text}` is not a port; set a number from 1 to 65535, or leave it out", env::API_PORT)]
    Port { text: String },
    #[error("{variable}: `{text}` is not a number of seconds; set one such as `{example}`, or leave it out")]
    Seconds { variable: &'static str, text: String, example: u64 },
    #[error("{}: `{text}` is not a filter; set one such as `debug`, or leave it out", env::LOG)]
    Filter { text: String },
}

impl BootOptions {
    /// Returns the options of a bake: only those that concern its network, because other options belong to one container and
    /// must not get into the image.
    ///
    /// # Errors
    /// Every mistake, one sentence each.
    pub(crate) fn of_a_bake(get: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let boot_options = Self::of_all(&get, &mut problems);
        if problems.is_empty() { Ok(boot_options) } else { Err(problems) }
    }

    /// Parses the variables that `get` returns.
    ///
    /// # Errors
    /// Every mistake, one sentence each.
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
        // CI systems set variables without a value to the empty string; the check is the default.
        match switch(env::STATIC_IP_CHECK, get(env::STATIC_IP_CHECK).filter(|text| !text.is_empty())) {
            Ok(is_on) => boot_options.is_static_ip_checked = is_on,
            Err(error) => problems.push(error.to_string()),
        }
        match seconds(env::BOOT_TIMEOUT, get(env::BOOT_TIMEOUT), BOOT_TIMEOUT) {
            Ok(timeout) => boot_options.boot_timeout = timeout,
            Err(error) => problems.push(error.to_string()),
        }
        match seconds(env::STOP_TIMEOUT, get(env::STOP_TIMEOUT), STOP_TIMEOUT) {
            Ok(timeout) => boot_options.stop_timeout = timeout,
            Err(error) => problems.push(error.to_string()),
        }
        if problems.is_empty() { Ok(boot_options) } else { Err(problems) }
    }

    /// Time for an orderly stop: a second less than the engine grants, in which what is left is killed and counted.
    #[must_use]
    pub(crate) fn orderly_stop(&self) -> Duration {
        self.stop_timeout.saturating_sub(Duration::from_secs(1))
    }

    /// Parses what boots and bakes have in common.
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
        // An empty value is a mistake here: an `off` that got lost on the way would leave a port open.
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

/// Parses a switch that is on by default. A mistyped `off` is a mistake.
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

/// Most seconds that make sense; more would overflow a clock.
const MOST_SECONDS: u64 = 365 * 24 * 3600;

fn seconds(variable: &'static str, text: Option<String>, default: Duration) -> Result<Duration, BootOptionError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(default) };
    let seconds = text.parse().ok().filter(|seconds| (1..=MOST_SECONDS).contains(seconds));
    let mistake = || BootOptionError::Seconds { variable, text: shown(&text), example: default.as_secs() };
    seconds.map(Duration::from_secs).ok_or_else(mistake)
}

/// Only checks the filter: logging has already started, with `info` instead of an invalid filter.
fn log_filter(text: Option<String>) -> Result<(), BootOptionError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(()) };
    EnvFilter::try_new(&text).map(drop).map_err(|_| BootOptionError::Filter { text: shown(&text) })
}

/// Returns the text shortened and on one line, for a message.
fn shown(text: &str) -> String {
    text.escape_debug().take(100).collect()
}

/// Any value that is not empty means yes, as in bsycorp/kind, except for words that say no.
fn is_yes(value: &str) -> bool {
    let value = value.trim().to_ascii_lowercase();
    !matches!(value.as_str(), "" | "off" | "0" | "false" | "no")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacity_is_enforced_unless_the_value_says_no() {
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
    fn switches_and_numbers_are_parsed_and_mistakes_name_the_variable() {
        let ask = |variable: &str, text: &str| {
            BootOptions::from_variables(|name| (name == variable).then(|| text.to_owned()))
                .map_err(|mistakes| mistakes.join("\n"))
        };
        for (text, is_on) in [("on", true), ("off", false)] {
            assert_eq!(ask(env::DOCKER_TCP, text).unwrap().is_docker_tcp_served, is_on);
            assert_eq!(ask(env::STATIC_IP_CHECK, text).unwrap().is_static_ip_checked, is_on);
        }
        assert_eq!(ask(env::API_PORT, "32768").unwrap().api_port, 32768);
        assert_eq!(ask(env::BOOT_TIMEOUT, "60").unwrap().boot_timeout, Duration::from_secs(60));
        assert_eq!(ask(env::STOP_TIMEOUT, "120").unwrap().orderly_stop(), Duration::from_secs(119));
        assert!(ask(env::LOG, "warn,kubake_init=debug").is_ok());
        for variable in [env::STATIC_IP_CHECK, env::API_PORT, env::BOOT_TIMEOUT, env::STOP_TIMEOUT, env::LOG] {
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
            (env::STOP_TIMEOUT, &["0", "2m", "99999999999"], "not a number of seconds; set one such as `10`"),
            (env::LOG, &["kubake_init=loud"], "not a filter; set one such as `debug`"),
        ] {
            for text in texts {
                let mistakes = ask(variable, text).unwrap_err();
                assert!(mistakes.starts_with(&format!("{variable}: `{text}` is {end}")), "{mistakes}");
            }
        }
        assert!(!ask(env::API_PORT, "1\n2").unwrap_err().contains('\n'), "one line");
    }

    #[test]
    fn all_mistakes_are_reported_together() {
        let variables =
            [(env::EXTRA_CA_CERTS, "/dev/null"), (env::REGISTRY, "ghcr.io"), (env::REGISTRIES_FILE, "/none")];
        let get = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let mistakes = BootOptions::from_variables(get).unwrap_err().join("\n");
        for part in ["KUBAKE_EXTRA_CA_CERTS: ", "REGISTRY is set and ", "KUBAKE_REGISTRIES_FILE: cannot read `/none`"] {
            assert!(mistakes.contains(part), "{mistakes}");
        }
        assert!(
            BootOptions::of_a_bake(get).is_ok_and(|boot_options| boot_options.registries.is_empty()),
            "a bake ignores them"
        );
    }
}
