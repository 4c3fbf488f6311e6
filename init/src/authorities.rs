//! CAs that the container's programs trust beside Debian's: written where containerd, dockerd and
//! commands in the container look. Owns kubake's block in Debian's bundle and kubake's files beside it; never the cluster's
//! own CAs, which belong to `identity`.
//!
//! Go reads the first bundle that there is, and then every file of `/etc/ssl/certs` (`crypto/x509/root_unix.go`), once
//! in a program's life: so this is done before a daemon starts. OpenSSL and all others read the bundle alone, therefore
//! that one has the block. Copies lie in `/usr/local/share/ca-certificates`, from where `update-ca-certificates(8)`
//! makes the bundle anew when a package is installed. What it has copied by then is taken back, too.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kubake_contract::env;

use crate::files::{SharedFileError, under};
use crate::host::managed_block;

const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
/// What is added to it, a certificate a file.
const LOCAL: &str = "/usr/local/share/ca-certificates";
/// What our files' names begin with.
const PREFIX: &str = "kubake-extra-";

/// What [`apply_at`] can fail with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthoritiesError {
    #[error("cannot make the certificates of {} trusted", env::EXTRA_CA_CERTS)]
    Bundle(#[source] SharedFileError),
    /// The files beside it.
    #[error("cannot keep the certificates of {} in {}; mount nothing there", env::EXTRA_CA_CERTS, path.display())]
    Local {
        /// The file or directory.
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Makes exactly these certificates trusted below `root` (`/` in a container), and those of an earlier boot no more.
///
/// # Errors
/// [`AuthoritiesError`].
pub(crate) fn apply_at(root: &Path, certificates: &[String]) -> Result<(), AuthoritiesError> {
    let local = under(root, LOCAL);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| AuthoritiesError::Local { path, source }
    };
    let wanted: Vec<PathBuf> =
        (1..=certificates.len()).map(|number| local.join(format!("{PREFIX}{number}.crt"))).collect();
    let there = ours(&local).map_err(failed(&local))?;
    if there.is_empty() && wanted.is_empty() {
        // A user's own bundle stays as it is.
        return Ok(());
    }
    let bundle = under(root, BUNDLE);
    for path in &there {
        let certificate = fs::read_to_string(path).map_err(failed(path))?;
        if !wanted.iter().zip(certificates).any(|wanted| wanted == (path, &certificate)) {
            take_back(&bundle, path, &certificate)?;
        }
    }
    if !wanted.is_empty() {
        fs::create_dir_all(&local).map_err(failed(&local))?;
    }
    for (path, certificate) in wanted.iter().zip(certificates) {
        fs::write(path, certificate).map_err(failed(path))?;
    }
    if let Some(directory) = bundle.parent() {
        fs::create_dir_all(directory).map_err(failed(directory))?;
    }
    managed_block::apply(&bundle, &certificates.concat()).map_err(AuthoritiesError::Bundle)?;
    // Last, because as long as one is there, a later boot looks at the bundle again.
    for path in there.iter().filter(|path| !wanted.contains(path)) {
        fs::remove_file(path).map_err(failed(path))?;
    }
    Ok(())
}

/// Takes back what `update-ca-certificates` made of one of our files, if it has seen it: a link in the bundle's directory
/// and others, by hash, that lead to that one, and the certificate in the bundle.
fn take_back(bundle: &Path, local: &Path, certificate: &str) -> Result<(), AuthoritiesError> {
    let Some(directory) = bundle.parent() else { return Ok(()) };
    let name = local.with_extension("pem").file_name().map(PathBuf::from).unwrap_or_default();
    let link = directory.join(&name);
    if fs::symlink_metadata(&link).is_err() {
        return Ok(());
    }
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| AuthoritiesError::Local { path, source }
    };
    // Without kubake's block, whose certificates prove nothing about other installers.
    managed_block::apply(bundle, "").map_err(AuthoritiesError::Bundle)?;
    let mut text = fs::read_to_string(bundle).map_err(at(bundle))?;
    // The last one: if Debian has it as well, that one stands before those of the administrator.
    if let Some(start) = text.rfind(certificate) {
        text.replace_range(start..start + certificate.len(), "");
        fs::write(bundle, text).map_err(at(bundle))?;
    }
    for entry in fs::read_dir(directory).map_err(at(directory))? {
        let path = entry.map_err(at(directory))?.path();
        if fs::read_link(&path).is_ok_and(|target| target == name) {
            fs::remove_file(&path).map_err(at(&path))?;
        }
    }
    // After those that lead to it: as long as it is there, a later boot comes by here again.
    fs::remove_file(&link).map_err(at(&link))
}

/// Our files in a directory; none where there is no directory.
fn ours(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use kubake_contract::pem;

    use super::*;
    use crate::identity::certificates::tests::pair;

    fn names(root: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(under(root, LOCAL))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn certificates_join_the_bundle_once_and_leave_it_again() {
        let root = tempfile::tempdir().unwrap();
        let bundle = under(root.path(), BUNDLE);
        let (debians, one, other) = (pair("debian.example").0, pair("one.example").0, pair("other.example").0);
        crate::configuration::write(&bundle, &debians).unwrap();
        crate::configuration::write(&under(root.path(), LOCAL).join("users.crt"), &debians).unwrap();
        for certificates in [vec![one.clone(), other.clone()], vec![one.clone(), other.clone()], vec![other], vec![]] {
            apply_at(root.path(), &certificates).unwrap();
            let text = fs::read_to_string(&bundle).unwrap();
            let trusted = pem::certificates(&text).unwrap();
            assert_eq!(trusted, [vec![debians.clone()], certificates.clone()].concat());
            assert_eq!(names(root.path()).len(), 1 + certificates.len());
        }
        assert_eq!(fs::read_to_string(&bundle).unwrap(), debians, "as it was before");
        assert_eq!(names(root.path()), ["users.crt"]);
    }

    /// What `update-ca-certificates` does: a link for each local file and one by hash, and a bundle of all.
    fn update_ca_certificates(root: &Path, debians: &str) {
        let bundle = under(root, BUNDLE);
        let directory = bundle.parent().unwrap();
        let mut text = debians.to_owned();
        for (number, name) in names(root).iter().enumerate() {
            let pem = name.replace(".crt", ".pem");
            std::os::unix::fs::symlink(format!("{LOCAL}/{name}"), directory.join(&pem)).unwrap();
            std::os::unix::fs::symlink(&pem, directory.join(format!("0000000{number}.0"))).unwrap();
            text += &fs::read_to_string(under(root, LOCAL).join(name)).unwrap();
        }
        fs::write(&bundle, text).unwrap();
    }

    #[test]
    fn what_a_package_has_spread_is_taken_back() {
        let root = tempfile::tempdir().unwrap();
        let bundle = under(root.path(), BUNDLE);
        // The one that is given is among Debian's, too, and stays there.
        let (one, users) = (pair("one.example").0, pair("users.example").0);
        let debians = pair("debian.example").0 + &one;
        crate::configuration::write(&bundle, &debians).unwrap();
        crate::configuration::write(&under(root.path(), LOCAL).join("users.crt"), &users).unwrap();
        apply_at(root.path(), &[one, pair("other.example").0]).unwrap();
        update_ca_certificates(root.path(), &debians);
        apply_at(root.path(), &[]).unwrap();
        assert_eq!(fs::read_to_string(&bundle).unwrap(), debians + &users);
        assert_eq!(names(root.path()), ["users.crt"]);
        let mut left: Vec<String> = fs::read_dir(bundle.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        left.sort();
        assert_eq!(left, ["00000002.0", "ca-certificates.crt", "users.pem"]);
    }

    #[test]
    fn nothing_is_made_where_nothing_is_asked_for() {
        let root = tempfile::tempdir().unwrap();
        apply_at(root.path(), &[]).unwrap();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        apply_at(root.path(), &[pair("one.example").0]).unwrap();
        assert!(under(root.path(), BUNDLE).exists(), "an image without Debian's bundle trusts it all the same");
    }
}
