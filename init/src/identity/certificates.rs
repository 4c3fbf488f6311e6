//! Keys and certificates. The only module that names rcgen. Pure except for the system's randomness: reads and writes no
//! file, and knows nothing of Kubernetes but the purpose of a certificate.
//!
//! Keys are ECDSA on P-256, because generating sixteen of them takes about two milliseconds. RSA keys would take seconds.
//! Keys of CAs are PKCS#8, all others SEC1 ([`super::sec1`]).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType,
};

use super::sec1;

/// A key or certificate that could not be generated, loaded or issued.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    /// rcgen returned an error.
    #[error("cannot make the certificate `{name}`")]
    Make {
        name: String,
        #[source]
        source: rcgen::Error,
    },
}

/// The validity of a certificate, in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Validity {
    /// How long before now certificates become valid, because a client's clock may be slow.
    const BACKDATED: Duration = Duration::from_secs(24 * 3600);

    /// The same for CAs, which stay for good: a clock that was ahead at the first boot must not leave a CA that is not yet
    /// valid by the right time.
    const AUTHORITY_BACKDATED: Duration = Duration::from_secs(20 * 365 * 24 * 3600);
    /// 2026-01-01, in seconds since 1970. A clock that shows less is wrong, since this program is no older. A CA lives from
    /// then on at least, so that it outlives the correction of the clock.
    const NO_EARLIER: Duration = Duration::from_secs(1_767_225_600);

    /// Returns the validity of a CA: from many years ago until `lifetime` from now.
    #[must_use]
    pub(super) fn of_authority(now: SystemTime, lifetime: Duration) -> Self {
        let not_before = now.checked_sub(Self::AUTHORITY_BACKDATED).unwrap_or(UNIX_EPOCH).max(UNIX_EPOCH);
        let now = now.max(UNIX_EPOCH + Self::NO_EARLIER);
        let not_after = now.checked_add(lifetime).unwrap_or(now);
        Self { not_before: in_seconds(not_before), not_after: in_seconds(not_after) }
    }

    /// Returns the validity between two points in time.
    #[must_use]
    pub(super) fn between(not_before: SystemTime, not_after: SystemTime) -> Self {
        Self { not_before: in_seconds(not_before), not_after: in_seconds(not_after) }
    }

    /// Returns the validity from a day ago until `lifetime` from now.
    #[must_use]
    pub(super) fn new(now: SystemTime, lifetime: Duration) -> Self {
        let not_before = now.checked_sub(Self::BACKDATED).unwrap_or(UNIX_EPOCH).max(UNIX_EPOCH);
        // A certificate holds whole seconds.
        Self { not_before: in_seconds(not_before), not_after: in_seconds(now.checked_add(lifetime).unwrap_or(now)) }
    }

    #[must_use]
    pub(super) fn not_before(self) -> SystemTime {
        self.not_before
    }

    #[must_use]
    pub(super) fn not_after(self) -> SystemTime {
        self.not_after
    }
}

fn in_seconds(time: SystemTime) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

/// The extended key usage of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Usage {
    Server,
    Client,
    /// For etcd's members, which use one certificate as server and client.
    Both,
}

/// The content of a leaf certificate.
#[derive(Debug, Clone)]
pub(super) struct Leaf<'a> {
    pub(super) common_name: &'a str,
    pub(super) organization: Option<&'a str>,
    pub(super) names: &'a BTreeSet<String>,
    pub(super) usage: Usage,
}

/// A certificate with its key, both as PEM.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Pair").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// A CA that can issue certificates.
pub(super) struct Authority {
    pub(super) pair: Pair,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Generates a CA.
    pub(super) fn make(common_name: &str, validity: Validity) -> Result<Self, CertificateError> {
        let failed = |source| CertificateError::Make { name: common_name.to_owned(), source };
        let key = KeyPair::generate().map_err(failed)?;
        let mut parameters = parameters(common_name, None, validity);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            // As Kubernetes' own CAs have it (client-go: `NewSelfSignedCACert`).
            KeyUsagePurpose::KeyEncipherment,
            KeyUsagePurpose::KeyCertSign,
        ];
        let certificate = parameters.self_signed(&key).map_err(failed)?;
        let pair = Pair { certificate: certificate.pem(), key: key.serialize_pem() };
        Ok(Self { pair, issuer: Issuer::new(parameters, key) })
    }

    /// Loads an existing CA. The key is PKCS#8.
    pub(super) fn load(name: &str, pair: Pair) -> Result<Self, CertificateError> {
        let failed = |source| CertificateError::Make { name: name.to_owned(), source };
        let key = KeyPair::from_pem(&pair.key).map_err(failed)?;
        let issuer = Issuer::from_ca_cert_pem(&pair.certificate, key).map_err(failed)?;
        Ok(Self { pair, issuer })
    }

    /// Issues a certificate with a new key.
    pub(super) fn issue(&self, leaf: &Leaf<'_>, validity: Validity) -> Result<Pair, CertificateError> {
        let failed = |source| CertificateError::Make { name: leaf.common_name.to_owned(), source };
        let key = PrivateKey(KeyPair::generate().map_err(failed)?);
        let certificate = self.certify(leaf, &key, validity)?;
        // The fallback is the same key in the form that most clients read, too.
        let sec1 = sec1::pem_of(&key.0.serialize_der(), key.0.der_bytes()).unwrap_or_else(|| key.to_pem());
        Ok(Pair { certificate, key: sec1 })
    }

    /// Issues a certificate for an existing key.
    pub(super) fn certify(
        &self,
        leaf: &Leaf<'_>,
        key: &PrivateKey,
        validity: Validity,
    ) -> Result<String, CertificateError> {
        let failed = |source| CertificateError::Make { name: leaf.common_name.to_owned(), source };
        let mut parameters = parameters(leaf.common_name, leaf.organization, validity);
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        parameters.extended_key_usages = match leaf.usage {
            Usage::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Usage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Usage::Both => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        };
        parameters.use_authority_key_identifier_extension = true;
        for name in leaf.names {
            parameters.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.as_str().try_into().map_err(failed)?),
            });
        }
        Ok(parameters.signed_by(&key.0, &self.issuer).map_err(failed)?.pem())
    }
}

fn parameters(common_name: &str, organization: Option<&str>, validity: Validity) -> CertificateParams {
    let mut subject = DistinguishedName::new();
    // The order in which Go writes them, so that every tool shows kubeadm's certificates and these alike.
    if let Some(organization) = organization {
        subject.push(DnType::OrganizationName, organization);
    }
    subject.push(DnType::CommonName, common_name);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut parameters = CertificateParams::default();
    parameters.not_before = epoch + since(validity.not_before);
    parameters.not_after = epoch + since(validity.not_after);
    parameters.distinguished_name = subject;
    parameters
}

/// A private key.
pub(super) struct PrivateKey(KeyPair);

impl PrivateKey {
    /// Reads PKCS#8 (DER); returns `None` for kinds of keys that rcgen does not support.
    pub(super) fn from_pkcs8(der: &[u8]) -> Option<Self> {
        KeyPair::try_from(der).ok().map(Self)
    }

    /// Returns the public key in a certificate's form (SubjectPublicKeyInfo, DER).
    pub(super) fn public_key_info(&self) -> Vec<u8> {
        self.0.subject_public_key_info()
    }

    /// Returns the key as PKCS#8 in PEM.
    pub(super) fn to_pem(&self) -> String {
        self.0.serialize_pem()
    }
}

/// Generates the key pair that signs service accounts' tokens; returns the private and the public key as PEM.
pub(super) fn signing_key() -> Result<(String, String), CertificateError> {
    let failed = |source| CertificateError::Make { name: "service accounts".to_owned(), source };
    let key = KeyPair::generate().map_err(failed)?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}

#[cfg(test)]
pub(crate) mod tests {
    use x509_parser::prelude::{FromDer, X509Certificate, parse_x509_pem};

    use super::*;

    /// A certificate that signed itself, and its key.
    pub(crate) fn pair(name: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        (parameters.self_signed(&key).unwrap().pem().replace("\r\n", "\n"), key.serialize_pem())
    }

    fn der(pem: &str) -> Vec<u8> {
        parse_x509_pem(pem.as_bytes()).unwrap().1.contents
    }

    #[test]
    fn a_leaf_has_the_requested_content_and_its_cas_signature() {
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let validity = Validity::new(now, Duration::from_secs(48 * 3600));
        let authority = Authority::make("some ca", validity).unwrap();
        let names = ["10.0.0.1", "::1", "docker", "reg.example.com__ns__kind"].map(str::to_owned).into();
        let leaf =
            Leaf { common_name: "kube-apiserver", organization: Some("org"), names: &names, usage: Usage::Server };
        let pair = authority.issue(&leaf, validity).unwrap();
        let (authority_der, leaf_der) = (der(&authority.pair.certificate), der(&pair.certificate));
        let (_, ca) = X509Certificate::from_der(&authority_der).unwrap();
        let (_, certificate) = X509Certificate::from_der(&leaf_der).unwrap();
        assert_eq!(certificate.subject().to_string(), "O=org, CN=kube-apiserver");
        assert_eq!(certificate.issuer().to_string(), "CN=some ca");
        assert!(ca.is_ca() && !certificate.is_ca());
        certificate.verify_signature(Some(ca.public_key())).unwrap();
        assert_eq!(certificate.validity().not_before.timestamp(), 1_800_000_000 - 24 * 3600);
        assert_eq!(certificate.validity().not_after.timestamp(), 1_800_000_000 + 48 * 3600);
        let sans = certificate.subject_alternative_name().unwrap().unwrap();
        assert_eq!(sans.value.general_names.len(), 4);
        assert!(!format!("{:?}", pair).contains("PRIVATE"), "keys stay out of logs");
        assert!(pair.key.starts_with("-----BEGIN EC PRIVATE KEY-----\n"), "not every client reads PKCS#8");
        assert!(authority.pair.key.starts_with("-----BEGIN PRIVATE KEY-----"));
    }

    #[test]
    fn a_ca_is_valid_after_the_clock_was_corrected() {
        let year = Duration::from_secs(365 * 24 * 3600);
        let right = UNIX_EPOCH + 57 * year;
        for wrong in [UNIX_EPOCH, right - 30 * year, right - year, right, right + year, right + 15 * year] {
            let validity = Validity::of_authority(wrong, 10 * year);
            assert!(validity.not_before() <= right && right + 5 * year < validity.not_after(), "{validity:?}");
        }
    }

    #[test]
    fn a_loaded_ca_issues_as_the_generated_one() {
        let validity = Validity::new(SystemTime::now(), Duration::from_secs(3600));
        let made = Authority::make("some ca", validity).unwrap();
        let loaded = Authority::load("some ca", made.pair.clone()).unwrap();
        let names = BTreeSet::new();
        let leaf = Leaf { common_name: "a", organization: None, names: &names, usage: Usage::Client };
        let (ca, leaf) = (der(&made.pair.certificate), der(&loaded.issue(&leaf, validity).unwrap().certificate));
        let (_, ca) = X509Certificate::from_der(&ca).unwrap();
        let (_, certificate) = X509Certificate::from_der(&leaf).unwrap();
        certificate.verify_signature(Some(ca.public_key())).unwrap();
        assert_eq!(certificate.issuer(), ca.subject());
    }

    #[test]
    fn a_clock_at_1970_causes_no_panic() {
        let validity = Validity::new(UNIX_EPOCH, Duration::from_secs(u64::MAX));
        assert_eq!((validity.not_before(), validity.not_after()), (UNIX_EPOCH, UNIX_EPOCH));
    }
}
