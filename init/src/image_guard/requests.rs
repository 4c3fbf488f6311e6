//! Finds the requests of one HTTP/1.1 connection in the bytes of its client: where each begins and ends, and whether it is
//! one that the guard answers. Pure. What it does not understand it lets pass, for ever.

use std::mem;

/// Longest head of a request that is followed; Go's servers accept 1 MiB, and no client of Docker sends this much.
const MOST_HEAD: usize = 64 * 1024;
/// Longest line with the size of a chunk.
const MOST_SIZE_LINE: usize = 1024;

/// What the bytes that were fed amount to, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Bytes for dockerd.
    Pass(Vec<u8>),
    /// A request to prune images, complete: its target, such as `/v1.45/images/prune?filters=...`.
    Prune(String),
}

/// The state between two calls.
#[derive(Debug)]
pub(super) struct Requests {
    state: State,
    /// The head of the present request, as far as it is there.
    head: Vec<u8>,
    /// How much of it was passed on. Nothing, while it may be the guard's.
    passed: usize,
    /// The target of a request whose body is being dropped.
    target: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Body(u64),
    /// The length of its line so far, and the size in it.
    ChunkSize {
        line: usize,
        size: u64,
        is_extension: bool,
    },
    /// Bytes of the chunk that are left, with the line end after it.
    Chunk(u64),
    /// The length of the line so far, after the last chunk.
    Trailer(usize),
    /// Not HTTP, or not any more.
    Raw,
}

const CHUNK_SIZE: State = State::ChunkSize { line: 0, size: 0, is_extension: false };

impl Default for Requests {
    fn default() -> Self {
        Self { state: State::Head, head: Vec::new(), passed: 0, target: None }
    }
}

impl Requests {
    /// Takes the next bytes of the client.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            let used = match self.state {
                State::Raw => {
                    push(&mut pieces, bytes);
                    return pieces;
                }
                State::Head => self.feed_head(bytes, &mut pieces),
                State::Body(left) | State::Chunk(left) => {
                    let used = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    self.state = match self.state {
                        State::Body(_) => State::Body(left - used as u64),
                        _ if left == used as u64 => CHUNK_SIZE,
                        _ => State::Chunk(left - used as u64),
                    };
                    self.pass(&bytes[..used], &mut pieces);
                    used
                }
                State::ChunkSize { .. } | State::Trailer(_) => {
                    self.step(bytes[0]);
                    self.pass(&bytes[..1], &mut pieces);
                    1
                }
            };
            bytes = &bytes[used..];
            if self.state == State::Body(0) {
                self.state = State::Head;
                pieces.extend(self.target.take().map(Piece::Prune));
            }
        }
        pieces
    }

    /// Passes bytes of a body on, unless the guard answers the request.
    fn pass(&self, bytes: &[u8], pieces: &mut Vec<Piece>) {
        if self.target.is_none() {
            push(pieces, bytes);
        }
    }

    /// One byte of the lines around chunks.
    fn step(&mut self, byte: u8) {
        self.state = match self.state {
            State::ChunkSize { line, size, .. } if byte == b'\n' => match size {
                _ if line == 0 => State::Raw,
                0 => State::Trailer(0),
                _ => size.checked_add(2).map_or(State::Raw, State::Chunk),
            },
            State::ChunkSize { line, .. } if line >= MOST_SIZE_LINE => State::Raw,
            State::ChunkSize { line, size, is_extension } => {
                let digit = char::from(byte).to_digit(16).filter(|_| !is_extension);
                let next = digit.and_then(|digit| size.checked_mul(16)?.checked_add(u64::from(digit)));
                match (next, byte) {
                    (Some(size), _) => State::ChunkSize { line: line + 1, size, is_extension },
                    // The line end, or an extension.
                    (None, b'\r' | b';' | b' ') if line > 0 => {
                        State::ChunkSize { line: line + 1, size, is_extension: true }
                    }
                    (None, _) if is_extension => State::ChunkSize { line: line + 1, size, is_extension },
                    (None, _) => State::Raw,
                }
            }
            State::Trailer(0) if byte == b'\n' => State::Body(0),
            State::Trailer(_) if byte == b'\n' => State::Trailer(0),
            State::Trailer(line) if line >= MOST_HEAD => State::Raw,
            State::Trailer(line) => State::Trailer(if byte == b'\r' { line } else { line + 1 }),
            other => other,
        };
    }

    /// Returns how many of the bytes belong to the head.
    fn feed_head(&mut self, bytes: &[u8], pieces: &mut Vec<Piece>) -> usize {
        let before = self.head.len();
        self.head.extend_from_slice(bytes);
        // The end may have begun in earlier bytes.
        let from = before.saturating_sub(3);
        let end = self.head[from..].windows(4).position(|four| four == b"\r\n\r\n").map(|at| from + at + 4);
        let complete = end.is_some();
        self.head.truncate(end.unwrap_or(usize::MAX));
        let used = self.head.len() - before;
        let is_ours = may_be_ours(&self.head);
        if !is_ours {
            push(pieces, &self.head[self.passed..]);
            self.passed = self.head.len();
        }
        if complete {
            let head = mem::take(&mut self.head);
            self.passed = 0;
            self.state = after_head(&head, is_ours);
            self.target = if is_ours { target(&head).map(str::to_owned) } else { None };
        } else if self.head.len() > MOST_HEAD || !may_be_http(&self.head) {
            push(pieces, &self.head[self.passed..]);
            self.head.clear();
            self.state = State::Raw;
        }
        used
    }
}

fn push(pieces: &mut Vec<Piece>, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    match pieces.last_mut() {
        Some(Piece::Pass(last)) => last.extend_from_slice(bytes),
        _ => pieces.push(Piece::Pass(bytes.to_vec())),
    }
}

/// Whether the beginning of a head may be, or is, that of a request to prune images.
fn may_be_ours(head: &[u8]) -> bool {
    const BEGIN: &[u8] = b"POST /";
    let common = head.len().min(BEGIN.len());
    if head[..common] != BEGIN[..common] {
        return false;
    }
    match head.iter().position(|&byte| byte == b'\n') {
        Some(_) => target(head).is_some_and(is_prune),
        // The target is as long as dockerd wants it to be, and held back only this long.
        None => head.len() <= MOST_HEAD,
    }
}

/// `/images/prune`, with or without a version before it and a query behind.
fn is_prune(target: &str) -> bool {
    let path = target.split('?').next().unwrap_or_default();
    let rest = path.strip_prefix("/v").and_then(|rest| rest.split_once('/'));
    let path = match rest {
        Some((version, rest)) if version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => rest,
        _ => path.strip_prefix('/').unwrap_or_default(),
    };
    path == "images/prune"
}

fn target(head: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(head.split(|&byte| byte == b'\n').next()?).ok()?;
    line.split(' ').nth(1)
}

/// Whether these bytes may be the head of a request, as far as its first line says.
fn may_be_http(head: &[u8]) -> bool {
    let mut lines = head.split(|&byte| byte == b'\n');
    let first = lines.next().unwrap_or_default();
    if lines.next().is_none() {
        return first.iter().take_while(|&&byte| byte != b' ').all(u8::is_ascii_uppercase);
    }
    let line = String::from_utf8_lossy(first);
    let words: Vec<&str> = line.trim_end().split(' ').collect();
    matches!(words[..], [_, _, version] if version.starts_with("HTTP/1."))
}

/// What follows a complete head.
fn after_head(head: &[u8], is_ours: bool) -> State {
    if !may_be_http(head) {
        return State::Raw;
    }
    let text = String::from_utf8_lossy(head);
    let headers: Vec<(&str, &str)> = text.lines().skip(1).filter_map(|line| line.split_once(':')).collect();
    let find = |wanted: &str| {
        headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    // Streams of `attach`, `exec` and builds.
    if find("upgrade").is_some() && text.starts_with("POST ") && !is_ours {
        return State::Raw;
    }
    if find("transfer-encoding").is_some_and(|value| value.to_ascii_lowercase().ends_with("chunked")) {
        return CHUNK_SIZE;
    }
    match find("content-length").map(str::parse) {
        Some(Ok(length)) => State::Body(length),
        Some(Err(_)) => State::Raw,
        None => State::Body(0),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PING: &str = "HEAD /_ping HTTP/1.1\r\nHost: d\r\n\r\n";
    const PRUNE: &str = "POST /v1.45/images/prune?filters=%7B%7D HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\n\r\nabc";
    const CHUNKED: &str =
        "POST /build HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5;x=1\r\nhello\r\n0\r\nT: 1\r\n\r\n";

    /// All that was passed, and the prunes with how much was passed before each.
    fn run(bytes: &[u8], step: usize) -> (Vec<u8>, Vec<(usize, String)>) {
        let (mut requests, mut passed, mut prunes) = (Requests::default(), Vec::new(), Vec::new());
        for part in bytes.chunks(step.max(1)) {
            for piece in requests.feed(part) {
                match piece {
                    Piece::Pass(bytes) => passed.extend(bytes),
                    Piece::Prune(target) => prunes.push((passed.len(), target)),
                }
            }
        }
        (passed, prunes)
    }

    #[test]
    fn only_a_prune_of_images_is_taken_out() {
        let put = "PUT /x HTTP/1.1\r\nContent-Length: 20\r\n\r\nPOST /images/prune HT";
        let other = "POST /images/prune-not HTTP/1.1\r\nContent-Length: 0\r\n\r\n";
        let all = [PING, CHUNKED, PRUNE, put, other, PRUNE, PING].concat();
        let before = PING.len() + CHUNKED.len();
        let target = "/v1.45/images/prune?filters=%7B%7D".to_owned();
        for step in 1..=all.len() {
            let (passed, prunes) = run(all.as_bytes(), step);
            assert_eq!(passed, [PING, CHUNKED, put, other, PING].concat().into_bytes(), "{step}");
            assert_eq!(
                prunes,
                [(before, target.clone()), (before + put.len() + other.len(), target.clone())],
                "{step}"
            );
        }
    }

    #[test]
    fn targets_with_and_without_a_version() {
        for target in ["/images/prune", "/v1.24/images/prune", "/images/prune?filters=x"] {
            assert!(is_prune(target), "{target}");
        }
        for target in ["/images/prune/json", "/v1.x/images/prune", "/containers/prune", "/x/images/prune", "", "/v1"] {
            assert!(!is_prune(target), "{target}");
        }
    }

    #[test]
    fn a_stream_is_never_looked_into_nor_held_back() {
        let attach = "POST /containers/x/attach HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
        let all = [attach, PRUNE].concat();
        assert_eq!(run(all.as_bytes(), 7), (all.clone().into_bytes(), Vec::new()));
        let mut requests = Requests::default();
        requests.feed(PING.as_bytes());
        assert_eq!(requests.feed(b"\x16\x03\x01P"), [Piece::Pass(b"\x16\x03\x01P".to_vec())]);
        assert_eq!(requests.feed(PRUNE.as_bytes()), [Piece::Pass(PRUNE.as_bytes().to_vec())]);
        let h2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        assert_eq!(run(h2, 5).0, h2);
    }

    proptest! {
        #[test]
        fn what_holds_no_prune_passes_unchanged(bytes in proptest::collection::vec(any::<u8>(), 0..300), step in 1_usize..50) {
            prop_assume!(!bytes.starts_with(b"P"));
            let (passed, prunes) = run(&bytes, step);
            prop_assert_eq!(passed, bytes);
            prop_assert!(prunes.is_empty());
        }

        #[test]
        fn no_broken_request_makes_it_panic(at in 0_usize..160, byte: u8, step in 1_usize..50) {
            let mut bytes = [PING, CHUNKED, PRUNE].concat().into_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            run(&bytes, step);
        }
    }
}
