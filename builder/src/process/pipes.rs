//! The threads that read a child's output and feed its input; all they see becomes an [`Event`].

use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::mpsc::Sender;

use super::output::Stream;

/// Longest line that is passed on in one piece, in bytes.
const LONGEST_LINE: u64 = 64 * 1024;
/// Most that is captured of a child's stdout, in bytes.
const MOST_CAPTURED: u64 = 64 * 1024 * 1024;

/// What happens to a child.
pub(super) enum Event {
    Line(Stream, String),
    Captured(Vec<u8>),
    ReadFailed(io::Error),
    /// A reader reached the end of its pipe.
    Eof,
    InputFailed(io::Error),
    /// The child was stopped because it reads from the terminal or changes it.
    AsksTerminal,
    Exited(io::Result<()>),
    Cancelled,
}

pub(super) fn read_lines(pipe: impl Read, stream: Stream, sender: &Sender<Event>) {
    let mut pipe = BufReader::new(pipe);
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match pipe.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut buffer) {
            Ok(0) => break,
            Ok(_) => {
                let text = String::from_utf8_lossy(&buffer);
                let text = text.trim_end_matches(['\n', '\r']).to_owned();
                if sender.send(Event::Line(stream, text)).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                drop(sender.send(Event::ReadFailed(error)));
                break;
            }
        }
    }
    drop(sender.send(Event::Eof));
}

pub(super) fn capture(pipe: impl Read, sender: &Sender<Event>) {
    let mut bytes = Vec::new();
    let outcome = pipe.take(MOST_CAPTURED + 1).read_to_end(&mut bytes);
    let event = match outcome {
        Err(error) => Event::ReadFailed(error),
        Ok(_) if bytes.len() as u64 > MOST_CAPTURED => {
            Event::ReadFailed(io::Error::new(io::ErrorKind::FileTooLarge, "more output than 64 MiB"))
        }
        Ok(_) => Event::Captured(bytes),
    };
    drop(sender.send(event));
    drop(sender.send(Event::Eof));
}

pub(super) fn feed_input(reader: &mut dyn Read, mut stdin: impl Write, sender: &Sender<Event>) {
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return,
            // A child that does not want more says with its status whether that is an error.
            Ok(count) => {
                if buffer.get(..count).is_none_or(|bytes| stdin.write_all(bytes).is_err()) {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                // Sent before stdin is closed: the child must not be seen to end well on half of its input.
                drop(sender.send(Event::InputFailed(error)));
                return;
            }
        }
    }
}
