//! The requested registries: three variables for one (bsycorp/kind's), a file for several. Reads the named files and
//! reports all mistakes at once, before anything is changed. Writes nothing.

use std::io;
use std::path::{Path, PathBuf};

use super::file::{self, Entry};
use super::host::{host, quoted};
use super::{Login, Registry};
use crate::env;
use crate::pem::{self, NoCertificates};

/// What cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// A part of the three is missing.
    #[error("{given} set and {missing} not, or empty; set all three or none")]
    Part {
        /// The variables that are set, with a verb.
        given: String,
        /// Those that are not, likewise.
        missing: String,
    },
    /// Not a registry.
    #[error(
        "{}: {text} cannot be the registry of an image; give a host with a dot or a port, such as \
         registry.example:5000",
        env::REGISTRY
    )]
    Host {
        /// What it is.
        text: String,
    },
    /// Not a user.
    #[error("{}: a user must not have a colon in it (RFC 7617)", env::REGISTRY_USER)]
    User,
    /// Something about the file.
    #[error("{}", env::REGISTRIES_FILE)]
    File(#[source] FileError),
    /// Asked for twice.
    #[error("{} and {} both say how to log in at {host}; do so once", env::REGISTRY, env::REGISTRIES_FILE)]
    Twice { host: String },
}

/// What cannot be used of a file about registries, or of a file that it names.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Something in it.
    #[error("`{}`{place}: {what}", path.display())]
    Mistake {
        path: PathBuf,
        /// Where in it, with a space before.
        place: String,
        /// What is wrong there.
        what: String,
    },
    /// One that cannot be read.
    #[error("{origin}cannot read `{}`; put a readable file there", path.display())]
    Read {
        /// Where it is named, with a colon after; empty for the file itself.
        origin: String,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// One that should have certificates.
    #[error("{origin}`{}`", path.display())]
    Certificates {
        /// Where it is named, with a colon after.
        origin: String,
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: NoCertificates,
    },
}

/// Understands the variables that `get` finds.
///
/// # Errors
/// Every [`RequestError`] there is.
pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Result<Vec<Registry>, Vec<RequestError>> {
    let mut errors = Vec::new();
    let mut registries = Vec::new();
    if let Some(path) = get(env::REGISTRIES_FILE).filter(|path| !path.trim().is_empty()) {
        match from_file(Path::new(path.trim()), None) {
            Ok(found) => registries = found,
            Err(found) => errors.extend(found.into_iter().map(RequestError::File)),
        }
    }
    match from_three(get).map(|one| together(&mut registries, one)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => errors.push(error),
        Err(found) => errors.extend(found),
    }
    if errors.is_empty() { Ok(registries) } else { Err(errors) }
}

/// Adds the registry of the three variables to those of the file.
///
/// # Errors
/// [`RequestError::Twice`].
pub fn together(registries: &mut Vec<Registry>, three: Option<Registry>) -> Result<(), RequestError> {
    let Some(one) = three else { return Ok(()) };
    match registries.iter_mut().find(|registry| registry.host == one.host) {
        None => registries.push(one),
        // The file may have the mirrors and the variables the secret.
        Some(known) if known.login.is_none() => known.login = one.login,
        Some(_) => return Err(RequestError::Twice { host: one.host }),
    }
    Ok(())
}

/// Understands the three variables, as `get` finds them; none where none of them is set.
///
/// # Errors
/// Every [`RequestError`] about them.
pub fn from_three(get: impl Fn(&str) -> Option<String>) -> Result<Option<Registry>, Vec<RequestError>> {
    let names = [env::REGISTRY, env::REGISTRY_USER, env::REGISTRY_PASSWORD];
    let values = names.map(|name| get(name).filter(|value| !value.trim().is_empty()));
    let [Some(text), Some(user), Some(password)] = values.clone() else {
        if values.iter().all(Option::is_none) {
            return Ok(None);
        }
        let named = |is_set: bool| {
            let named: Vec<&str> = names
                .iter()
                .zip(&values)
                .filter(|(_, value)| value.is_some() == is_set)
                .map(|(name, _)| *name)
                .collect();
            format!("{} {}", named.join(" and "), if named.len() == 1 { "is" } else { "are" })
        };
        let part = RequestError::Part { given: named(true), missing: named(false) };
        return Err(vec![part]);
    };
    let mut errors = Vec::new();
    let host = host(&text).unwrap_or_else(|| {
        errors.push(RequestError::Host { text: quoted(&text) });
        String::new()
    });
    if user.contains(':') {
        errors.push(RequestError::User);
    }
    let login = Some(Login { user: user.trim().to_owned(), password });
    if errors.is_empty() { Ok(Some(Registry { host, login, ..Registry::default() })) } else { Err(errors) }
}

/// Understands a file, and reads what it names. Relative paths in it lead from `base`; without one they are mistakes.
///
/// # Errors
/// Every [`FileError`] there is.
pub fn from_file(path: &Path, base: Option<&Path>) -> Result<Vec<Registry>, Vec<FileError>> {
    let text = pem::read(path)
        .map_err(|source| vec![FileError::Read { origin: String::new(), path: path.to_owned(), source }])?;
    let mistake = |problem: file::Problem| {
        let place = if problem.place.is_empty() { String::new() } else { format!(" {}", problem.place) };
        FileError::Mistake { path: path.to_owned(), place, what: problem.what }
    };
    let entries = file::parse(&text, base).map_err(|problems| problems.into_iter().map(mistake).collect::<Vec<_>>())?;
    let mut errors = Vec::new();
    let registries = entries.into_iter().map(|entry| complete(entry, &mut errors)).collect();
    if errors.is_empty() { Ok(registries) } else { Err(errors) }
}

/// The registry with what its files hold.
fn complete(entry: Entry, errors: &mut Vec<FileError>) -> Registry {
    let mut registry = entry.registry;
    let origin = |key: &str| format!("{}.{key}: ", entry.place);
    if let (Some(path), Some(login)) = (entry.password_file, registry.login.as_mut()) {
        let empty = || io::Error::new(io::ErrorKind::InvalidData, "it is empty");
        let password = pem::read(&path).map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
        match password.and_then(|text| if text.is_empty() { Err(empty()) } else { Ok(text) }) {
            Ok(password) => login.password = password,
            Err(source) => errors.push(FileError::Read { origin: origin("passwordFile"), path, source }),
        }
    }
    if let Some(path) = entry.ca_file {
        let origin = origin("caFile");
        match pem::read(&path) {
            Ok(text) => match pem::certificates(&text) {
                Ok(certificates) => registry.authorities = certificates,
                Err(source) => errors.push(FileError::Certificates { origin, path, source }),
            },
            Err(source) => errors.push(FileError::Read { origin, path, source }),
        }
    }
    registry
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error_chain::chain;
    use crate::pem::tests::ONE;

    fn ask(variables: &[(&str, &str)]) -> Result<Vec<Registry>, String> {
        let get = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        from_variables(get).map_err(|errors| errors.iter().map(|error| chain(error)).collect::<Vec<_>>().join("\n"))
    }

    fn login(user: &str, password: &str) -> Option<Login> {
        Some(Login { user: user.to_owned(), password: password.to_owned() })
    }

    #[test]
    fn three_variables_are_one_registry() {
        assert_eq!(ask(&[]), Ok(Vec::new()));
        // CI systems set what they have no value for to nothing.
        assert_eq!(ask(&[("REGISTRY", ""), ("REGISTRY_USER", ""), ("REGISTRY_PASSWORD", "")]), Ok(Vec::new()));
        let three = [("REGISTRY", "ghcr.io"), ("REGISTRY_USER", "ci"), ("REGISTRY_PASSWORD", "hunter22 ")];
        let expected = Registry { host: "ghcr.io".to_owned(), login: login("ci", "hunter22 "), ..Registry::default() };
        assert_eq!(ask(&three), Ok(vec![expected]));
    }

    #[test]
    fn a_part_of_the_three_is_told_in_one_sentence() {
        let reported = ask(&[("REGISTRY", "ghcr.io"), ("REGISTRY_USER", "ci"), ("REGISTRY_PASSWORD", "")]).unwrap_err();
        assert_eq!(
            reported,
            "REGISTRY and REGISTRY_USER are set and REGISTRY_PASSWORD is not, or empty; set all three or none"
        );
        let reported = ask(&[("REGISTRY_PASSWORD", "hunter22")]).unwrap_err();
        assert_eq!(
            reported,
            "REGISTRY_PASSWORD is set and REGISTRY and REGISTRY_USER are not, or empty; set all three or none"
        );
        let reported =
            ask(&[("REGISTRY", "x"), ("REGISTRY_USER", "a:b"), ("REGISTRY_PASSWORD", "hunter22")]).unwrap_err();
        assert!(
            reported.starts_with("REGISTRY: `x` cannot be the registry") && reported.contains("\nREGISTRY_USER: "),
            "{reported}"
        );
        assert!(!reported.contains("hunter22"), "{reported}");
    }

    #[test]
    fn a_login_before_a_host_is_not_told() {
        let three = [("REGISTRY", "https://ci:hunter22@ghcr.io"), ("REGISTRY_USER", "u"), ("REGISTRY_PASSWORD", "p")];
        let reported = ask(&three).unwrap_err();
        assert!(
            reported.contains("something with an @ cannot be the registry") && !reported.contains("hunter22"),
            "{reported}"
        );
    }

    #[test]
    fn a_file_brings_several_with_their_passwords_and_cas() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let certificate = ONE.to_owned();
        std::fs::write(path("ca"), &certificate).unwrap();
        std::fs::write(path("password"), "hunter22\n").unwrap();
        let text = format!(
            "registries:\n- {{host: a.example, user: ci, passwordFile: {}, caFile: {}}}\n- {{host: b.example, mirrors: []}}\n",
            path("password"),
            path("ca")
        );
        std::fs::write(path("registries"), text).unwrap();
        let file = (env::REGISTRIES_FILE, path("registries"));
        let found = ask(&[(file.0, &file.1)]).unwrap();
        assert_eq!(
            (found[0].login.clone(), found[0].authorities.clone()),
            (login("ci", "hunter22"), vec![certificate])
        );
        // The variables complete what the file has no login for, and do not contradict it.
        let and =
            |host| [(file.0, file.1.as_str()), ("REGISTRY", host), ("REGISTRY_USER", "u"), ("REGISTRY_PASSWORD", "p")];
        let found = ask(&and("b.example")).unwrap();
        assert_eq!((found.len(), found[1].login.clone()), (2, login("u", "p")));
        assert_eq!(ask(&and("c.example")).unwrap().len(), 3);
        let reported = ask(&and("a.example")).unwrap_err();
        assert_eq!(reported, "REGISTRY and KUBAKE_REGISTRIES_FILE both say how to log in at a.example; do so once");
    }

    #[test]
    fn mistakes_in_files_are_told_with_who_names_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registries");
        let file = path.display().to_string();
        let reported = ask(&[(env::REGISTRIES_FILE, &file)]).unwrap_err();
        assert!(reported.starts_with("KUBAKE_REGISTRIES_FILE: cannot read `"), "{reported}");
        let text = "registries:\n- {host: a.example, user: ci, passwordFile: /dev/null, caFile: /nonexistent/ca}\n\
                    - {host: b.example, caFile: /dev/null}\n";
        std::fs::write(&path, text).unwrap();
        let reported = ask(&[(env::REGISTRIES_FILE, &file)]).unwrap_err();
        for part in [
            "KUBAKE_REGISTRIES_FILE: registries[0].passwordFile: cannot read `/dev/null`; put a readable file there: it is empty",
            "KUBAKE_REGISTRIES_FILE: registries[0].caFile: cannot read `/nonexistent/ca`",
            "KUBAKE_REGISTRIES_FILE: registries[1].caFile: `/dev/null`: there is no certificate in it",
        ] {
            assert!(reported.contains(part), "{reported}");
        }
        std::fs::write(&path, "registries:\n- {hosts: a.example}\n").unwrap();
        let reported = ask(&[(env::REGISTRIES_FILE, &file)]).unwrap_err();
        assert!(
            reported.starts_with(&format!("KUBAKE_REGISTRIES_FILE: `{file}` registries[0].hosts: is unknown")),
            "{reported}"
        );
    }
}
