//! Adds a name by which a caller reaches the API server to its certificate. Clients such as lightkube and kubernetes_asyncio
//! ignore `tls-server-name`, so for them the name has to be there. Only the certificate changes and its key stays: one file
//! is replaced in one step, which the API server then reads by itself. Decides nothing about who may ask.

use std::path::Path;

use kubake_contract::is_certificate_name;

use super::certificates::{Authority, Pair, Validity};
use super::error::IdentityError;
use super::files::{API_SERVER, CLUSTER_CA, api_server};
use super::names::covers;
use super::record::{self, time};
use super::store::{self, Store};
use super::user_ca::read_key;

/// Most names that callers can add, so that no caller makes a certificate grow without end.
const MOST: usize = 32;

/// The outcome of [`serve_also_at`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The certificate has the name now.
    Added,
    /// The certificate had it already, or there is none yet.
    Unchanged,
    /// Callers have added as many names as are allowed.
    Full,
}

/// Adds `name` to the API server's certificate of the container below `root`. `name` is a host name or an address, and no
/// pattern.
///
/// # Errors
/// [`IdentityError`]; the certificate is then the old one.
pub(crate) fn serve_also_at(root: &Path, name: &str) -> Result<Asked, IdentityError> {
    // A boot may be renewing the certificates at this moment.
    let _change = store::lock();
    let store = Store::new(root, false);
    let Some(mut record) = record::read(&store)? else { return Ok(Asked::Unchanged) };
    let is_served = covers(&record.served, name) || covers(&record.asked, name);
    if is_served || !is_certificate_name(name) || name.contains('*') {
        return Ok(Asked::Unchanged);
    }
    if record.asked.len() >= MOST {
        return Ok(Asked::Full);
    }
    record.asked.insert(name.to_owned());
    let cluster = Pair { certificate: store.read(CLUSTER_CA.0)?, key: store.read(CLUSTER_CA.1)? };
    let authority = Authority::load("kubernetes", cluster)?;
    let key = read_key(&store.read(API_SERVER.1)?);
    let key = key.map_err(|_| IdentityError::Key { path: store.path(API_SERVER.1) })?;
    let served = record.served.union(&record.asked).cloned().collect();
    let validity = Validity::between(time(record.not_before), time(record.not_after));
    let certificate = authority.certify(&api_server(&served), &key, validity)?;
    store.replace(API_SERVER.0, certificate.as_bytes(), false)?;
    record::write(&store, &record)?;
    Ok(Asked::Added)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use kubake_contract::ClusterSettings;
    use x509_parser::prelude::{FromDer, X509Certificate, parse_x509_pem};

    use super::super::ensure::tests::{container, ensure, facts};
    use super::super::request::Request;
    use super::*;

    /// How many names the certificate has, and its public key.
    fn served(root: &Path) -> (usize, Vec<u8>) {
        let pem = Store::new(root, false).read(API_SERVER.0).unwrap();
        let (_, block) = parse_x509_pem(pem.as_bytes()).unwrap();
        let (_, certificate) = X509Certificate::from_der(&block.contents).unwrap();
        let names = certificate.subject_alternative_name().unwrap().unwrap().value.general_names.len();
        (names, certificate.public_key().raw.to_vec())
    }

    #[test]
    fn a_name_is_added_once_and_stays() {
        let (root, now) = (container(), SystemTime::now());
        let root = root.path();
        assert_eq!(serve_also_at(root, "ci.example").unwrap(), Asked::Unchanged, "there is no identity yet");
        let request = Request::from_names(&["*.mine.example"]);
        ensure(root, &request, &facts(now));
        let (count, key) = served(root);
        for known in ["kubernetes", "KIND", "172.30.99.1", "a.mine.example", "*.example", "a b", ""] {
            assert_eq!(serve_also_at(root, known).unwrap(), Asked::Unchanged, "{known}");
        }
        for new in ["ci.example", "127.0.0.2", "reg.example.com__ns__kind", "a.b.mine.example", "fd00::7"] {
            assert_eq!(serve_also_at(root, new).unwrap(), Asked::Added, "{new}");
            assert_eq!(serve_also_at(root, new).unwrap(), Asked::Unchanged, "{new}");
        }
        assert_eq!(served(root), (count + 5, key), "the key stays, so no reader sees half a pair");
        // The next boot keeps them, and so does one that renews.
        ensure(root, &request, &facts(now));
        assert_eq!(served(root).0, count + 5);
        ensure(root, &request, &facts(now + Duration::from_secs(3000 * 24 * 3600)));
        assert_eq!(served(root).0, count + 5);
    }

    #[test]
    fn callers_cannot_make_a_certificate_grow_without_end() {
        let root = container();
        ensure(root.path(), &Request::default(), &facts(SystemTime::now()));
        for number in 0..MOST {
            assert_eq!(serve_also_at(root.path(), &format!("n{number}.example")).unwrap(), Asked::Added);
        }
        assert_eq!(serve_also_at(root.path(), "more.example").unwrap(), Asked::Full);
        assert_eq!(serve_also_at(root.path(), "n1.example").unwrap(), Asked::Unchanged);
        let settings = ClusterSettings::default();
        assert!(served(root.path()).0 < MOST + 30 + settings.cert_sans.len());
    }
}
