//! kubelet: started with exactly the files that kubeadm wrote at the bake.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{ConfigError, read};
use crate::supervisor::Service;

/// kubeadm's kubelet configuration; its existence means that kubeadm came as far as kubelet.
pub const CONFIG: &str = "/var/lib/kubelet/config.yaml";
/// Where kubelet looks for its client certificate: a link to the one that counts
/// (client-go's `certificate_store.go`; kubelet's own name for the pair is `kubelet-client`).
pub const CLIENT_LINK: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
/// The certificate with its key that a container is born with.
pub const CLIENT_CERTIFICATE: &str = "/var/lib/kubelet/pki/kubelet-client-first.pem";
/// What kubelet serves with, so that whoever asks it for logs can verify it.
pub const SERVING_CERTIFICATE: &str = "/var/lib/kubelet/pki/kubelet.crt";
/// The key of [`SERVING_CERTIFICATE`].
pub const SERVING_KEY: &str = "/var/lib/kubelet/pki/kubelet.key";
/// The flags that kubeadm computed for this node (`cmd/kubeadm/app/phases/kubelet/flags.go`).
const FLAGS: &str = "/var/lib/kubelet/kubeadm-flags.env";

/// The daemon, with the flags found below `root` (`/` in a container).
///
/// # Errors
/// When kubeadm's flags cannot be read.
pub fn service_at(root: &Path) -> Result<Service, ConfigError> {
    let flags = read(&root.join(FLAGS.trim_start_matches('/')))?;
    let mut args: Vec<OsString> = vec![
        "--config".into(),
        CONFIG.into(),
        "--kubeconfig".into(),
        "/etc/kubernetes/kubelet.conf".into(),
        "--bootstrap-kubeconfig".into(),
        "/etc/kubernetes/bootstrap-kubelet.conf".into(),
    ];
    args.extend(parse_flags(&flags).into_iter().map(OsString::from));
    Ok(Service {
        name: "kubelet",
        program: PathBuf::from("/usr/local/bin/kubelet"),
        args,
        env: Vec::new(),
        stop_timeout: Duration::from_secs(2),
        nice: 0,
    })
}

/// `KUBELET_KUBEADM_ARGS="--a=b --c=d"`: kubeadm never quotes within the value.
fn parse_flags(file: &str) -> Vec<String> {
    file.lines()
        .filter_map(|line| line.trim().strip_prefix("KUBELET_KUBEADM_ARGS="))
        .flat_map(|value| value.trim_matches('"').split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_taken_from_kubeadms_file() {
        assert_eq!(
            parse_flags("KUBELET_KUBEADM_ARGS=\"--hostname-override=kind --node-ip=172.30.99.1\"\n"),
            ["--hostname-override=kind", "--node-ip=172.30.99.1"]
        );
        assert!(parse_flags("").is_empty());
    }

    #[test]
    fn missing_flags_name_the_file() {
        let root = tempfile::tempdir().expect("a directory");
        let error = service_at(root.path()).expect_err("no file").to_string();
        assert!(error.contains("kubeadm-flags.env") && error.contains("bake it again"), "{error}");
    }
}
