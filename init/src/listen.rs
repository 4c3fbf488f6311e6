//! Opens the ports on which this process serves everyone: over IPv6 and IPv4 where the kernel has both. Accepts nothing.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};

use nix::sys::socket::{getsockopt, sockopt};

/// Listens on `port` of all addresses. Needs no runtime, so that it can be the first thing that a process does; the listener
/// does not block.
///
/// # Errors
/// When the port is in use or not permitted.
pub(crate) fn everywhere(port: u16) -> io::Result<TcpListener> {
    let both = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port));
    let listener = match both {
        Ok(listener) if getsockopt(&listener, sockopt::Ipv6V6Only) == Ok(false) => listener,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
        // A kernel without IPv6, or one that keeps the two apart (`net.ipv6.bindv6only`).
        Ok(_) | Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?,
    };
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpStream};

    use super::*;

    #[test]
    fn a_port_is_reached_over_each_protocol_that_there_is() {
        let listener = everywhere(0).unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).unwrap();
        if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            TcpStream::connect(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).unwrap();
        }
        assert_eq!(everywhere(port).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
