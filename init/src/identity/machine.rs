//! The machine's own ids: `machine-id` and the firmware's `product_uuid`. Without a change every container would have those
//! of its image or host, and kubelet reports both as the node's.

use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use kubake_contract::{hex, paths};
use nix::mount::{MsFlags, mount};
use ring::rand::SecureRandom;

use crate::files::under;

/// 32 hexadecimal digits and a line end (machine-id(5)).
const MACHINE_ID: &str = "/etc/machine-id";
/// Exists only if the host's firmware has a UUID.
const PRODUCT_UUID: &str = "/sys/class/dmi/id/product_uuid";

/// An id that could not be changed. The node runs regardless: Kubernetes does not depend on it.
#[derive(Debug, thiserror::Error)]
#[error("{path} stays unchanged: it is the same in other containers")]
pub(super) struct Shared {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Gives the container a machine id if it has none, and hides the host's `product_uuid` behind one made of it, by a mount.
/// The mount is gone after a restart, so every boot calls this.
pub(super) fn apply_at(root: &Path) -> Vec<Shared> {
    let mut failed = Vec::new();
    let mut note = |path: &Path, result: io::Result<()>| {
        if let Err(source) = result {
            failed.push(Shared { path: path.to_owned(), source });
        }
    };
    let machine_id = under(root, MACHINE_ID);
    note(&machine_id, write_machine_id(&machine_id));
    let product_uuid = under(root, PRODUCT_UUID);
    if product_uuid.exists() {
        note(&product_uuid, hide(&product_uuid, &machine_id, &under(root, paths::RUN).join("product_uuid")));
    }
    failed
}

fn write_machine_id(path: &Path) -> io::Result<()> {
    // An id that the user mounted or that an earlier boot wrote stays. A bake leaves the file empty.
    if std::fs::read_to_string(path).is_ok_and(|text| !text.trim().is_empty()) {
        return Ok(());
    }
    let mut random = [0; 16];
    ring::rand::SystemRandom::new().fill(&mut random).map_err(|_| io::Error::other("no random numbers"))?;
    // A version 4 UUID, as systemd makes them.
    random[6] = random[6] & 0x0f | 0x40;
    random[8] = random[8] & 0x3f | 0x80;
    std::fs::write(path, hex::encode(&random) + "\n")
}

fn hide(product_uuid: &Path, machine_id: &Path, own: &Path) -> io::Result<()> {
    let digits = std::fs::read_to_string(machine_id)?;
    let uuid = uuid(digits.trim()).ok_or_else(|| io::Error::other("the machine id has no 32 digits"))?;
    if let Some(directory) = own.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let mut options = std::fs::OpenOptions::new();
    // Readable by root only, as the kernel's own file.
    let mut file = options.write(true).create(true).truncate(true).mode(0o400).open(own)?;
    io::Write::write_all(&mut file, format!("{uuid}\n").as_bytes())?;
    mount(Some(own), product_uuid, None::<&str>, MsFlags::MS_BIND, None::<&str>).map_err(io::Error::from)
}

fn uuid(digits: &str) -> Option<String> {
    (digits.len() == 32 && digits.is_ascii())
        .then(|| [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = under(root.path(), path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        root
    }

    #[test]
    fn a_machine_without_an_id_gets_one_and_keeps_it() {
        let root = root_with(&[(MACHINE_ID, "")]);
        let read = || std::fs::read_to_string(under(root.path(), MACHINE_ID)).unwrap();
        assert!(apply_at(root.path()).is_empty());
        let first = read();
        assert!(first.len() == 33 && first.trim().bytes().all(|byte| byte.is_ascii_hexdigit()), "{first:?}");
        assert!(apply_at(root.path()).is_empty());
        assert_eq!(read(), first);
        let other = root_with(&[(MACHINE_ID, "\n")]);
        assert!(apply_at(other.path()).is_empty());
        assert_ne!(std::fs::read_to_string(under(other.path(), MACHINE_ID)).unwrap(), first);
    }

    #[test]
    fn an_unwritable_id_is_reported() {
        let root = tempfile::tempdir().unwrap();
        let failed = apply_at(root.path());
        assert!(failed.len() == 1 && failed[0].to_string().contains("etc/machine-id stays unchanged"), "{failed:?}");
    }

    #[test]
    #[ignore = "needs root: mounts"]
    fn the_hosts_product_uuid_is_hidden() {
        let host = "11111111-2222-3333-4444-555555555555\n";
        let root = root_with(&[(MACHINE_ID, "0123456789abcdef0123456789abcdef\n"), (PRODUCT_UUID, host)]);
        let path = under(root.path(), PRODUCT_UUID);
        let failed = apply_at(root.path());
        let read = std::fs::read_to_string(&path);
        let unmounted = nix::mount::umount(&path);
        assert!(failed.is_empty(), "{failed:?}");
        assert_eq!(read.unwrap(), "01234567-89ab-cdef-0123-456789abcdef\n");
        unmounted.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), host);
    }
}
