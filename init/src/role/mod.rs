//! The roles of a node. A role is data: which daemons it runs, the phases of its boot, the evidence that it is
//! ready, and the order in which it stops. Another role is another file here.

pub(crate) mod control_plane;
