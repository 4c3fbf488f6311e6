//! Things that look like secrets to the search, generated each time, so that no source holds one. They
//! open nothing.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// A PEM block of this label, such as `EC PRIVATE KEY`.
#[must_use]
pub fn pem(label: &str) -> String {
    pem_of(label, &structure())
}

/// A DER structure as long as a small key.
pub(super) fn structure() -> Vec<u8> {
    let content = (0..0x77_u8).map(|number| number.wrapping_mul(151) ^ 0x5a);
    [0x30, 0x77].into_iter().chain(content).collect()
}

pub(super) fn pem_of(label: &str, content: &[u8]) -> String {
    let encoded = STANDARD.encode(content);
    let mut text = format!("-----BEGIN {label}-----\n");
    for (index, character) in encoded.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text + &format!("\n-----END {label}-----\n")
}

/// A kubeconfig with a client certificate and its key.
#[must_use]
pub fn kubeconfig() -> String {
    let (certificate, key) = (STANDARD.encode(pem("CERTIFICATE")), STANDARD.encode(pem("EC PRIVATE KEY")));
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- cluster:\n    server: https://127.0.0.1:8443\n  name: kind\nusers:\n\
         - name: kind\n  user:\n    client-certificate-data: {certificate}\n    client-key-data: {key}\n"
    )
}

/// A token as service accounts have them.
#[must_use]
pub fn token() -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let header = part(r#"{"alg":"RS256","kid":"kubake-e2e"}"#);
    let payload = part(r#"{"iss":"kubake-e2e","sub":"test"}"#);
    format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode(structure()))
}
