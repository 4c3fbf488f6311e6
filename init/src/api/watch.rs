//! Watches: one connection each, on which the API server writes a line of JSON per change. Owns the splitting into
//! lines and their decoding; the caller decides what a change means and when to watch again.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::Incoming;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use super::connection::Connection;
use super::error::ApiError;

/// etcd's objects have at most 1.5 MiB; no valid line comes near this.
const MOST_LINE_BYTES: usize = 16 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WatchEvent<T> {
    /// What happened to the object.
    pub kind: WatchKind,
    /// The object as it is now, or was last.
    pub object: T,
}

/// What happened to an object. Bookmarks only keep a watch alive and are not passed on; errors end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WatchKind {
    /// It is new, or new to the watcher.
    Added,
    Modified,
    /// It is gone.
    Deleted,
}

/// A running watch, which ends when it is dropped.
pub(crate) struct Watch<T> {
    request: String,
    address: String,
    body: Incoming,
    lines: Lines,
    idle: Duration,
    last_heard: Instant,
    ended: bool,
    /// Closes with the watch: its answer has no end, so it carries no other request.
    _connection: Connection,
    object: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Watch<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Watch").field("request", &self.request).finish_non_exhaustive()
    }
}

impl<T: DeserializeOwned> Watch<T> {
    pub(super) fn new(
        request: String,
        address: String,
        body: Incoming,
        connection: Connection,
        idle: Duration,
    ) -> Self {
        Self {
            request,
            address,
            body,
            lines: Lines::default(),
            idle,
            last_heard: Instant::now(),
            ended: false,
            _connection: connection,
            object: PhantomData,
        }
    }

    /// The next change; none when the API server ended the watch, which is normal, and after an error. The future may
    /// be dropped and the method called again without a loss.
    pub(crate) async fn next(&mut self) -> Option<Result<WatchEvent<T>, ApiError>> {
        if self.ended {
            return None;
        }
        let event = self.read().await.transpose();
        self.ended = !matches!(event, Some(Ok(_)));
        event
    }

    async fn read(&mut self) -> Result<Option<WatchEvent<T>>, ApiError> {
        loop {
            while let Some(line) = self.lines.next() {
                if let Some(event) = decode(&self.request, line)? {
                    return Ok(Some(event));
                }
            }
            // Since the last byte and not since this call, which the caller may repeat for ever.
            let frame = match timeout_at(self.last_heard + self.idle, self.body.frame()).await {
                Ok(frame) => frame,
                Err(_) => return Err(ApiError::Timeout { request: self.request.clone(), waited: self.idle }),
            };
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|error| ApiError::transport(&self.request, &self.address, error))?;
            self.last_heard = Instant::now();
            if let Some(data) = frame.data_ref() {
                self.lines.push(data);
                if self.lines.pending() > MOST_LINE_BYTES {
                    return Err(ApiError::TooLarge { request: self.request.clone(), limit: MOST_LINE_BYTES });
                }
            }
        }
    }
}

/// Decodes a line; none for bookmarks and empty lines.
fn decode<T: DeserializeOwned>(request: &str, line: &[u8]) -> Result<Option<WatchEvent<T>>, ApiError> {
    #[derive(Deserialize)]
    struct Line {
        r#type: String,
        object: serde_json::Value,
    }
    let failed = |source| ApiError::Decode { request: request.to_owned(), source };
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let line: Line = serde_json::from_slice(line).map_err(failed)?;
    let kind = match line.r#type.as_str() {
        "ADDED" => WatchKind::Added,
        "MODIFIED" => WatchKind::Modified,
        "DELETED" => WatchKind::Deleted,
        "ERROR" => {
            let code = line.object.get("code").and_then(serde_json::Value::as_u64);
            let code = code.and_then(|code| u16::try_from(code).ok()).and_then(|code| StatusCode::from_u16(code).ok());
            let code = code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return Err(ApiError::status(request, code, line.object.to_string().as_bytes()));
        }
        // A bookmark's object has a version and nothing else, so it is not even a `T`.
        _ => return Ok(None),
    };
    let object = serde_json::from_value(line.object).map_err(failed)?;
    Ok(Some(WatchEvent { kind, object }))
}

/// Splits the bytes of an answer into lines.
#[derive(Debug, Default)]
struct Lines {
    buffer: Vec<u8>,
    /// End of the lines that were returned.
    taken: usize,
    /// End of the bytes that were searched for a line end, so that none is searched twice.
    searched: usize,
}

impl Lines {
    fn push(&mut self, data: &[u8]) {
        self.buffer.drain(..self.taken);
        self.searched -= self.taken;
        self.taken = 0;
        self.buffer.extend_from_slice(data);
    }

    /// The next whole line, without its end.
    fn next(&mut self) -> Option<&[u8]> {
        match self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
            Some(length) => {
                let end = self.searched + length;
                let line = &self.buffer[self.taken..end];
                self.taken = end + 1;
                self.searched = end + 1;
                Some(line)
            }
            None => {
                self.searched = self.buffer.len();
                None
            }
        }
    }

    /// Bytes that were not returned yet.
    fn pending(&self) -> usize {
        self.buffer.len() - self.taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_they_arrive(text in "[ab\n]{0,60}", sizes in proptest::collection::vec(1_usize..9, 1..20)) {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            let (mut rest, mut sizes) = (text.as_bytes(), sizes.iter().cycle());
            while !rest.is_empty() {
                let (piece, more) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
                lines.push(piece);
                while let Some(line) = lines.next() {
                    found.push(line.to_vec());
                }
                rest = more;
            }
            let mut expected: Vec<Vec<u8>> = text.as_bytes().split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            let unfinished = expected.pop().unwrap();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(lines.pending(), unfinished.len());
        }

        #[test]
        fn no_line_makes_it_panic(line in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = decode::<serde_json::Value>("watch", &line);
        }
    }
}
