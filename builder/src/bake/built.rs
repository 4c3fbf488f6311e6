//! Name and id of images that a bake built.

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Built {
    pub(super) name: String,
    pub(super) id: String,
}
