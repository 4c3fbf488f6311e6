//! Parses and checks a CA that the user provides, so that a mistake is reported before anything is changed. Pure.

use std::time::{SystemTime, UNIX_EPOCH};

use kubake_contract::env;
use kubake_contract::pem;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate, parse_x509_pem};

use super::certificates::{Pair, PrivateKey};
use super::sec1::P256;

/// Longest allowed PEM certificate, in bytes: its copies in etcd have no room for more (`slots`).
const MOST_BYTES: usize = 4096;

/// A certificate or key that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UserCaError {
    /// The certificate is set without its key, or the key without its certificate.
    #[error("{given} is set and {missing} is not; set both or none")]
    Half {
        /// The variable that is set.
        given: &'static str,
        /// The variable that is not.
        missing: &'static str,
    },
    /// The certificate is not that of a CA that can issue certificates now.
    #[error("{}: {reason}", env::CA_CERT)]
    Certificate { reason: String },
    /// The key is missing, unsupported, or not that of the certificate.
    #[error("{}: {reason}", env::CA_KEY)]
    Key { reason: String },
}

/// Checks a certificate and its key, both PEM, and converts them to the form of the container's own CAs: a single PEM
/// block, and a key in PKCS#8.
pub(super) fn check(certificate: &str, key: &str, now: SystemTime) -> Result<Pair, UserCaError> {
    let wrong = |reason: &str| UserCaError::Certificate { reason: reason.to_owned() };
    let (rest, block) =
        parse_x509_pem(certificate.as_bytes()).map_err(|_| wrong("the value is not a certificate in PEM"))?;
    if block.label != "CERTIFICATE" {
        return Err(wrong(&format!("the value is a `{}`, not a CERTIFICATE", block.label.escape_default())));
    }
    if rest.trim_ascii() != b"" {
        return Err(wrong(
            "the value has more than one certificate; give only the one that issues certificates, without its chain",
        ));
    }
    let (_, parsed) = X509Certificate::from_der(&block.contents).map_err(|_| wrong("the certificate is damaged"))?;
    if !parsed.is_ca() {
        return Err(wrong("the certificate is not a CA's (basicConstraints lacks CA:TRUE)"));
    }
    if let Ok(Some(usage)) = parsed.key_usage() {
        if !usage.value.key_cert_sign() {
            return Err(wrong("its key may not sign certificates (keyUsage lacks keyCertSign)"));
        }
    }
    let seconds = i64::try_from(now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()).unwrap_or(i64::MAX);
    let validity = parsed.validity();
    if seconds < validity.not_before.timestamp() || seconds > validity.not_after.timestamp() {
        return Err(wrong(&format!(
            "the certificate is valid from {} to {}, and this machine's clock shows a time outside of that",
            validity.not_before, validity.not_after
        )));
    }
    let certificate = pem::block("CERTIFICATE", &block.contents);
    if certificate.len() > MOST_BYTES {
        return Err(wrong(&format!("the certificate is longer than {MOST_BYTES} bytes")));
    }
    let key = read_key(key)?;
    if key.public_key_info() != parsed.public_key().raw {
        return Err(UserCaError::Key {
            reason: format!("the key does not belong to the certificate in {}", env::CA_CERT),
        });
    }
    Ok(Pair { certificate, key: key.to_pem() })
}

/// Reads a private key in any form.
pub(super) fn read_key(pem: &str) -> Result<PrivateKey, UserCaError> {
    let wrong = |reason: &str| UserCaError::Key { reason: reason.to_owned() };
    if pem.contains("ENCRYPTED") {
        return Err(wrong("the key is encrypted; remove its passphrase"));
    }
    let key =
        PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| wrong("the value is not a private key in PEM"))?;
    let candidates = match &key {
        PrivateKeyDer::Pkcs8(key) => vec![key.secret_pkcs8_der().to_vec()],
        PrivateKeyDer::Pkcs1(key) => vec![wrapped(RSA, None, key.secret_pkcs1_der())],
        PrivateKeyDer::Sec1(key) => {
            [P256, P384].map(|curve| wrapped(ELLIPTIC, Some(curve), key.secret_sec1_der())).to_vec()
        }
        _ => Vec::new(),
    };
    let read = candidates.iter().find_map(|der| PrivateKey::from_pkcs8(der));
    read.ok_or_else(|| {
        wrong("the key is of an unsupported kind; use RSA with 2048 to 4096 bits, or ECDSA on P-256 or P-384")
    })
}

/// Object identifiers of RFC 8017 and RFC 5480.
const RSA: &[u64] = &[1, 2, 840, 113_549, 1, 1, 1];
const ELLIPTIC: &[u64] = &[1, 2, 840, 10045, 2, 1];
const P384: &[u64] = &[1, 3, 132, 0, 34];

/// Wraps a key in an older form in PKCS#8 (RFC 5958).
fn wrapped(algorithm: &[u64], curve: Option<&[u64]>, key: &[u8]) -> Vec<u8> {
    use yasna::models::ObjectIdentifier;
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_u8(0);
            writer.next().write_sequence(|writer| {
                writer.next().write_oid(&ObjectIdentifier::from_slice(algorithm));
                match curve {
                    Some(curve) => writer.next().write_oid(&ObjectIdentifier::from_slice(curve)),
                    None => writer.next().write_null(),
                }
            });
            writer.next().write_bytes(key);
        });
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::certificates::{Authority, Leaf, Usage, Validity};
    use super::*;

    fn authority() -> Authority {
        Authority::make("mine", Validity::new(SystemTime::now(), Duration::from_secs(3600))).unwrap()
    }

    #[test]
    fn a_ca_with_its_key_is_accepted_unchanged() {
        let pair = authority().pair;
        let text = format!("Subject: CN = mine\n{}\n\n", pair.certificate);
        assert_eq!(check(&text, &pair.key, SystemTime::now()), Ok(pair));
    }

    #[test]
    fn keys_in_older_forms_are_accepted() {
        // `openssl ecparam -genkey` writes SEC1.
        let validity = Validity::new(SystemTime::now(), Duration::from_secs(3600));
        let names = std::collections::BTreeSet::new();
        let leaf = Leaf { common_name: "leaf", organization: None, names: &names, usage: Usage::Client };
        let pair = authority().issue(&leaf, validity).unwrap();
        assert!(pair.key.contains("BEGIN EC PRIVATE KEY"));
        let (_, block) = parse_x509_pem(pair.certificate.as_bytes()).unwrap();
        let (_, certificate) = X509Certificate::from_der(&block.contents).unwrap();
        assert_eq!(read_key(&pair.key).unwrap().public_key_info(), certificate.public_key().raw);
    }

    #[test]
    fn mistakes_are_reported_with_the_variables_name() {
        let now = SystemTime::now();
        let (mine, other) = (authority(), authority().pair);
        let names = std::collections::BTreeSet::new();
        let leaf = Leaf { common_name: "leaf", organization: None, names: &names, usage: Usage::Client };
        let leaf = mine.issue(&leaf, Validity::new(now, Duration::from_secs(3600))).unwrap();
        let mine = mine.pair;
        let two = format!("{}{}", mine.certificate, other.certificate);
        let late = now + Duration::from_secs(7200);
        for (certificate, key, now, expected) in [
            ("nonsense", mine.key.as_str(), now, "KUBAKE_CA_CERT: the value is not a certificate"),
            (mine.key.as_str(), mine.key.as_str(), now, "KUBAKE_CA_CERT: the value is a `PRIVATE KEY`"),
            (two.as_str(), mine.key.as_str(), now, "more than one certificate"),
            (leaf.certificate.as_str(), leaf.key.as_str(), now, "the certificate is not a CA's"),
            (mine.certificate.as_str(), mine.key.as_str(), late, "valid from"),
            (mine.certificate.as_str(), other.key.as_str(), now, "KUBAKE_CA_KEY: the key does not belong to"),
            (mine.certificate.as_str(), "nonsense", now, "KUBAKE_CA_KEY: the value is not a private key"),
            (mine.certificate.as_str(), "-----BEGIN ENCRYPTED PRIVATE KEY-----", now, "encrypted"),
        ] {
            let error = check(certificate, key, now).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
