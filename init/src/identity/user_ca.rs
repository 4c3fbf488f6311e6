//! A CA that the user brings along: understood and checked, so that a mistake is told before anything is touched. Pure.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate, parse_x509_pem};

use super::certificates::{Pair, PrivateKey};
use crate::contract::env;
use crate::pem;

/// The most that a certificate may have, since its copies in etcd have room for no more (`slots`).
const MOST_BYTES: usize = 4096;

/// A CA that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserCaError {
    /// One is useless without the other.
    #[error("{given} is set and {missing} is not; set both or none")]
    Half {
        /// The variable that is set.
        given: &'static str,
        /// The variable that is not.
        missing: &'static str,
    },
    /// Not a certificate that can issue.
    #[error("{}: {reason}", env::CA_CERT)]
    Certificate {
        /// What is wrong with it.
        reason: String,
    },
    /// Not a key.
    #[error("{}: {reason}", env::CA_KEY)]
    Key {
        /// What is wrong with it.
        reason: String,
    },
}

/// Checks a certificate and its key, both PEM, and brings them into the form in which CAs are kept here.
pub(super) fn check(certificate: &str, key: &str, now: SystemTime) -> Result<Pair, UserCaError> {
    let wrong = |reason: &str| UserCaError::Certificate { reason: reason.to_owned() };
    let (rest, block) = parse_x509_pem(certificate.as_bytes()).map_err(|_| wrong("this is no certificate in PEM"))?;
    if block.label != "CERTIFICATE" {
        return Err(wrong(&format!("this is a `{}`, not a CERTIFICATE", block.label.escape_default())));
    }
    if rest.trim_ascii() != b"" {
        return Err(wrong("there is more than one certificate; give the one that shall issue, and no chain"));
    }
    let (_, parsed) = X509Certificate::from_der(&block.contents).map_err(|_| wrong("the certificate is damaged"))?;
    if !parsed.is_ca() {
        return Err(wrong("this is not a CA's certificate (basicConstraints does not say CA:TRUE)"));
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
            "it is valid from {} to {}, and this machine's clock says something else",
            validity.not_before, validity.not_after
        )));
    }
    let certificate = pem::block("CERTIFICATE", &block.contents);
    if certificate.len() > MOST_BYTES {
        return Err(wrong(&format!("it is longer than {MOST_BYTES} bytes")));
    }
    let key = read_key(key)?;
    if key.public_key_info() != parsed.public_key().raw {
        return Err(UserCaError::Key { reason: format!("this is not the key of the certificate in {}", env::CA_CERT) });
    }
    Ok(Pair { certificate, key: key.to_pem() })
}

fn read_key(pem: &str) -> Result<PrivateKey, UserCaError> {
    let wrong = |reason: &str| UserCaError::Key { reason: reason.to_owned() };
    if pem.contains("ENCRYPTED") {
        return Err(wrong("the key is encrypted; give it without a pass phrase"));
    }
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| wrong("this is no private key in PEM"))?;
    let candidates = match &key {
        PrivateKeyDer::Pkcs8(key) => vec![key.secret_pkcs8_der().to_vec()],
        PrivateKeyDer::Pkcs1(key) => vec![wrapped(RSA, None, key.secret_pkcs1_der())],
        PrivateKeyDer::Sec1(key) => {
            [P256, P384].map(|curve| wrapped(ELLIPTIC, Some(curve), key.secret_sec1_der())).to_vec()
        }
        _ => Vec::new(),
    };
    let read = candidates.iter().find_map(|der| PrivateKey::from_pkcs8(der));
    read.ok_or_else(|| wrong("only RSA keys of 2048 to 4096 bits and ECDSA keys on P-256 or P-384 can be used"))
}

/// Object identifiers of RFC 8017 and RFC 5480.
const RSA: &[u64] = &[1, 2, 840, 113_549, 1, 1, 1];
const ELLIPTIC: &[u64] = &[1, 2, 840, 10045, 2, 1];
const P256: &[u64] = &[1, 2, 840, 10045, 3, 1, 7];
const P384: &[u64] = &[1, 3, 132, 0, 34];

/// PKCS#8 (RFC 5958) around a key in an older form.
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
    fn a_ca_with_its_key_is_taken_as_it_is() {
        let pair = authority().pair;
        let text = format!("Subject: CN = mine\n{}\n\n", pair.certificate);
        assert_eq!(check(&text, &pair.key, SystemTime::now()), Ok(pair));
    }

    #[test]
    fn keys_in_older_forms_are_understood() {
        // `openssl ecparam -genkey` writes SEC1: what is within PKCS#8.
        let pair = authority().pair;
        let PrivateKeyDer::Pkcs8(der) = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap() else { panic!() };
        let inner = yasna::parse_der(der.secret_pkcs8_der(), |reader| {
            reader.read_sequence(|reader| {
                reader.next().read_u8()?;
                reader.next().read_der()?;
                let key = reader.next().read_bytes()?;
                while reader.read_optional(|reader| reader.read_der())?.is_some() {}
                Ok(key)
            })
        })
        .unwrap();
        let sec1 = pem::block("EC PRIVATE KEY", &inner);
        assert!(check(&pair.certificate, &sec1, SystemTime::now()).is_ok());
    }

    #[test]
    fn what_is_wrong_is_told_with_the_variables_name() {
        let now = SystemTime::now();
        let (mine, other) = (authority(), authority().pair);
        let names = std::collections::BTreeSet::new();
        let leaf = Leaf { common_name: "leaf", organization: None, names: &names, usage: Usage::Client };
        let leaf = mine.issue(&leaf, Validity::new(now, Duration::from_secs(3600))).unwrap();
        let mine = mine.pair;
        let two = format!("{}{}", mine.certificate, other.certificate);
        let late = now + Duration::from_secs(7200);
        for (certificate, key, now, told) in [
            ("nonsense", mine.key.as_str(), now, "KUBAKE_CA_CERT: this is no certificate"),
            (mine.key.as_str(), mine.key.as_str(), now, "KUBAKE_CA_CERT: this is a `PRIVATE KEY`"),
            (two.as_str(), mine.key.as_str(), now, "more than one certificate"),
            (leaf.certificate.as_str(), leaf.key.as_str(), now, "not a CA's certificate"),
            (mine.certificate.as_str(), mine.key.as_str(), late, "valid from"),
            (mine.certificate.as_str(), other.key.as_str(), now, "KUBAKE_CA_KEY: this is not the key of"),
            (mine.certificate.as_str(), "nonsense", now, "KUBAKE_CA_KEY: this is no private key"),
            (mine.certificate.as_str(), "-----BEGIN ENCRYPTED PRIVATE KEY-----", now, "encrypted"),
        ] {
            let error = check(certificate, key, now).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
