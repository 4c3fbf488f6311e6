//! The host side of a node: mounts, cgroups, kernel settings, devices, trust, registries and reserved resources.

use std::path::Path;

use kubake_contract::error_chain::chain;
use kubake_contract::{env, paths};

use super::NodeRuntime;
use crate::host;
use crate::host::capacity::{self, Amount};
use crate::phases::BoxError;
use crate::{authorities, registries};

impl NodeRuntime {
    /// Prepares mounts, cgroups, kernel settings, devices, host names and directories.
    ///
    /// # Errors
    /// When a mount, cgroup, kernel setting or directory that Kubernetes needs cannot be prepared.
    pub(crate) fn prepare_host(&self) -> Result<(), BoxError> {
        let root = Path::new("/");
        let directory = std::env::current_dir();
        for missing in host::mounts::apply_at(root)? {
            tracing::debug!("{}", chain(&missing));
        }
        // The working directory may lie below a directory that was covered just now.
        if let Err(error) = directory.and_then(std::env::set_current_dir) {
            tracing::warn!("the working directory cannot be used any more: {error}");
        }
        host::cgroups::show_own()?;
        host::cgroups::apply_at(root)?;
        for failure in host::limits::lift_at(root) {
            // Engines in user namespaces, for instance, give no container this right.
            if self.facts.sys_resource {
                tracing::warn!("{}", chain(&failure));
            } else {
                tracing::debug!("{}", chain(&failure));
            }
        }
        if let Some(limit) = host::limits::few_processes(root) {
            tracing::warn!(
                "the container may run {limit} processes and threads, few for a cluster; give it more (--pids-limit)"
            );
        }
        let sysctls = host::sysctls::apply_at(root)?;
        for change in &sysctls.changed {
            tracing::info!("{} raised from {} to {}", change.key, change.from, change.to);
        }
        for failure in &sysctls.failed {
            tracing::warn!("{}", chain(failure));
        }
        let devices = host::devices::apply_at(root);
        for failure in &devices.failed {
            tracing::warn!("{}", chain(failure));
        }
        if !devices.kmsg_readable {
            tracing::warn!("{} cannot be read: kubelet does not start without it", host::devices::KMSG);
        }
        host::hosts_file::apply_at(root, &host::hosts_file::entries(&self.node))?;
        for directory in [paths::LOGS, paths::RUN, paths::VOLUMES] {
            std::fs::create_dir_all(directory).map_err(|error| format!("cannot create {directory}: {error}"))?;
        }
        Ok(())
    }

    /// Applies the boot options that daemons read once, when they start. A bake has none.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn apply_boot_options(&self) -> Result<(), BoxError> {
        let root = Path::new("/");
        authorities::apply_at(root, &self.boot_options.authorities)?;
        registries::apply_at(root, &registries::Plan::new(&self.boot_options.registries))?;
        for registry in &self.boot_options.registries {
            let how = if registry.login.is_some() { "with a login" } else { "without a login" };
            tracing::info!("registry {} {how}", registry.host);
        }
        for mirror in registries::plan::unknown_to_docker(&self.boot_options.registries) {
            tracing::warn!(
                "Docker does not use the mirror {mirror}: it only accepts mirrors whose path begins with /v2"
            );
        }
        Ok(())
    }

    /// The resources that kubelet sets aside so that the node is no larger than the container's limits; none unless the
    /// boot options enforce the capacity.
    ///
    /// # Errors
    /// When the host's size cannot be read.
    pub(crate) fn reserve(&self) -> Result<Option<Amount>, BoxError> {
        if !self.boot_options.is_capacity_enforced {
            return Ok(None);
        }
        let capacity = capacity::measure_at(Path::new("/"))?;
        if capacity.limit == capacity.host {
            tracing::info!("the container has no limits: the node's capacity is its host's, {}", capacity.host);
        } else {
            tracing::info!("the node's capacity is the container's, {}, of {}", capacity.limit, capacity.host);
        }
        if capacity.limit.cpu_millis < kubake_contract::CONTROL_PLANE_CPU {
            tracing::warn!(
                "the control plane's pods alone ask for {} thousandths of a CPU and the container has {}, so not all of \
                 them can start; give it more (--cpus), or leave {} out",
                kubake_contract::CONTROL_PLANE_CPU,
                capacity.limit.cpu_millis,
                env::ENFORCE_CAPACITY
            );
        }
        Ok(Some(capacity.reserved()))
    }
}
