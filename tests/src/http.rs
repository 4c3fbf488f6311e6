//! A GET as a user's script or a CI system does it: HTTP/1.1 to a port of this host, one request a connection.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// The parts of an answer that cases look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub body: String,
}

impl Response {
    /// The body, if the status is this one.
    ///
    /// # Errors
    /// When it is another one; with the body.
    pub fn expect(self, status: u16) -> Result<String> {
        if self.status != status {
            bail!("answered {} instead of {status}: {}", self.status, self.body.trim_end());
        }
        Ok(self.body)
    }
}

/// Asks 127.0.0.1.
///
/// # Errors
/// When there is no answer; any status is an answer.
pub fn get(port: u16, path: &str) -> Result<Response> {
    get_within(port, path, Duration::from_secs(10))
}

/// Asks 127.0.0.1 with this time limit for each step.
///
/// # Errors
/// As [`get`].
pub fn get_within(port: u16, path: &str, patience: Duration) -> Result<Response> {
    exchange(port, path, patience).with_context(|| format!("GET http://127.0.0.1:{port}{path}"))
}

fn exchange(port: u16, path: &str, patience: Duration) -> Result<Response> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    parse(&String::from_utf8_lossy(&answer))
}

fn parse(answer: &str) -> Result<Response> {
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no HTTP answer: {answer:?}"))?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.with_context(|| format!("no HTTP status: {head:?}"))?;
    let head = head.to_ascii_lowercase();
    let is_chunked = head.lines().any(|line| line.starts_with("transfer-encoding:") && line.ends_with("chunked"));
    let body = if is_chunked { unchunk(body)? } else { body.to_owned() };
    Ok(Response { status, body })
}

fn unchunk(mut rest: &str) -> Result<String> {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").context("a chunk without a size")?;
        let size = usize::from_str_radix(size.trim(), 16).with_context(|| format!("chunk size {size:?}"))?;
        if size == 0 {
            return Ok(body);
        }
        body.push_str(after.get(..size).context("a chunk that is cut off")?);
        rest = after.get(size..).and_then(|rest| rest.strip_prefix("\r\n")).context("a chunk without an end")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_understood() {
        let plain = parse("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nwhy\n").unwrap();
        assert_eq!(plain, Response { status: 503, body: "why\n".to_owned() });
        let chunked = parse("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
        assert_eq!(chunked.unwrap().expect(200).unwrap(), "abcde");
        assert!(parse("").is_err());
    }
}
