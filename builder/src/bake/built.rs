//! Images that a bake built, as later steps name them.

/// An image that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Built {
    /// Its name.
    pub(super) name: String,
    /// Its id.
    pub(super) id: String,
}
