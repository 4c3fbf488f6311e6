//! How hooks of a boot are treated: how long one may take and what a failure means, as the environment says it. Pure.

use std::time::Duration;

use crate::{BOOT_HOOK_TIMEOUT, env, moments};

/// What a failed hook means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The bake or the boot fails.
    Fail,
    /// It is said (by `kubake bake`; in the log and on `/status` at a boot), and the next one runs.
    Report,
}

/// How hooks of a boot are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long one may take.
    pub timeout: Duration,
    /// What a failure means; none is what the moment makes of it.
    pub failure: Option<Failure>,
}

/// A variable that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Not a time.
    #[error("{} is `{text}`, which is no duration; set one such as `90s` or `10m`", env::HOOK_TIMEOUT)]
    Timeout {
        /// What it is.
        text: String,
    },
    /// Neither of two.
    #[error("{} is `{text}`; set it to `fail` or `report`", env::HOOK_FAILURE)]
    Failure {
        /// What it is.
        text: String,
    },
}

impl Default for Policy {
    fn default() -> Self {
        Self { timeout: BOOT_HOOK_TIMEOUT, failure: None }
    }
}

impl Policy {
    /// What the environment asks for; an empty variable is one that is not set.
    ///
    /// # Errors
    /// Every [`PolicyError`] there is.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<PolicyError>> {
        let given = |name: &str| variable(name).filter(|text| !text.is_empty());
        let mut policy = Self::default();
        let mut errors = Vec::new();
        if let Some(text) = given(env::HOOK_TIMEOUT) {
            let seconds = text.parse().map(Duration::from_secs).ok();
            match seconds.or_else(|| humantime::parse_duration(&text).ok()).filter(|timeout| !timeout.is_zero()) {
                Some(timeout) => policy.timeout = timeout,
                None => errors.push(PolicyError::Timeout { text }),
            }
        }
        match given(env::HOOK_FAILURE) {
            None => {}
            Some(text) if text == "fail" => policy.failure = Some(Failure::Fail),
            Some(text) if text == "report" => policy.failure = Some(Failure::Report),
            Some(text) => errors.push(PolicyError::Failure { text }),
        }
        if errors.is_empty() { Ok(policy) } else { Err(errors) }
    }

    /// What a failure at this moment means.
    #[must_use]
    pub fn failure_at(&self, moment: &str) -> Failure {
        // Before the boot nothing is lost by ending it; a cluster that works is worth more than what comes on top.
        let by_default = if moment == moments::KUBERNETES_READY { Failure::Report } else { Failure::Fail };
        self.failure.unwrap_or(by_default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_what_a_failure_means() {
        let of = |timeout: &str, failure: &str| {
            let (timeout, failure) = (timeout.to_owned(), failure.to_owned());
            Policy::from_variables(move |name| match name {
                env::HOOK_TIMEOUT => Some(timeout.clone()),
                env::HOOK_FAILURE => Some(failure.clone()),
                _ => None,
            })
        };
        let default = of("", "").unwrap();
        assert_eq!(default, Policy::default());
        assert_eq!(default.failure_at(moments::BEFORE_BOOT), Failure::Fail);
        assert_eq!(default.failure_at(moments::KUBERNETES_READY), Failure::Report);
        let fail = of("90", "fail").unwrap();
        assert_eq!(
            (fail.timeout, fail.failure_at(moments::KUBERNETES_READY)),
            (Duration::from_secs(90), Failure::Fail)
        );
        let report = of("2m", "report").unwrap();
        assert_eq!(
            (report.timeout, report.failure_at(moments::BEFORE_BOOT)),
            (Duration::from_secs(120), Failure::Report)
        );
        let messages: Vec<String> = of("soon", "maybe").unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(
            messages,
            [
                "KUBAKE_HOOK_TIMEOUT is `soon`, which is no duration; set one such as `90s` or `10m`",
                "KUBAKE_HOOK_FAILURE is `maybe`; set it to `fail` or `report`",
            ]
        );
        assert!(of("0", "").is_err());
    }
}
