//! Bytes as lowercase hexadecimal digits, the form of digests and machine ids.

#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
