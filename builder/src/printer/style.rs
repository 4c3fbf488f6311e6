//! Colours and weights of text as parameters of the ANSI sequence `ESC [ … m` (ECMA-48, SGR).

pub(super) const RED: &str = "1;31";
pub(super) const GREEN: &str = "32";
pub(super) const YELLOW: &str = "33";
pub(super) const CYAN: &str = "36";
pub(super) const BOLD: &str = "1";
pub(super) const DIM: &str = "2";
