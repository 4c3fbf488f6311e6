//! Our lines in `/etc/hosts`. Owns what stands between two markers and never touches another line.
//!
//! The file is bind-mounted by the engine: it cannot be replaced by renaming, only written in place.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use super::under;
use crate::contract::names;

/// The file.
pub const HOSTS: &str = "/etc/hosts";
/// A name of the node that nobody else has.
pub const NODE: &str = "control-plane.kubake.internal";

const BEGIN: &str = "# kubake: begin";
const END: &str = "# kubake: end";

/// What [`apply_at`] fails with.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    /// The file cannot be read.
    #[error("cannot read {}; mount a readable file there, or none", path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {}; mount a writable file there, or none", path.display())]
    Write {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Our lines: the node's own names, and no others. `kubernetes`, `docker` or `localhost` would hide an alias that the
/// user gave a service outside; in here nothing needs them, since certificates are checked by `tls-server-name`.
#[must_use]
pub fn entries(static_ip: Ipv4Addr) -> Vec<(Ipv4Addr, Vec<String>)> {
    vec![(static_ip, vec![NODE.to_owned(), names::CLUSTER.to_owned()])]
}

/// `existing` with our block holding exactly `entries`: in its old place, or at the end.
#[must_use]
pub fn render(existing: &str, entries: &[(Ipv4Addr, Vec<String>)]) -> String {
    let mut before = String::new();
    let mut after = String::new();
    let mut found = false;
    let mut inside = false;
    for line in existing.lines() {
        match line.trim() {
            BEGIN => (inside, found) = (true, true),
            END if inside => inside = false,
            _ if inside => {}
            _ => {
                let part = if found { &mut after } else { &mut before };
                part.push_str(line);
                part.push('\n');
            }
        }
    }
    let lines: String = entries.iter().map(|(ip, names)| format!("{ip}\t{}\n", names.join(" "))).collect();
    format!("{before}{BEGIN}\n{lines}{END}\n{after}")
}

/// Brings our block in `root`'s `/etc/hosts` up to date; true when that was a change.
///
/// # Errors
/// [`HostsError`].
pub fn apply_at(root: &Path, entries: &[(Ipv4Addr, Vec<String>)]) -> Result<bool, HostsError> {
    let path = under(root, HOSTS);
    let existing = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(HostsError::Read { path, source }),
    };
    let wanted = render(&existing, entries);
    if wanted == existing {
        return Ok(false);
    }
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
        // The new text over the old and then the length: at no moment is the file empty for who reads it meanwhile.
        file.write_all(wanted.as_bytes())?;
        file.set_len(wanted.len() as u64)
    };
    write().map_err(|source| HostsError::Write { path: path.clone(), source })?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    const ENGINES: &str = "127.0.0.1\tlocalhost\n172.17.0.2\tabc";

    #[test]
    fn the_block_is_added_replaced_and_stays_in_place() {
        let first = render(ENGINES, &entries(Ipv4Addr::new(172, 30, 99, 1)));
        assert_eq!(
            first,
            "127.0.0.1\tlocalhost\n172.17.0.2\tabc\n# kubake: begin\n\
             172.30.99.1\tcontrol-plane.kubake.internal kind\n# kubake: end\n"
        );
        assert_eq!(render(&first, &entries(Ipv4Addr::new(172, 30, 99, 1))), first);
        let later = format!("{first}10.0.0.9\tadded\n");
        let second = render(&later, &entries(Ipv4Addr::new(10, 9, 8, 7)));
        assert_eq!(second, later.replace("172.30.99.1", "10.9.8.7"));
        // A block whose end got lost takes nothing along but itself to the end of the file.
        assert_eq!(render(&format!("a\n{BEGIN}\nold\n"), &[]), format!("a\n{BEGIN}\n{END}\n"));
    }

    #[test]
    fn the_file_is_written_in_place_and_only_when_needed() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        let path = root.path().join("etc/hosts");
        fs::write(&path, ENGINES).unwrap();
        let inode = fs::metadata(&path).unwrap().ino();
        let entries = entries(Ipv4Addr::new(172, 30, 99, 1));
        assert!(apply_at(root.path(), &entries).unwrap());
        assert!(!apply_at(root.path(), &entries).unwrap());
        assert!(apply_at(root.path(), &[]).unwrap(), "shorter than before");
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{ENGINES}\n{BEGIN}\n{END}\n"));
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
    }
}
