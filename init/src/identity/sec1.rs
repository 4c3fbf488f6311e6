//! The form of private keys that clients get: SEC1 (RFC 5915, `BEGIN EC PRIVATE KEY`), as k3s writes them. Clients such as
//! Fabric8 read `BEGIN PRIVATE KEY` (PKCS#8) as RSA only; every client reads this one. Pure.

use kubake_contract::pem;
use yasna::Tag;
use yasna::models::ObjectIdentifier;

/// The curve of every key that this program generates (RFC 5480).
pub(super) const P256: &[u64] = &[1, 2, 840, 10045, 3, 1, 7];

/// Converts a P-256 key from PKCS#8 (DER) to SEC1 in PEM; `public` is the public key as an uncompressed point. Returns
/// `None` if the key has another form.
pub(super) fn pem_of(pkcs8: &[u8], public: &[u8]) -> Option<String> {
    let inner = yasna::parse_der(pkcs8, |reader| {
        reader.read_sequence(|reader| {
            reader.next().read_u8()?;
            reader.next().read_der()?;
            let inner = reader.next().read_bytes()?;
            while reader.read_optional(|reader| reader.read_der())?.is_some() {}
            Ok(inner)
        })
    })
    .ok()?;
    let secret = yasna::parse_der(&inner, |reader| {
        reader.read_sequence(|reader| {
            reader.next().read_u8()?;
            let secret = reader.next().read_bytes()?;
            while reader.read_optional(|reader| reader.read_der())?.is_some() {}
            Ok(secret)
        })
    })
    .ok()?;
    let der = yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_u8(1);
            writer.next().write_bytes(&secret);
            // Inside of PKCS#8 the curve stands outside. Go and OpenSSL need it here.
            writer.next().write_tagged(Tag::context(0), |writer| writer.write_oid(&ObjectIdentifier::from_slice(P256)));
            writer.next().write_tagged(Tag::context(1), |writer| writer.write_bitvec_bytes(public, public.len() * 8));
        });
    });
    Some(pem::block("EC PRIVATE KEY", &der))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use rcgen::{KeyPair, PublicKeyData};

    use super::super::user_ca;
    use super::*;

    #[test]
    fn the_same_key_is_read_back() {
        let key = KeyPair::generate().unwrap();
        let text = pem_of(&key.serialize_der(), key.der_bytes()).unwrap();
        assert!(text.starts_with("-----BEGIN EC PRIVATE KEY-----\n"), "{text}");
        let read = user_ca::read_key(&text).unwrap();
        assert_eq!(read.public_key_info(), key.subject_public_key_info());
        assert!(pem_of(b"nonsense", key.der_bytes()).is_none());
    }

    #[test]
    fn openssl_reads_it() {
        let key = KeyPair::generate().unwrap();
        let text = pem_of(&key.serialize_der(), key.der_bytes()).unwrap();
        let started = Command::new("openssl")
            .args(["ec", "-check", "-pubout", "-outform", "DER"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        // Not every machine has it.
        let Ok(mut openssl) = started else { return };
        openssl.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = openssl.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.stdout, key.subject_public_key_info());
    }
}
