//! The Docker API on TCP: passes connections on to dockerd's unix socket, byte for byte, in both directions and each
//! direction to its own end (`docker attach` closes one half long before the other). Owns the connections, plain ones
//! and those with TLS, and their number. Without TLS it looks at the head of the first request (`head`), and at no other byte. It starts
//! nothing and knows no Docker API beyond [`ping`].

mod door;
mod head;
mod ping;
mod proxy;
mod tls;

pub(crate) use door::turn_away;
pub(crate) use ping::ping;
pub(crate) use proxy::Proxy;
pub(crate) use tls::acceptor_at;
