//! Who this container is: CAs, certificates, kubeconfigs, the key of service accounts' tokens, machine id. Made at first
//! boot, before anything runs that could use them, and kept for the container's life; no image holds any of it. The bake
//! makes one, too, so that kubeadm itself looks at what is made here, and throws it away.
//!
//! Owns the order: files first, then the mark that they are complete, then etcd's slots, then the mark that those are
//! filled. Whatever is interrupted is begun anew or taken up where it was. Starts nothing, asks nobody.

mod certificates;
mod files;
mod given;
mod machine;
mod request;
pub mod slots;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::contract::{ClusterSettings, paths};
use crate::files::{remove, under};
use crate::phases::chain;
use crate::services::kubelet;
pub use certificates::{CertificateError, Validity};
use files::{Authorities, CLUSTER_CA, FRONT_PROXY_CA, File};
pub use given::GivenError;
pub use request::{Request, RequestError};
use slots::{Slot, SlotError};

/// CAs outlive what they sign.
const SHORTEST_AUTHORITY: Duration = crate::contract::CERT_LIFETIME;
/// etcd's database, in which the bake left room for what depends on the identity.
const DATABASE: &str = "/var/lib/etcd/member/snap/db";
/// Everything that an identity consists of. What the bake leaves of these in an image is a secret in an image.
const TRACES: &[&str] = &[
    paths::IDENTITY,
    paths::PKI,
    paths::DOCKER_PKI,
    paths::ADMIN_KUBECONFIG,
    "/etc/kubernetes/super-admin.conf",
    "/etc/kubernetes/controller-manager.conf",
    "/etc/kubernetes/scheduler.conf",
    "/etc/kubernetes/kubelet.conf",
    "/etc/kubernetes/bootstrap-kubelet.conf",
    "/etc/kubernetes/tmp",
    "/var/lib/kubelet/pki",
];

/// An identity that cannot be made or kept.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A file cannot be written.
    #[error("cannot write {path}; is the container's file system full or read-only?")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read {path}, a part of this container's identity; start a new container")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The mark is not ours.
    #[error("cannot understand {path}; start a new container")]
    Mark {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_yaml::Error,
    },
    /// etcd has no room for it.
    #[error("cannot put this container's certificates into {path}")]
    Slots {
        /// The database.
        path: PathBuf,
        /// Why.
        #[source]
        source: SlotError,
    },
}

/// What is known of the place where the identity is used.
#[derive(Debug, Clone)]
pub struct Place {
    /// The container's own addresses.
    pub addresses: Vec<IpAddr>,
    /// The container's host name.
    pub hostname: String,
    /// What its clock says.
    pub now: SystemTime,
}

/// What [`ensure_at`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// This is the container's first boot.
    Made,
    /// The certificates of an earlier boot serve on.
    Kept,
    /// The CAs stay; what they vouch for was made anew, for other addresses or because its time runs out.
    Renewed,
}

/// That an identity is complete, and what it was made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Mark {
    /// SHA-256 of the cluster CA's PEM, for people who compare containers.
    fingerprint: String,
    /// Whether etcd's slots are filled.
    is_in_etcd: bool,
    /// What the serving certificates are for.
    served: BTreeSet<String>,
    /// Seconds since 1970.
    not_before: u64,
    not_after: u64,
}

impl Mark {
    /// Whether the certificates serve on: for the same names, and for two thirds of their time. Not longer, because a
    /// boot is the only moment at which they can be renewed.
    fn is_current(&self, served: &BTreeSet<String>, now: SystemTime) -> bool {
        let now = seconds(now);
        let renewed_at = self.not_after - self.not_after.saturating_sub(self.not_before) / 3;
        self.served == *served && self.not_before <= now && now < renewed_at
    }
}

/// Whether the container below `root` has an identity.
#[must_use]
pub fn is_made_at(root: &Path) -> bool {
    under(root, paths::IDENTITY).exists()
}

/// Makes the identity of the container below `root`, or brings the one it has up to date.
///
/// # Errors
/// [`IdentityError`]; the next boot tries again.
pub fn ensure_at(
    root: &Path,
    settings: &ClusterSettings,
    request: &Request,
    place: &Place,
) -> Result<Outcome, IdentityError> {
    for shared in machine::apply_at(root) {
        tracing::warn!("{}", chain(&shared));
    }
    let served = files::served(settings, &request.names, &place.addresses, &place.hostname);
    let (mut mark, outcome) = match read_mark(root)? {
        None => (make(root, settings, request, &served, place.now)?, Outcome::Made),
        Some(mark) if mark.is_current(&served, place.now) => (mark, Outcome::Kept),
        Some(mark) => (renew(root, settings, request, served, place.now, mark)?, Outcome::Renewed),
    };
    if !mark.is_in_etcd {
        fill_etcd(root, settings)?;
        mark.is_in_etcd = true;
        write_mark(root, &mark)?;
    }
    Ok(outcome)
}

/// Makes an identity for the bake, whose etcd does not exist yet.
///
/// # Errors
/// [`IdentityError`].
pub fn make_for_bake_at(root: &Path, settings: &ClusterSettings, place: &Place) -> Result<(), IdentityError> {
    let request = Request::default();
    let served = files::served(settings, &[], &place.addresses, &place.hostname);
    make(root, settings, &request, &served, place.now).map(drop)
}

/// Removes everything that [`make_for_bake_at`] made and kubeadm made of it.
///
/// # Errors
/// When a file cannot be removed: then the container must not become an image.
pub fn remove_at(root: &Path) -> Result<(), IdentityError> {
    for path in TRACES {
        let path = under(root, path);
        remove(&path).map_err(|source| IdentityError::Write { path, source })?;
    }
    Ok(())
}

fn make(
    root: &Path,
    settings: &ClusterSettings,
    request: &Request,
    served: &BTreeSet<String>,
    now: SystemTime,
) -> Result<Mark, IdentityError> {
    // What a boot left that was killed on its way here.
    remove_at(root)?;
    let validity = Validity::new(now, request.lifetime);
    let authorities =
        Authorities::make(request.authority.clone(), Validity::new(now, request.lifetime.max(SHORTEST_AUTHORITY)))?;
    write_all(root, authorities.files()?)?;
    write_all(root, authorities.leaves(settings, served, validity)?)?;
    link_kubelets_certificate(root)?;
    let mark = Mark {
        fingerprint: hex(&Sha256::digest(&authorities.cluster.pair.certificate)),
        is_in_etcd: false,
        served: served.clone(),
        not_before: seconds(validity.not_before()),
        not_after: seconds(validity.not_after()),
    };
    write_mark(root, &mark)?;
    Ok(mark)
}

fn renew(
    root: &Path,
    settings: &ClusterSettings,
    request: &Request,
    served: BTreeSet<String>,
    now: SystemTime,
    mark: Mark,
) -> Result<Mark, IdentityError> {
    let validity = Validity::new(now, request.lifetime);
    let authorities = Authorities::load(|path| read(&under(root, path)))?;
    write_all(root, authorities.leaves(settings, &served, validity)?)?;
    link_kubelets_certificate(root)?;
    let mark =
        Mark { served, not_before: seconds(validity.not_before()), not_after: seconds(validity.not_after()), ..mark };
    write_mark(root, &mark)?;
    Ok(mark)
}

/// Writes what etcd holds of the CAs. A new file and not the old one changed in place: it is never seen half filled, and
/// the first write to a file of the image copies all of it anyway.
fn fill_etcd(root: &Path, settings: &ClusterSettings) -> Result<(), IdentityError> {
    let path = under(root, DATABASE);
    let fresh = path.with_extension("identity");
    let cluster_ca = read(&under(root, CLUSTER_CA.0))?;
    let front_proxy_ca = read(&under(root, FRONT_PROXY_CA.0))?;
    let cluster_info = files::cluster_info(settings, &cluster_ca);
    let mut database = fs::read(&path).map_err(|source| IdentityError::Read { path: path.clone(), source })?;
    slots::fill(&mut database, |slot| match slot {
        Slot::ClusterCa => cluster_ca.clone(),
        Slot::FrontProxyCa => front_proxy_ca.clone(),
        Slot::ClusterInfo => cluster_info.clone(),
    })
    .or_else(|error| match error {
        // Renamed, and killed before the mark said so: all are filled or none.
        SlotError::None if holds(&database, &cluster_ca) => Ok(0),
        source => Err(IdentityError::Slots { path: path.clone(), source }),
    })?;
    write(&fresh, &database, true)?;
    fs::rename(&fresh, &path).map_err(|source| IdentityError::Write { path, source })
}

/// Whether a database holds a CA in the form in which it stands in a slot.
fn holds(database: &[u8], certificate: &str) -> bool {
    let text = serde_json::Value::from(certificate).to_string();
    database.windows(text.len()).any(|part| part == text.as_bytes())
}

fn link_kubelets_certificate(root: &Path) -> Result<(), IdentityError> {
    let link = under(root, kubelet::CLIENT_LINK);
    let target = Path::new(kubelet::CLIENT_CERTIFICATE).file_name().unwrap_or_default();
    remove(&link)
        .and_then(|()| std::os::unix::fs::symlink(target, &link))
        .map_err(|source| IdentityError::Write { path: link, source })
}

fn read_mark(root: &Path) -> Result<Option<Mark>, IdentityError> {
    let path = under(root, paths::IDENTITY);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(IdentityError::Read { path, source }),
    };
    serde_yaml::from_str(&text).map(Some).map_err(|source| IdentityError::Mark { path, source })
}

/// In one step, because a half mark would end every later boot.
fn write_mark(root: &Path, mark: &Mark) -> Result<(), IdentityError> {
    let path = under(root, paths::IDENTITY);
    let fresh = path.with_extension("fresh");
    let text = serde_yaml::to_string(mark).map_err(|source| IdentityError::Mark { path: path.clone(), source })?;
    write(&fresh, text.as_bytes(), false)?;
    fs::rename(&fresh, &path).map_err(|source| IdentityError::Write { path, source })
}

fn write_all(root: &Path, files: Vec<File>) -> Result<(), IdentityError> {
    files.iter().try_for_each(|file| write(&under(root, &file.path), file.content.as_bytes(), file.is_secret))
}

fn write(path: &Path, content: &[u8], is_secret: bool) -> Result<(), IdentityError> {
    let mode = if is_secret { 0o600 } else { 0o644 };
    // A new file: what is there may be a link, or held open by somebody.
    remove(path)
        .and_then(|()| crate::files::write(path, content, mode))
        .map_err(|source| IdentityError::Write { path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<String, IdentityError> {
    fs::read_to_string(path).map_err(|source| IdentityError::Read { path: path.to_owned(), source })
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    /// A container as a bake leaves it, as far as this module looks at it.
    fn container() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let object = json!({
            "data": { "ca.crt": Slot::ClusterCa.placeholder(), "proxy": Slot::FrontProxyCa.placeholder() },
            "info": Slot::ClusterInfo.placeholder(),
        });
        let database = under(root.path(), DATABASE);
        fs::create_dir_all(database.parent().unwrap()).unwrap();
        fs::write(database, format!("page{}page", slots::freeze(&object))).unwrap();
        root
    }

    fn place(now: SystemTime) -> Place {
        Place { addresses: vec!["172.17.0.2".parse().unwrap()], hostname: "a1b2c3".to_owned(), now }
    }

    fn ensure(root: &Path, request: &Request, place: &Place) -> Outcome {
        ensure_at(root, &ClusterSettings::default(), request, place).unwrap()
    }

    fn content(root: &Path, path: &str) -> String {
        fs::read_to_string(under(root, path)).unwrap()
    }

    #[test]
    fn it_is_made_once_and_kept() {
        let (root, now) = (container(), SystemTime::now());
        let root = root.path();
        let request = Request::default();
        assert!(!is_made_at(root));
        assert_eq!(ensure(root, &request, &place(now)), Outcome::Made);
        assert!(is_made_at(root));
        let files = [CLUSTER_CA.0, CLUSTER_CA.1, "/etc/kubernetes/pki/sa.key", paths::ADMIN_KUBECONFIG, DATABASE];
        let before = files.map(|path| content(root, path));
        assert_eq!(ensure(root, &request, &place(now + DAY)), Outcome::Kept);
        assert_eq!(files.map(|path| content(root, path)), before);

        let database = &before[4];
        let object: serde_json::Value =
            serde_json::from_str(database.trim_start_matches("page").trim_end_matches("page")).unwrap();
        assert_eq!(object["data"]["ca.crt"], before[0].as_str());
        assert_eq!(object["data"]["proxy"], content(root, FRONT_PROXY_CA.0));
        assert!(object["info"].as_str().unwrap().contains("certificate-authority-data"));
        let mode = |path: &str| fs::metadata(under(root, path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(CLUSTER_CA.1), mode(CLUSTER_CA.0), mode(DATABASE)), (0o600, 0o644, 0o600));
        assert!(content(root, kubelet::CLIENT_LINK).contains("PRIVATE KEY"));
    }

    #[test]
    fn no_two_containers_share_anything() {
        let roots = [container(), container()];
        let now = SystemTime::now();
        for root in &roots {
            ensure(root.path(), &Request::default(), &place(now));
        }
        for path in [CLUSTER_CA.0, FRONT_PROXY_CA.0, "/etc/kubernetes/pki/sa.pub", "/etc/kubake/docker/ca.pem"] {
            assert_ne!(content(roots[0].path(), path), content(roots[1].path(), path), "{path}");
        }
    }

    #[test]
    fn other_addresses_and_old_age_renew_what_the_cas_vouch_for() {
        let (root, now) = (container(), SystemTime::now());
        let root = root.path();
        let request = Request { lifetime: 30 * DAY, ..Request::default() };
        ensure(root, &request, &place(now));
        let (authority, serving) = (content(root, CLUSTER_CA.0), "/etc/kubernetes/pki/apiserver.crt");
        let first = content(root, serving);
        let moved = Place { addresses: vec!["10.9.8.7".parse().unwrap()], ..place(now) };
        assert_eq!(ensure(root, &request, &moved), Outcome::Renewed);
        let second = content(root, serving);
        assert_ne!(first, second);
        let late = Place { now: now + 25 * DAY, ..moved.clone() };
        assert_eq!(ensure(root, &request, &late), Outcome::Renewed);
        assert_ne!(second, content(root, serving));
        let early = Place { now: now - 40 * DAY, ..moved };
        assert_eq!(ensure(root, &request, &early), Outcome::Renewed, "a clock that was set back");
        assert_eq!(content(root, CLUSTER_CA.0), authority);
    }

    #[test]
    fn an_interrupted_first_boot_is_taken_up() {
        let (root, now) = (container(), SystemTime::now());
        let root = root.path();
        // Killed while files were written.
        write(&under(root, CLUSTER_CA.0), b"half", false).unwrap();
        assert_eq!(ensure(root, &Request::default(), &place(now)), Outcome::Made);
        let authority = content(root, CLUSTER_CA.0);
        // Killed after etcd was filled and before the mark said so.
        let mark = read_mark(root).unwrap().unwrap();
        write_mark(root, &Mark { is_in_etcd: false, ..mark.clone() }).unwrap();
        assert_eq!(ensure(root, &Request::default(), &place(now)), Outcome::Kept);
        assert_eq!(read_mark(root).unwrap().unwrap(), mark);
        assert_eq!(content(root, CLUSTER_CA.0), authority);
    }

    #[test]
    fn an_image_without_room_in_etcd_is_refused_each_time() {
        let root = container();
        fs::write(under(root.path(), DATABASE), "page").unwrap();
        for _ in 0..2 {
            let error = ensure_at(root.path(), &ClusterSettings::default(), &Request::default(), &place(UNIX_EPOCH));
            let error = chain(&error.unwrap_err());
            assert!(error.contains("member/snap/db") && error.contains("bake the image again"), "{error}");
        }
    }

    #[test]
    fn nothing_of_it_is_left_for_an_image() {
        let root = tempfile::tempdir().unwrap();
        make_for_bake_at(root.path(), &ClusterSettings::default(), &place(SystemTime::now())).unwrap();
        remove_at(root.path()).unwrap();
        fn files(path: &Path) -> Vec<PathBuf> {
            let entries = fs::read_dir(path).unwrap().flatten().map(|entry| entry.path());
            entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
        }
        assert_eq!(files(root.path()), Vec::<PathBuf>::new());
    }
}
