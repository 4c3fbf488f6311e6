//! Device nodes that an engine may leave out of `/dev` (containerd's `privileged_without_host_devices`, podman,
//! Kubernetes). Creates the missing ones and never changes existing ones.

use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use crate::files::under;

/// The kernel's log. kubelet reads it to see which process ran out of memory.
pub(crate) const KMSG: &str = "/dev/kmsg";

/// A device node; numbers as in the kernel's `admin-guide/devices.txt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Device {
    pub path: &'static str,
    /// Whether it is a block device; otherwise it is a character device.
    pub block: bool,
    pub major: u64,
    pub minor: u64,
    pub mode: u32,
}

const fn character(path: &'static str, major: u64, minor: u64, mode: u32) -> Device {
    Device { path, block: false, major, minor, mode }
}

/// The device nodes that Kubernetes uses, in the order of their creation.
pub(crate) const TABLE: &[Device] = &[
    character(KMSG, 1, 11, 0o644),
    character("/dev/fuse", 10, 229, 0o666),
    // Programs ask the kernel for a free loop device through it, and the device is one of those below.
    character("/dev/loop-control", 10, 237, 0o660),
];

/// Number of loop devices that have a node. The kernel makes a device when a program asks for a free one; its node appears
/// only in the host's `/dev`, of which the container's is a copy. Each privileged pod has these nodes, too.
const LOOPS: u64 = 64;

/// The nodes of loop devices; opening one makes its device.
fn loops() -> impl Iterator<Item = (String, Device)> {
    (0..LOOPS).map(|minor| {
        (format!("/dev/loop{minor}"), Device { path: "/dev/loop", block: true, major: 7, minor, mode: 0o660 })
    })
}

/// The outcome of [`apply_at`].
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Paths of the nodes that were created.
    pub created: Vec<&'static str>,
    /// Devices that are missing or unusable. None of them ends a boot.
    pub failed: Vec<DeviceError>,
    /// Whether kubelet can read the kernel's log; otherwise kubelet needs the feature gate `KubeletInUserNamespace`.
    pub kmsg_readable: bool,
}

/// A device that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeviceError {
    /// The node is missing and cannot be created.
    #[error("cannot create the device {}; run the container with --privileged", path.display())]
    Create {
        path: PathBuf,
        #[source]
        source: Errno,
    },
    /// The node exists and cannot be opened.
    #[error("cannot read {}; run the container with --privileged", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Creates the missing nodes below `root` (`/` except in tests). Idempotent.
#[must_use]
pub(crate) fn apply_at(root: &Path) -> Report {
    let mut report = Report::default();
    for device in TABLE {
        match create(&under(root, device.path), device) {
            Ok(true) => report.created.push(device.path),
            Ok(false) => {}
            Err(error) => report.failed.push(error),
        }
    }
    for (path, device) in loops() {
        if let Err(error) = create(&under(root, path), &device) {
            // The others fail for the same reason.
            report.failed.push(error);
            break;
        }
    }
    let path = under(root, KMSG);
    // Only opening shows whether the log can be read: beside the permission bits, the device cgroup and
    // `kernel.dmesg_restrict` decide.
    match std::fs::OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&path) {
        Ok(_) => report.kmsg_readable = true,
        Err(source) => report.failed.push(DeviceError::Open { path, source }),
    }
    report
}

/// Creates one node; returns whether it was missing.
fn create(path: &Path, device: &Device) -> Result<bool, DeviceError> {
    let kind = if device.block { SFlag::S_IFBLK } else { SFlag::S_IFCHR };
    match mknod(path, kind, Mode::from_bits_truncate(device.mode), makedev(device.major, device.minor)) {
        Ok(()) => Ok(true),
        Err(Errno::EEXIST) => Ok(false),
        Err(source) => Err(DeviceError::Create { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{FileTypeExt, MetadataExt};

    use super::*;

    #[test]
    fn existing_nodes_stay_and_failures_are_reported() {
        let root = tempfile::tempdir().unwrap();
        // Without /dev no node can be created, whichever user runs the test.
        let report = apply_at(root.path());
        assert_eq!((report.created.len(), report.failed.len()), (0, TABLE.len() + 2));
        assert!(!report.kmsg_readable);
        assert!(report.failed[0].to_string().contains("/dev/kmsg"), "{}", report.failed[0]);

        fs::create_dir(root.path().join("dev")).unwrap();
        fs::write(root.path().join("dev/kmsg"), "the user's").unwrap();
        assert!(apply_at(root.path()).kmsg_readable);
        assert_eq!(fs::read_to_string(root.path().join("dev/kmsg")).unwrap(), "the user's");
    }

    #[test]
    #[ignore = "needs root"]
    fn missing_nodes_are_created_once() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("dev")).unwrap();
        let report = apply_at(root.path());
        assert_eq!(report.created.len(), TABLE.len(), "{report:?}");
        let made = fs::metadata(root.path().join("dev/kmsg")).unwrap();
        assert!(made.file_type().is_char_device());
        assert_eq!(made.rdev(), makedev(1, 11));
        assert_eq!(fs::metadata(root.path().join("dev/loop63")).unwrap().rdev(), makedev(7, 63));
        assert!(fs::metadata(root.path().join("dev/loop0")).unwrap().file_type().is_block_device());
        assert_eq!(apply_at(root.path()).created, Vec::<&str>::new());
    }
}
