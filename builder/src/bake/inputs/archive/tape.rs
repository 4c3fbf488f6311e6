//! Sequential readers of tar files: of plain ones, whose content is skipped by seeking, and of decompressed ones, whose size
//! is limited.

use std::fs::File;
use std::io::{self, BufReader, Read};

use super::super::monitor::Monitor;

/// A sequential reader that can skip content.
pub(super) trait Tape: Read {
    fn skip(&mut self, count: u64) -> io::Result<()>;
}

pub(super) struct Plain {
    pub(super) file: BufReader<File>,
    pub(super) at: u64,
    pub(super) length: u64,
}

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Tape for Plain {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        let to = self.at.checked_add(count).filter(|to| *to <= self.length).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.at = to;
        match i64::try_from(count) {
            Ok(count) => self.file.seek_relative(count),
            Err(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

pub(super) struct Unpacked<'a> {
    pub(super) inner: Box<dyn Read + Send>,
    pub(super) count: u64,
    pub(super) most: u64,
    pub(super) monitor: &'a Monitor<'a>,
}

impl Read for Unpacked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.monitor.check_cancelled()?;
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        if self.count > self.most {
            return Err(io::Error::other(format!("it unpacks to more than {} MiB", self.most >> 20)));
        }
        Ok(count)
    }
}

impl Tape for Unpacked<'_> {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.take(count), &mut io::sink())?;
        if skipped == count { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}
