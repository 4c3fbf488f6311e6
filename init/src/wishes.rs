//! What whoever starts a container asks for by variables, beside its identity (`identity::Request`) and its token. Only
//! gathers what the modules understand that these things belong to, and all that is wrong with it; does none of it.

use crate::authorities;
use crate::contract::env;
use crate::hooks;
use crate::phases::chain;
use crate::proxies::Proxies;
use crate::registries::{self, Registry};

/// What is asked for. By default nothing.
#[derive(Debug, Default)]
pub struct Wishes {
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
}

impl Wishes {
    /// What a bake is asked for: how to reach the world, and else nothing, since no container shares what an image is
    /// baked with.
    ///
    /// # Errors
    /// Everything that is wrong, a sentence each.
    pub fn of_a_bake(get: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<String>> {
        Ok(Self { proxies: proxies(get)?, ..Self::default() })
    }

    /// Understands the variables that `get` finds.
    ///
    /// # Errors
    /// Everything that is wrong, a sentence each.
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let wishes = Self {
            proxies: proxies(&get).unwrap_or_else(|found| {
                problems.extend(found);
                None
            }),
            hooks: hooks::Policy::from_variables(&get).unwrap_or_else(|found| {
                problems.extend(found);
                hooks::Policy::default()
            }),
            is_capacity_enforced: get(env::ENFORCE_CAPACITY).is_some_and(|value| is_yes(&value)),
            registries: registries::request::from_variables(&get).unwrap_or_else(|errors| {
                problems.extend(errors.iter().map(|error| chain(error)));
                Vec::new()
            }),
            authorities: authorities::from_variable(get(env::EXTRA_CA_CERTS)).unwrap_or_else(|error| {
                problems.push(chain(&error));
                Vec::new()
            }),
        };
        if problems.is_empty() { Ok(wishes) } else { Err(problems) }
    }
}

fn proxies(get: impl Fn(&str) -> Option<String>) -> Result<Option<Proxies>, Vec<String>> {
    Proxies::from_variables(get).map_err(|errors| errors.iter().map(ToString::to_string).collect())
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
            Wishes::from_variables(get).unwrap().is_capacity_enforced
        };
        for yes in ["1", "true", "on", "yes", "please"] {
            assert!(asks(Some(yes)), "{yes}");
        }
        for no in [None, Some(""), Some("off"), Some("0"), Some("False"), Some(" no ")] {
            assert!(!asks(no), "{no:?}");
        }
    }

    #[test]
    fn the_mistakes_of_all_are_told_together() {
        let variables =
            [(env::EXTRA_CA_CERTS, "/dev/null"), (env::REGISTRY, "ghcr.io"), (env::REGISTRIES_FILE, "/none")];
        let get = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let told = Wishes::from_variables(get).unwrap_err().join("\n");
        for part in ["KUBAKE_EXTRA_CA_CERTS: ", "REGISTRY is set and ", "KUBAKE_REGISTRIES_FILE: cannot read `/none`"] {
            assert!(told.contains(part), "{told}");
        }
        assert!(Wishes::of_a_bake(get).is_ok_and(|wishes| wishes.registries.is_empty()), "none of it is its business");
    }
}
