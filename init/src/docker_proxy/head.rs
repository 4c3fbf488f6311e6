//! Looks at the head of the request with which a connection without TLS begins, because a browser sends requests of any web
//! page: those that a page makes (`Origin`) or that come under a foreign name are refused. Bytes that are not HTTP pass as
//! they are. Answers nothing.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::own_hosts::OwnHosts;

/// Longest head that is read, as in Go's server; registries' logins are in it.
const MOST_BYTES: usize = 1 << 20;
/// The longest name of a method, and a space.
const LONGEST_METHOD: usize = 20;

/// What to do with the bytes that a connection begins with.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// More are needed.
    Undecided,
    /// Pass them on, with this line inserted at an offset.
    Pass(Option<usize>),
    /// Refuse the request; why.
    Refuse(String),
}

/// dockerd ends the connection after its answer, so the head of the first request is the only one: a browser would send
/// another page's request over the same connection.
const CLOSE: &[u8] = b"Connection: close\r\n";

fn judge(bytes: &[u8], hosts: &OwnHosts) -> Verdict {
    let method = bytes.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    match bytes.get(method) {
        Some(b' ') if method > 0 => {}
        None if method < LONGEST_METHOD => return Verdict::Undecided,
        _ => return Verdict::Pass(None),
    }
    let Some(end) = end_of_head(bytes) else { return Verdict::Undecided };
    let mut lines = bytes[..end].split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let request_line = lines.next().unwrap_or_default();
    if request_line.ends_with(b"HTTP/2.0") {
        // With prior knowledge only, which no browser has of a server without TLS.
        return Verdict::Pass(None);
    }
    let fields: Vec<(&[u8], &[u8])> = lines
        .filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            Some((line[..colon].trim_ascii(), line[colon + 1..].trim_ascii()))
        })
        .collect();
    let has = |wanted: &str| fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()));
    if has("origin") {
        return Verdict::Refuse("this port does not answer web pages (header `Origin`)".to_owned());
    }
    let authorities = fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"host")).map(|(_, value)| *value);
    if let Some(stranger) = hosts.stranger(authorities) {
        return Verdict::Refuse(format!(
            "this port does not answer under the name `{stranger}`, since any web page could use it: use the address or a \
             name without a dot, or add the name to {}",
            kubake_contract::env::CERT_SANS
        ));
    }
    // The stream that follows an upgrade belongs to this one request.
    let first_line = bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
    Verdict::Pass(first_line.filter(|_| !has("upgrade")))
}

/// Where the first empty line ends. Go's server takes lines that end without a carriage return.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let mut line = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte == b'\n' {
            if bytes[line..at].trim_ascii_end().is_empty() && line > 0 {
                return Some(at + 1);
            }
            line = at + 1;
        }
    }
    None
}

/// A connection whose first bytes are withheld until they are judged. Reading a refused head is an error of the kind
/// [`io::ErrorKind::PermissionDenied`]; its text is the reason.
#[derive(Debug)]
pub(super) struct Judged<'a, S> {
    stream: S,
    hosts: &'a OwnHosts,
    /// Bytes that were read and not yet handed on.
    held: Vec<u8>,
    is_decided: bool,
}

impl<'a, S> Judged<'a, S> {
    pub(super) fn new(stream: S, hosts: &'a OwnHosts) -> Self {
        Self { stream, hosts, held: Vec::new(), is_decided: false }
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    fn decide(&mut self) -> io::Result<()> {
        match judge(&self.held, self.hosts) {
            Verdict::Undecided if self.held.len() > MOST_BYTES => {
                Err(io::Error::new(io::ErrorKind::PermissionDenied, "the head of the request is too long"))
            }
            Verdict::Undecided => Ok(()),
            Verdict::Refuse(why) => Err(io::Error::new(io::ErrorKind::PermissionDenied, why)),
            Verdict::Pass(insert) => {
                if let Some(at) = insert {
                    self.held.splice(at..at, CLOSE.iter().copied());
                }
                self.is_decided = true;
                Ok(())
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Judged<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while !this.is_decided {
            let mut bytes = [0; 8192];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut read))?;
            if read.filled().is_empty() {
                // No request; what there is passes.
                this.is_decided = true;
            } else {
                this.held.extend_from_slice(read.filled());
                this.decide()?;
            }
        }
        if this.held.is_empty() {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        let count = this.held.len().min(buffer.remaining());
        buffer.put_slice(&this.held[..count]);
        this.held.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Judged<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    fn judged(text: &str) -> Verdict {
        judge(text.as_bytes(), &OwnHosts::new(["kind.ns.svc".to_owned()].into()))
    }

    #[test]
    fn requests_of_web_pages_are_refused() {
        for head in [
            "POST /containers/create HTTP/1.1\r\nHost: localhost:2375\r\nOrigin: http://evil.example\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: localhost\r\norigin:null\r\n\r\n",
            "GET / HTTP/1.1\nHost: localhost\nORIGIN : x\n\n",
            "GET /attach/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nOrigin: http://localhost\r\n\r\n",
            "GET /info HTTP/1.1\r\nHost: rebind.example:2375\r\n\r\n",
            "GET /info HTTP/1.1\r\nHost: docker\r\nHost: rebind.example\r\n\r\n",
        ] {
            assert!(matches!(judged(head), Verdict::Refuse(_)), "{head}");
        }
    }

    #[test]
    fn clients_of_docker_pass() {
        for host in ["docker:2375", "127.0.0.1:2375", "[::1]:2375", "localhost", "kind.ns.svc:2375", "a_b"] {
            let line = "GET /_ping HTTP/1.1\r\n";
            let head = format!("{line}Host: {host}\r\nUser-Agent: x\r\n\r\n");
            assert_eq!(judged(&head), Verdict::Pass(Some(line.len())), "{host}");
        }
        for as_it_is in [
            "POST /exec/1/start HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n{}",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "SSH-2.0-x\r\n",
            "\u{16}\u{3}",
            "!",
            " ",
        ] {
            assert_eq!(judged(as_it_is), Verdict::Pass(None), "{as_it_is}");
        }
        for part in ["", "GE", "GET", "GET / HTTP/1.1\r\nHost: docker\r\n", "POST /x HTTP/1.1\r\nOrigin: a\r\n"] {
            assert_eq!(judged(part), Verdict::Undecided, "{part}");
        }
    }

    #[tokio::test]
    async fn a_head_in_pieces_arrives_whole_and_ends_the_connection() {
        let (hosts, request) = (OwnHosts::default(), "POST /build HTTP/1.1\r\nHost: docker\r\n\r\nbody\r\n\r\nmore");
        for size in [1, 7, 1000] {
            let mut pieces = in_pieces(request.as_bytes(), size);
            let mut read = String::new();
            Judged::new(&mut pieces, &hosts).read_to_string(&mut read).await.unwrap();
            assert_eq!(read, request.replacen("\r\n", "\r\nConnection: close\r\n", 1), "{size}");
        }
        let endless = vec![b'a'; MOST_BYTES * 2];
        let endless = [b"GET /", endless.as_slice()].concat();
        let error = Judged::new(endless.as_slice(), &hosts).read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }

    /// A reader that yields `size` bytes at a time.
    fn in_pieces(bytes: &[u8], size: usize) -> impl AsyncRead + Unpin + use<> {
        let (mut writer, reader) = tokio::io::duplex(size);
        let bytes = bytes.to_vec();
        tokio::spawn(async move { tokio::io::AsyncWriteExt::write_all(&mut writer, &bytes).await });
        reader
    }
}
