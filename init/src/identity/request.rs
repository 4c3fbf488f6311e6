//! The user's options for the identity, as environment variables. All of them are parsed, and all mistakes are reported at
//! once, before anything is changed. Reads the files that the variables name; writes none.

use std::time::{Duration, SystemTime};

use kubake_contract::pem;
use kubake_contract::{CERT_LIFETIME, env, is_certificate_name};

use super::certificates::Pair;
use super::user_ca::{self, UserCaError};

/// Shortest allowed validity: a shorter one would end before the cluster is used.
const SHORTEST: Duration = Duration::from_secs(3600);
/// Longest allowed validity: a hundred years.
const LONGEST: Duration = Duration::from_secs(36_500 * 24 * 3600);

/// The parsed options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// Additional names and addresses in serving certificates.
    pub(super) names: Vec<String>,
    /// Validity of certificates.
    pub(super) lifetime: Duration,
    /// The user's CA for the cluster; a new one is generated without it.
    pub(super) authority: Option<Pair>,
}

impl Default for Request {
    fn default() -> Self {
        Self { names: Vec::new(), lifetime: CERT_LIFETIME, authority: None }
    }
}

#[cfg(test)]
impl Request {
    /// Asks for these names and nothing else.
    pub(crate) fn from_names(names: &[&str]) -> Self {
        Self { names: names.iter().map(|&name| name.to_owned()).collect(), ..Self::default() }
    }
}

/// A variable with a value that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("{}: `{name}` is neither a DNS name nor an IP address; leave it out, or write it as one", env::CERT_SANS)]
    Name { name: String },
    #[error(
        "{}: `{text}` is not a time between one hour and a hundred years, such as `3650d` or `24h`",
        env::CERT_VALIDITY
    )]
    Lifetime { text: String },
    /// The file or text of a variable cannot be read.
    #[error("{variable}")]
    Read {
        variable: &'static str,
        #[source]
        source: pem::Unreadable,
    },
    /// The user's CA cannot be used.
    #[error(transparent)]
    UserCa(#[from] UserCaError),
}

impl Request {
    /// Parses the variables that `get` returns. `is_made` says that the container has an identity. The CA is then not
    /// parsed, because the identity stays even if the CA has expired meanwhile.
    ///
    /// # Errors
    /// All [`RequestError`]s.
    pub(crate) fn from_variables(
        get: impl Fn(&str) -> Option<String>,
        now: SystemTime,
        is_made: bool,
    ) -> Result<Self, Vec<RequestError>> {
        let get = |variable: &str| get(variable).filter(|value| !value.trim().is_empty());
        let mut errors = Vec::new();
        let mut request = Self::default();
        for name in get(env::CERT_SANS).unwrap_or_default().split([',', ' ']).map(str::trim) {
            if is_certificate_name(name) {
                request.names.push(name.to_owned());
            } else if !name.is_empty() {
                errors.push(RequestError::Name { name: name.to_owned() });
            }
        }
        if let Some(text) = get(env::CERT_VALIDITY) {
            match humantime::parse_duration(text.trim()) {
                Ok(lifetime) if (SHORTEST..=LONGEST).contains(&lifetime) => request.lifetime = lifetime,
                _ => errors.push(RequestError::Lifetime { text }),
            }
        }
        if !is_made {
            match authority(get(env::CA_CERT), get(env::CA_KEY), now) {
                Ok(authority) => request.authority = authority,
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(request) } else { Err(errors) }
    }
}

fn authority(certificate: Option<String>, key: Option<String>, now: SystemTime) -> Result<Option<Pair>, RequestError> {
    let half = |given, missing| Err(UserCaError::Half { given, missing }.into());
    match (certificate, key) {
        (None, None) => Ok(None),
        (Some(_), None) => half(env::CA_CERT, env::CA_KEY),
        (None, Some(_)) => half(env::CA_KEY, env::CA_CERT),
        (Some(certificate), Some(key)) => {
            let (certificate, key) = (text(env::CA_CERT, certificate)?, text(env::CA_KEY, key)?);
            Ok(Some(user_ca::check(&certificate, &key, now)?))
        }
    }
}

fn text(variable: &'static str, value: String) -> Result<String, RequestError> {
    pem::text_or_file(&value).map_err(|source| RequestError::Read { variable, source })
}

#[cfg(test)]
mod tests {
    use super::super::certificates::{Authority, Validity};
    use super::*;

    fn parse(variables: &[(&str, &str)]) -> Result<Request, String> {
        let get = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Request::from_variables(get, SystemTime::now(), false).map_err(|errors| {
            errors.iter().map(|error| kubake_contract::error_chain::chain(error)).collect::<Vec<_>>().join("; ")
        })
    }

    #[test]
    fn variables_become_options() {
        assert_eq!(parse(&[]), Ok(Request::default()));
        let request = parse(&[(env::CERT_SANS, " a.example,10.1.2.3,, *.b.example"), (env::CERT_VALIDITY, "48h")]);
        let names = ["a.example", "10.1.2.3", "*.b.example"].map(str::to_owned).into();
        assert_eq!(request, Ok(Request { names, lifetime: Duration::from_secs(48 * 3600), authority: None }));
    }

    #[test]
    fn every_mistake_is_reported_with_its_variable() {
        let message = parse(&[(env::CERT_SANS, "ok,a/b"), (env::CERT_VALIDITY, "5m"), (env::CA_KEY, "x")]).unwrap_err();
        for part in [
            "KUBAKE_CERT_SANS: `a/b` is neither",
            "KUBAKE_CERT_VALIDITY: `5m` is not a time between",
            "KUBAKE_CA_KEY is set and KUBAKE_CA_CERT is not",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_ca_is_given_as_text_or_as_files() {
        let validity = Validity::new(SystemTime::now(), Duration::from_secs(3600));
        let pair = Authority::make("mine", validity).unwrap().pair;
        let escaped = pair.certificate.replace('\n', "\\n");
        let request = parse(&[(env::CA_CERT, &escaped), (env::CA_KEY, &pair.key)]).unwrap();
        assert_eq!(request.authority.as_ref(), Some(&pair));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.crt");
        std::fs::write(&path, &pair.certificate).unwrap();
        let path = path.to_str().unwrap();
        let request = parse(&[(env::CA_CERT, path), (env::CA_KEY, &pair.key)]).unwrap();
        assert_eq!(request.authority.as_ref(), Some(&pair));
        let message = parse(&[(env::CA_CERT, path), (env::CA_KEY, "MIIsecret")]).unwrap_err();
        assert!(message.contains("KUBAKE_CA_KEY: cannot read") && !message.contains("secret"), "{message}");
    }
}
