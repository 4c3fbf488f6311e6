//! The state of this boot: phases, components, readiness. All parts of the supervisor write to one [`Board`], which any
//! number of readers follow. `/status`, `/kubernetes-ready` and the log report what the board holds. Does no I/O.

mod board;

pub(crate) use board::Board;
