//! kubelet, with exactly the files that kubeadm wrote at the bake.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::host::capacity::Amount;
use crate::supervisor::Service;

/// Name in `/status` and of the log file.
pub(crate) const NAME: &str = "kubelet";

/// kubeadm's kubelet configuration. It exists once kubeadm has come as far as kubelet.
pub(crate) const CONFIG: &str = "/var/lib/kubelet/config.yaml";
/// kubelet's client certificate: a link to the current one (client-go's `certificate_store.go`; kubelet names the pair
/// `kubelet-client`).
pub(crate) const CLIENT_LINK: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
/// The client certificate and key that a container makes at its first boot.
pub(crate) const CLIENT_CERTIFICATE: &str = "/var/lib/kubelet/pki/kubelet-client-first.pem";
/// kubelet's serving certificate, which clients that fetch logs verify.
pub(crate) const SERVING_CERTIFICATE: &str = "/var/lib/kubelet/pki/kubelet.crt";
/// The key of [`SERVING_CERTIFICATE`].
pub(crate) const SERVING_KEY: &str = "/var/lib/kubelet/pki/kubelet.key";
/// The flags that kubeadm computed for this node (`cmd/kubeadm/app/phases/kubelet/flags.go`).
pub(crate) const FLAGS: &str = "/var/lib/kubelet/kubeadm-flags.env";

/// The daemon. `flags` is the text of [`FLAGS`]; kubelet sets `reserved` aside for everything that is no pod.
#[must_use]
pub(crate) fn service(flags: &str, reserved: Option<Amount>) -> Service {
    let mut args: Vec<OsString> = vec![
        "--config".into(),
        CONFIG.into(),
        "--kubeconfig".into(),
        "/etc/kubernetes/kubelet.conf".into(),
        "--bootstrap-kubeconfig".into(),
        "/etc/kubernetes/bootstrap-kubelet.conf".into(),
    ];
    args.extend(parse_flags(flags).into_iter().map(OsString::from));
    args.extend(reserved.and_then(system_reserved).map(OsString::from));
    Service {
        name: NAME,
        program: PathBuf::from("/usr/local/bin/kubelet"),
        args,
        env: Vec::new(),
        stop_timeout: Duration::from_secs(2),
        is_given_up: true,
        nice: 0,
    }
}

/// `KUBELET_KUBEADM_ARGS="--a=b --c=d"`: kubeadm never quotes within the value.
fn parse_flags(file: &str) -> Vec<String> {
    file.lines()
        .filter_map(|line| line.trim().strip_prefix("KUBELET_KUBEADM_ARGS="))
        .flat_map(|value| value.trim_matches('"').split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// The flag that sets resources aside; none if there are none to set aside. Not the configuration file, which kubeadm
/// wrote for every container of the image: kubelet prefers flags to it
/// (`cmd/kubelet/app/server.go`: `kubeletConfigFlagPrecedence`).
fn system_reserved(reserved: Amount) -> Option<String> {
    let cpu = (reserved.cpu_millis > 0).then(|| format!("cpu={}m", reserved.cpu_millis));
    let memory = (reserved.memory_kib > 0).then(|| format!("memory={}Ki", reserved.memory_kib));
    let pairs: Vec<String> = cpu.into_iter().chain(memory).collect();
    (!pairs.is_empty()).then(|| format!("--system-reserved={}", pairs.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_aside_is_the_last_flag() {
        let flags = "KUBELET_KUBEADM_ARGS=\"--node-ip=172.30.99.1\"\n";
        let last = |cpu_millis, memory_kib| {
            let service = service(flags, Some(Amount { cpu_millis, memory_kib }));
            service.args.last().map(|last| last.to_string_lossy().into_owned()).unwrap_or_default()
        };
        assert_eq!(last(5500, 12_189_696), "--system-reserved=cpu=5500m,memory=12189696Ki");
        assert_eq!(last(0, 7), "--system-reserved=memory=7Ki");
        assert_eq!(last(0, 0), "--node-ip=172.30.99.1");
    }

    #[test]
    fn flags_are_taken_from_kubeadms_file() {
        assert_eq!(
            parse_flags("KUBELET_KUBEADM_ARGS=\"--hostname-override=kind --node-ip=172.30.99.1\"\n"),
            ["--hostname-override=kind", "--node-ip=172.30.99.1"]
        );
        assert!(parse_flags("").is_empty());
    }
}
