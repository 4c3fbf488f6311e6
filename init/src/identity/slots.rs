//! Slots for CAs in the frozen etcd. Objects that embed a CA (`kube-root-ca.crt` in every namespace, `cluster-info`,
//! `extension-apiserver-authentication`) are frozen as JSON, in which each such value is a *slot*: a placeholder followed
//! by spaces. The first boot fills the slots in etcd's database file, before etcd starts. Pure: text and bytes only.
//!
//! **Why this works.** The API server reads JSON from etcd as well as protobuf (apiserver: `NewStorageCodec` falls back
//! to its universal decoder). JSON allows spaces between a value and the next comma. So a value of any length up to the
//! slot's fits without moving a byte after it. bbolt stores a value contiguously and without a checksum.
//!
//! **Alternatives.** Starting etcd once more to write to it would add half a second to every first boot. If the controller
//! manager wrote the CAs, a pod that starts earlier would see a CA that does not exist any more.

use serde_json::Value;

/// Length of a slot in bytes. A value holds one CA's PEM (at most 4 KiB, see [`super::user_ca`]) in base64, and a few lines.
const BYTES: usize = 8192;
const BEGIN: &str = "\"@kubake-identity:";
const END: &str = "@\"";

/// A value that differs between containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// PEM of the cluster's CA.
    ClusterCa,
    /// PEM of the front proxy's CA.
    FrontProxyCa,
    /// The kubeconfig without credentials from which `kubeadm join` starts.
    ClusterInfo,
}

impl Slot {
    const ALL: [Self; 3] = [Self::ClusterCa, Self::FrontProxyCa, Self::ClusterInfo];

    fn name(self) -> &'static str {
        match self {
            Self::ClusterCa => "cluster-ca",
            Self::FrontProxyCa => "front-proxy-ca",
            Self::ClusterInfo => "cluster-info",
        }
    }

    /// The placeholder that an object holds in this value's place until [`freeze`].
    #[must_use]
    pub(crate) fn placeholder(self) -> Value {
        Value::String(format!("@kubake-identity:{}@", self.name()))
    }
}

/// A database whose slots cannot be filled.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SlotError {
    /// There are no slots, so no bake froze this database.
    #[error("the frozen etcd has no slots for this container's certificates; bake the image again")]
    None,
    /// A placeholder is not followed by enough spaces.
    #[error("the frozen etcd is damaged at byte {offset}; bake the image again")]
    Damaged { offset: usize },
    /// A value is longer than a slot.
    #[error("the value of {slot} is too long: {length} bytes of at most {BYTES}; use a shorter CA certificate")]
    TooLong {
        slot: &'static str,
        /// The value's length as JSON.
        length: usize,
    },
}

/// Returns the JSON of an object with spaces after each placeholder, as the bake writes it to etcd.
#[must_use]
pub(crate) fn freeze(object: &Value) -> String {
    let mut text = object.to_string();
    for slot in Slot::ALL {
        let placeholder = slot.placeholder().to_string();
        let room = " ".repeat(BYTES - placeholder.len());
        text = text.replace(&placeholder, &format!("{placeholder}{room}"));
    }
    text
}

/// Fills every slot of a database and returns their number.
///
/// # Errors
/// [`SlotError`]; the database must then not be used.
pub(crate) fn fill(database: &mut [u8], value: impl Fn(Slot) -> String) -> Result<usize, SlotError> {
    let mut filled = 0;
    let mut from = 0;
    while let Some(found) = find(&database[from..], BEGIN.as_bytes()) {
        let offset = from + found;
        let damaged = || SlotError::Damaged { offset };
        let room = database.get_mut(offset..offset + BYTES).ok_or_else(damaged)?;
        let slot = Slot::ALL.into_iter().find(|slot| room.starts_with(slot.placeholder().to_string().as_bytes()));
        let slot = slot.ok_or_else(damaged)?;
        let behind = BEGIN.len() + slot.name().len() + END.len();
        if room[behind..].iter().any(|&byte| byte != b' ') {
            return Err(damaged());
        }
        let text = Value::String(value(slot)).to_string();
        if text.len() > BYTES {
            return Err(SlotError::TooLong { slot: slot.name(), length: text.len() });
        }
        room.fill(b' ');
        room[..text.len()].copy_from_slice(text.as_bytes());
        filled += 1;
        from = offset + BYTES;
    }
    if filled == 0 { Err(SlotError::None) } else { Ok(filled) }
}

/// Returns the first position of `wanted`.
fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    // `@` is rare in a database of JSON and protobuf, so comparing at each of them takes no longer than reading the file.
    const ANCHOR: usize = 1;
    let anchor = wanted[ANCHOR];
    let mut from = ANCHOR;
    loop {
        let at = from + bytes.get(from..)?.iter().position(|&byte| byte == anchor)?;
        if bytes[at - ANCHOR..].starts_with(wanted) {
            return Some(at - ANCHOR);
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn object() -> Value {
        json!({ "kind": "ConfigMap", "data": {
            "ca.crt": Slot::ClusterCa.placeholder(), "other": "a@b", "kubeconfig": Slot::ClusterInfo.placeholder() } })
    }

    #[test]
    fn filled_values_are_read_back() {
        let mut database = b"\"@kuba\"@".to_vec();
        let frozen = freeze(&object());
        database.extend(frozen.as_bytes());
        database.extend(freeze(&json!([Slot::FrontProxyCa.placeholder()])).as_bytes());
        let length = database.len();
        let pem = "-----BEGIN CERTIFICATE-----\n\"é\"\n";
        assert_eq!(fill(&mut database, |slot| format!("{slot:?} {pem}")), Ok(3));
        assert_eq!(database.len(), length);
        let object: Value = serde_json::from_slice(&database[8..8 + frozen.len()]).unwrap();
        assert_eq!(object["data"]["ca.crt"], format!("ClusterCa {pem}"));
        assert_eq!(object["data"]["kubeconfig"], format!("ClusterInfo {pem}"));
        assert_eq!(object["data"]["other"], "a@b");
        assert_eq!(fill(&mut database, |_| String::new()), Err(SlotError::None), "they are filled once");
    }

    #[test]
    fn damage_is_reported_and_nothing_is_overwritten() {
        let mut frozen = freeze(&object()).into_bytes();
        let offset = find(&frozen, BEGIN.as_bytes()).unwrap();
        frozen[offset + BYTES - 1] = b'x';
        assert_eq!(fill(&mut frozen, |_| String::new()), Err(SlotError::Damaged { offset }));
        let mut cut = freeze(&object()).into_bytes();
        cut.truncate(offset + 100);
        assert_eq!(fill(&mut cut, |_| String::new()), Err(SlotError::Damaged { offset }));
        let mut unknown = format!("{BEGIN}what{END}{}", " ".repeat(BYTES)).into_bytes();
        assert_eq!(fill(&mut unknown, |_| String::new()), Err(SlotError::Damaged { offset: 0 }));
        let mut frozen = freeze(&object()).into_bytes();
        let long = fill(&mut frozen, |_| "x".repeat(BYTES));
        assert_eq!(long, Err(SlotError::TooLong { slot: "cluster-ca", length: BYTES + 2 }));
    }

    proptest! {
        #[test]
        fn only_slots_are_changed(before in proptest::collection::vec(any::<u8>(), 0..300), value in "\\PC{0,200}") {
            let is_clean = find(&before, BEGIN.as_bytes()).is_none();
            prop_assume!(is_clean);
            let mut database = before.clone();
            database.extend(freeze(&Slot::ClusterCa.placeholder()).as_bytes());
            database.extend(&before);
            prop_assert_eq!(fill(&mut database, |_| value.clone()), Ok(1));
            prop_assert!(database.starts_with(&before) && database.ends_with(&before));
            let middle = &database[before.len()..database.len() - before.len()];
            prop_assert_eq!(serde_json::from_slice::<String>(middle).unwrap(), value);
        }
    }
}
