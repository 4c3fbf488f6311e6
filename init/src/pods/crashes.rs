//! Reads from kubelet's log directory how often each container of the control plane was started in this boot and how its
//! last attempt ended. Needs neither the API server nor containerd, so it can report why these do not start. Writes nothing.

use std::path::{Path, PathBuf};

use super::control_plane::{CONTROL_PLANE, NAMESPACE, StaticPod};
use crate::files;

/// Where kubelet writes containers' logs: `NAMESPACE_POD_UID/CONTAINER/ATTEMPT.log`
/// (`pkg/kubelet/kuberuntime/helpers.go`, `BuildContainerLogsDirectory`).
pub(crate) const LOGS: &str = "/var/log/pods";

/// Attempts after which a boot gives up on a container. On a slow machine the API server ends a few times because etcd is not up
/// yet; a broken one reaches this number within a minute.
const HOPELESS: u32 = 20;

/// A container of the control plane that does not stay up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} was started {attempts} times and ended each time; the end of its log:\n{tail}")]
pub(crate) struct Crashing {
    /// The container's name.
    pub(crate) name: &'static str,
    /// How often the container was started since the count that [`crashing`] compares with.
    pub(crate) attempts: u32,
    /// The last lines of its last log.
    pub(crate) tail: String,
}

/// Attempts per container at one moment. kubelet continues counting when the kubake container is restarted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Attempts([u32; CONTROL_PLANE.len()]);

/// Counts attempts below `logs` ([`LOGS`] except in tests).
#[must_use]
pub(crate) fn attempts(logs: &Path) -> Attempts {
    let mut attempts = Attempts::default();
    for (count, pod) in attempts.0.iter_mut().zip(CONTROL_PLANE) {
        *count = last_attempt(logs, pod.name).map_or(0, |(number, _)| number);
    }
    attempts
}

/// Returns the first container that was started too often since `before`.
#[must_use]
pub(crate) fn crashing(logs: &Path, before: Attempts) -> Option<Crashing> {
    CONTROL_PLANE.into_iter().zip(before.0).find_map(|(pod, before)| {
        let (number, log) = last_attempt(logs, pod.name)?;
        let attempts = number.saturating_sub(before);
        (attempts >= HOPELESS).then(|| Crashing { name: pod.name, attempts, tail: files::tail(&log, 15) })
    })
}

/// Returns the ends of the logs that most likely show why there is no API server: etcd's and its own.
#[must_use]
pub(crate) fn tails(logs: &Path) -> String {
    let without_api = CONTROL_PLANE.into_iter().filter(|pod| pod.mounts_etcd_socket);
    let tails = without_api.map(|StaticPod { name, .. }| match last_attempt(logs, name) {
        Some((_, log)) => format!("the end of {name}'s log:\n{}", files::tail(&log, 10)),
        None => format!("{name} was never started"),
    });
    tails.collect::<Vec<_>>().join("\n")
}

/// Returns the highest attempt of a container, with its log.
fn last_attempt(logs: &Path, name: &str) -> Option<(u32, PathBuf)> {
    let prefix = format!("{NAMESPACE}_{name}-");
    let pods = std::fs::read_dir(logs).ok()?.flatten();
    let pods = pods.filter(|pod| pod.file_name().to_string_lossy().starts_with(&prefix));
    pods.flat_map(|pod| std::fs::read_dir(pod.path().join(name)).into_iter().flatten().flatten())
        .filter_map(|log| {
            let path = log.path();
            // The names of rotated logs have a date after the number; they do not count.
            let number = path.file_name()?.to_str()?.strip_suffix(".log")?.parse().ok()?;
            Some((number, path))
        })
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, pod: &str, container: &str, attempt: u32, text: &str) {
        let directory = root.join(pod).join(container);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(format!("{attempt}.log")), text).unwrap();
    }

    #[test]
    fn a_container_that_keeps_crashing_is_named_with_the_end_of_its_log() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "kube-system_etcd-kind_1", "etcd", 3, "fine\n");
        write(root.path(), "kube-system_kube-apiserver-kind_2", "kube-apiserver", 7, "old\n");
        let before = attempts(root.path());
        assert_eq!(crashing(root.path(), before), None);
        write(root.path(), "kube-system_kube-apiserver-kind_2", "kube-apiserver", 27, "unknown flag: --x\n");
        let crashing = crashing(root.path(), before).unwrap();
        assert_eq!((crashing.name, crashing.attempts), ("kube-apiserver", 20));
        assert!(crashing.tail.contains("unknown flag"), "{crashing}");
    }

    #[test]
    fn containers_that_never_started_are_named() {
        let root = tempfile::tempdir().unwrap();
        assert!(tails(root.path()).contains("etcd was never started"));
        write(root.path(), "kube-system_etcd-kind_1", "etcd", 0, "disk is full\n");
        let tails = tails(root.path());
        assert!(tails.contains("disk is full") && tails.contains("kube-apiserver was never started"), "{tails}");
    }
}
