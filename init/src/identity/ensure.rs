//! Makes an identity, keeps it, renews it or removes it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use kubake_contract::error_chain::chain;
use kubake_contract::{ClusterSettings, Node, hex, paths};
use sha2::{Digest, Sha256};

use super::certificates::Validity;
use super::error::IdentityError;
use super::files::{self, Authorities};
use super::record::{self, Record, seconds};
use super::request::Request;
use super::store::{self, Store};
use super::{etcd, machine};
use crate::files::{remove, under};

/// Shortest lifetime of a CA, so that CAs outlive the certificates that they sign.
const SHORTEST_AUTHORITY: Duration = kubake_contract::CERT_LIFETIME;
/// All files of an identity. If the bake left one of them, the image would contain a secret.
pub(super) const ALL_FILES: &[&str] = &[
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

/// Facts about the container for which certificates are made.
#[derive(Debug, Clone)]
pub(crate) struct NodeFacts {
    pub node: Node,
    /// The container's own addresses, without the cluster's.
    pub addresses: Vec<IpAddr>,
    pub hostname: String,
    /// The current time by the container's clock.
    pub now: SystemTime,
}

/// The outcome of [`ensure_at`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// An identity was made: this is the container's first boot.
    Made,
    /// The certificates of an earlier boot stay in use.
    Kept,
    /// The CAs stay. Their certificates were reissued, for other addresses or because they would expire.
    Renewed,
}

/// Whether the container below `root` has an identity.
#[must_use]
pub(crate) fn is_made_at(root: &Path) -> bool {
    under(root, paths::IDENTITY).exists()
}

/// Makes the identity of the container below `root`, or updates the existing one.
///
/// # Errors
/// [`IdentityError`]; the next boot tries again.
pub(crate) fn ensure_at(
    root: &Path,
    settings: &ClusterSettings,
    request: &Request,
    facts: &NodeFacts,
) -> Result<Outcome, IdentityError> {
    let _change = store::lock();
    let store = Store::new(root, settings.etcd_sync);
    for shared in machine::apply_at(root) {
        tracing::warn!("{}", chain(&shared));
    }
    let served = files::served(settings, &facts.node, &request.names, &facts.addresses, &facts.hostname);
    let (mut record, outcome) = match record::read(&store)? {
        None => (make(&store, facts, request, &served)?, Outcome::Made),
        Some(record) if record.is_current(&served, facts.now) => (record, Outcome::Kept),
        Some(record) => (renew(&store, facts, request, served, record)?, Outcome::Renewed),
    };
    if !record.is_in_etcd {
        etcd::fill(&store, &facts.node)?;
        record.is_in_etcd = true;
        record::write(&store, &record)?;
    }
    Ok(outcome)
}

/// Makes an identity for the bake, whose etcd does not exist yet.
///
/// # Errors
/// [`IdentityError`]; the bake cannot continue.
pub(crate) fn make_for_bake_at(
    root: &Path,
    settings: &ClusterSettings,
    facts: &NodeFacts,
) -> Result<(), IdentityError> {
    let request = Request::default();
    let served = files::served(settings, &facts.node, &[], &facts.addresses, &facts.hostname);
    make(&Store::new(root, false), facts, &request, &served).map(drop)
}

/// Removes all files of [`make_for_bake_at`] and those that kubeadm derived from them.
///
/// # Errors
/// When a file cannot be removed. The container must then not become an image.
pub(crate) fn remove_at(root: &Path) -> Result<(), IdentityError> {
    for path in ALL_FILES {
        let path = under(root, path);
        remove(&path).map_err(|source| IdentityError::Write { path, source })?;
    }
    Ok(())
}

fn make(
    store: &Store<'_>,
    facts: &NodeFacts,
    request: &Request,
    served: &BTreeSet<String>,
) -> Result<Record, IdentityError> {
    // A boot that was killed earlier may have left some files.
    remove_at(store.root)?;
    let validity = Validity::new(facts.now, request.lifetime);
    let authorities = Authorities::make(
        request.authority.clone(),
        Validity::of_authority(facts.now, request.lifetime.max(SHORTEST_AUTHORITY)),
    )?;
    let asked = BTreeSet::new();
    store.write_all(authorities.files()?)?;
    store.write_all(authorities.leaves(&facts.node, served, &asked, validity)?)?;
    store.link_kubelets_certificate()?;
    let record = Record {
        fingerprint: hex::encode(&Sha256::digest(&authorities.cluster.pair.certificate)),
        is_in_etcd: false,
        served: served.clone(),
        asked,
        not_before: seconds(validity.not_before()),
        not_after: seconds(validity.not_after()),
    };
    record::write(store, &record)?;
    Ok(record)
}

fn renew(
    store: &Store<'_>,
    facts: &NodeFacts,
    request: &Request,
    served: BTreeSet<String>,
    record: Record,
) -> Result<Record, IdentityError> {
    let validity = Validity::new(facts.now, request.lifetime);
    let authorities = Authorities::load(|path| store.read(path))?;
    store.write_all(authorities.leaves(&facts.node, &served, &record.asked, validity)?)?;
    store.link_kubelets_certificate()?;
    let record = Record {
        served,
        not_before: seconds(validity.not_before()),
        not_after: seconds(validity.not_after()),
        ..record
    };
    record::write(store, &record)?;
    Ok(record)
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::PermissionsExt;

    use std::fs;
    use std::path::PathBuf;
    use std::time::UNIX_EPOCH;

    use serde_json::json;

    use super::super::etcd::DATABASE;
    use super::super::files::{CLUSTER_CA, FRONT_PROXY_CA};
    use super::super::slots::{self, Slot};
    use super::*;
    use crate::services::kubelet;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    /// A container as a bake leaves it, as far as this room reads it.
    pub(in crate::identity) fn container() -> tempfile::TempDir {
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

    pub(in crate::identity) fn facts(now: SystemTime) -> NodeFacts {
        NodeFacts {
            node: Node::control_plane(&ClusterSettings::default()),
            addresses: vec!["172.17.0.2".parse().unwrap()],
            hostname: "a1b2c3".to_owned(),
            now,
        }
    }

    pub(in crate::identity) fn ensure(root: &Path, request: &Request, facts: &NodeFacts) -> Outcome {
        ensure_at(root, &ClusterSettings::default(), request, facts).unwrap()
    }

    fn content(root: &Path, path: &str) -> String {
        fs::read_to_string(under(root, path)).unwrap()
    }

    #[test]
    fn an_identity_is_made_once_and_kept() {
        let (root, now) = (container(), SystemTime::now());
        let root = root.path();
        let request = Request::default();
        assert!(!is_made_at(root));
        assert_eq!(ensure(root, &request, &facts(now)), Outcome::Made);
        assert!(is_made_at(root));
        let files = [CLUSTER_CA.0, CLUSTER_CA.1, "/etc/kubernetes/pki/sa.key", paths::ADMIN_KUBECONFIG, DATABASE];
        let before = files.map(|path| content(root, path));
        assert_eq!(ensure(root, &request, &facts(now + DAY)), Outcome::Kept);
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
    fn two_containers_share_no_keys() {
        let roots = [container(), container()];
        let now = SystemTime::now();
        for root in &roots {
            ensure(root.path(), &Request::default(), &facts(now));
        }
        for path in [CLUSTER_CA.0, FRONT_PROXY_CA.0, "/etc/kubernetes/pki/sa.pub", "/etc/kubake/docker/ca.pem"] {
            assert_ne!(content(roots[0].path(), path), content(roots[1].path(), path), "{path}");
        }
    }

    #[test]
    fn other_addresses_and_old_age_renew_certificates() {
        let (root, now) = (container(), SystemTime::now());
        let root = root.path();
        let request = Request { lifetime: 30 * DAY, ..Request::default() };
        ensure(root, &request, &facts(now));
        let (authority, serving) = (content(root, CLUSTER_CA.0), "/etc/kubernetes/pki/apiserver.crt");
        let first = content(root, serving);
        let moved = NodeFacts { addresses: vec!["10.9.8.7".parse().unwrap()], ..facts(now) };
        assert_eq!(ensure(root, &request, &moved), Outcome::Renewed);
        let second = content(root, serving);
        assert_ne!(first, second);
        let late = NodeFacts { now: now + 25 * DAY, ..moved.clone() };
        assert_eq!(ensure(root, &request, &late), Outcome::Renewed);
        assert_ne!(second, content(root, serving));
        let early = NodeFacts { now: now - 40 * DAY, ..moved };
        assert_eq!(ensure(root, &request, &early), Outcome::Renewed, "a clock that was set back");
        assert_eq!(content(root, CLUSTER_CA.0), authority);
    }

    #[test]
    fn an_interrupted_first_boot_is_continued() {
        let (root, now) = (container(), SystemTime::now());
        let root = root.path();
        let store = Store::new(root, false);
        // A boot was killed while it wrote files.
        crate::files::write(&under(root, CLUSTER_CA.0), b"half", 0o644).unwrap();
        assert_eq!(ensure(root, &Request::default(), &facts(now)), Outcome::Made);
        let authority = content(root, CLUSTER_CA.0);
        // A boot was killed after it filled etcd and before it wrote the record.
        let record = record::read(&store).unwrap().unwrap();
        record::write(&store, &Record { is_in_etcd: false, ..record.clone() }).unwrap();
        assert_eq!(ensure(root, &Request::default(), &facts(now)), Outcome::Kept);
        assert_eq!(record::read(&store).unwrap().unwrap(), record);
        assert_eq!(content(root, CLUSTER_CA.0), authority);
    }

    #[test]
    fn an_image_without_room_in_etcd_is_refused_each_time() {
        let root = container();
        fs::write(under(root.path(), DATABASE), "page").unwrap();
        for _ in 0..2 {
            let error = ensure_at(root.path(), &ClusterSettings::default(), &Request::default(), &facts(UNIX_EPOCH));
            let error = chain(&error.unwrap_err());
            assert!(error.contains("member/snap/db") && error.contains("bake the image again"), "{error}");
        }
    }

    #[test]
    fn no_file_of_an_identity_is_left_for_an_image() {
        let root = tempfile::tempdir().unwrap();
        make_for_bake_at(root.path(), &ClusterSettings::default(), &facts(SystemTime::now())).unwrap();
        remove_at(root.path()).unwrap();
        fn files(path: &Path) -> Vec<PathBuf> {
            let entries = fs::read_dir(path).unwrap().flatten().map(|entry| entry.path());
            entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
        }
        assert_eq!(files(root.path()), Vec::<PathBuf>::new());
    }
}
