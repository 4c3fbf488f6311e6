//! Breaks parts of a running cluster. Each function returns a remedy, which is also applied when the case fails: the
//! cluster is shared, and a frozen program would fail the next case.

use std::fmt;

use anyhow::{Context, Result, ensure};
use kubake_contract::{names, paths};

use crate::cluster::Cluster;

/// Repairs what was broken: by [`Remedy::apply`], or when it is dropped.
pub struct Remedy<'a> {
    mend: Option<Box<dyn FnOnce() -> Result<()> + 'a>>,
}

impl<'a> Remedy<'a> {
    /// To be made before anything is broken, because breaking may fail half-way.
    #[must_use]
    pub fn new(mend: impl FnOnce() -> Result<()> + 'a) -> Self {
        Self { mend: Some(Box::new(mend)) }
    }

    /// Repairs it now.
    ///
    /// # Errors
    /// When that fails.
    pub fn apply(mut self) -> Result<()> {
        self.mend.take().map_or(Ok(()), |mend| mend())
    }
}

impl fmt::Debug for Remedy<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Remedy").finish_non_exhaustive()
    }
}

impl Drop for Remedy<'_> {
    fn drop(&mut self) {
        if let Some(mend) = self.mend.take() {
            // The case has failed already; if the repair fails, the lab replaces the cluster.
            let _ = mend();
        }
    }
}

/// Stops all processes of a program, in pods and outside of them, without ending them: sockets stay open, and
/// their parents see no end. The remedy continues them; a process that was replaced meanwhile (by kubelet's liveness
/// probe) needs none.
///
/// # Errors
/// When no process runs that program.
pub fn freeze<'a>(cluster: &'a Cluster, program: &str) -> Result<Remedy<'a>> {
    let found = cluster.node(&["pgrep", "--full", &pattern(program)]);
    let found = found.with_context(|| format!("no process runs {program}"))?;
    let ids: Vec<&str> = found.split_whitespace().collect();
    ensure!(!ids.is_empty(), "no process runs {program}");
    let ids = ids.join(" ");
    // One by one: a process that is gone must not keep the others frozen.
    let thaw = format!("for id in {ids}; do kill -CONT \"$id\" 2>/dev/null; done; true");
    let remedy = Remedy::new(move || cluster.node(&["sh", "-c", &thaw]).map(drop));
    cluster.node(&["sh", "-c", &format!("kill -STOP {ids}")]).with_context(|| format!("cannot freeze {program}"))?;
    Ok(remedy)
}

/// Command lines that begin with this program, with or without a path. Not their short names in the process table:
/// Kubernetes' programs are links to two executables, and names are cut there.
fn pattern(program: &str) -> String {
    format!("^([^ ]*/)?{program}( |$)")
}

/// Keeps new pods off the node.
///
/// # Errors
/// When the API server refuses it.
pub fn cordon(cluster: &Cluster) -> Result<Remedy<'_>> {
    let remedy = Remedy::new(|| cluster.node(&["kubectl", "uncordon", names::CONTROL_PLANE.as_str()]).map(drop));
    cluster.node(&["kubectl", "cordon", names::CONTROL_PLANE.as_str()])?;
    Ok(remedy)
}

/// Overwrites a static pod's manifest with something that is none.
///
/// # Errors
/// When there is no such manifest.
pub fn spoil_manifest<'a>(cluster: &'a Cluster, name: &str) -> Result<Remedy<'a>> {
    let manifest = format!("{}/{name}.yaml", paths::MANIFESTS);
    // Beside the directory, because kubelet reads every file within it, of any name.
    let kept = format!("{}.kept-by-e2e-{name}", paths::MANIFESTS);
    cluster.node(&["cp", "--preserve", &manifest, &kept])?;
    let spoil = format!("echo 'this is: [no manifest' > {manifest}");
    // A rename, so that kubelet sees the whole file or none of it.
    let remedy = Remedy::new(move || cluster.node(&["mv", "--force", &kept, &manifest]).map(drop));
    cluster.node(&["sh", "-c", &spoil])?;
    Ok(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_is_applied_once() {
        let count = std::cell::Cell::new(0);
        let mend = || {
            count.set(count.get() + 1);
            Ok(())
        };
        drop(Remedy::new(mend));
        assert_eq!(count.get(), 1);
        Remedy::new(mend).apply().unwrap();
        assert_eq!(count.get(), 2);
    }

    #[test]
    fn processes_are_found_by_their_program_only() {
        // As `pgrep --full` understands it; `grep` has the same expressions.
        let lines =
            "kube-scheduler --kubeconfig=x\n/usr/local/bin/kube-scheduler\ncat /x/kube-scheduler \nkube-schedulers\n";
        let script = format!("printf '%s' '{lines}' | grep --extended-regexp '{}'", pattern("kube-scheduler"));
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &script]);
        let found = crate::process::run(&mut command, std::time::Duration::from_secs(20)).unwrap().success().unwrap();
        assert_eq!(found, "kube-scheduler --kubeconfig=x\n/usr/local/bin/kube-scheduler\n");
    }
}
