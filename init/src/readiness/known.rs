//! Objects of one kind as lists and watches report them. Pure.

use std::collections::BTreeMap;

use super::objects::{Name, Object};

/// What a list or watch reports about one kind of object.
#[derive(Debug)]
pub(super) enum Change<T> {
    /// These objects exist and no others.
    Listed(Vec<T>),
    /// This object is new or changed.
    Changed(T),
    /// This object was deleted.
    Gone(T),
}

/// Objects by name; none before the first complete list.
pub(super) type Known<T> = Option<BTreeMap<Name, T>>;

/// Applies a change.
pub(super) fn learn<T: Object>(known: &mut Known<T>, change: Change<T>) {
    match change {
        Change::Listed(all) => {
            *known = Some(all.into_iter().map(|object| (object.metadata().key(), object)).collect());
        }
        Change::Changed(object) => {
            known.get_or_insert_default().insert(object.metadata().key(), object);
        }
        Change::Gone(object) => {
            known.get_or_insert_default().remove(&object.metadata().key());
        }
    }
}
