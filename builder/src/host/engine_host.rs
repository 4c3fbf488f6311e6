//! The host that is a container engine: every action on a node as commands of the engine.

use std::time::Duration;

use kubake_contract::labels;

use super::error::HostError;
use super::hosted_node::HostedNode;
use crate::engine::command::{
    ContainerList, ContainerSize, ContainerSpec, CopyInto, Create, Exec, Filter, Pause, RemoveContainer, Run, Start,
    Stop, Unpause, VolumeList, VolumeRemove,
};
use crate::engine::{ContainerGuard, Engine, Location};
use crate::process::{Input, RunError};

/// Nodes in containers of one engine. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    engine: Engine,
}

/// A node that is about to exist. When this is dropped, the node is removed with its volumes.
#[derive(Debug)]
#[must_use = "a node that is dropped at once is removed at once"]
pub(crate) struct PendingNode {
    guard: ContainerGuard,
}

impl PendingNode {
    /// What the host knows the node by; its name until it exists.
    #[must_use]
    pub(crate) fn id(&self) -> &str {
        self.guard.id()
    }

    #[must_use]
    pub(crate) fn name(&self) -> &str {
        self.guard.name()
    }

    /// Leaves the node where it is, and returns its name.
    pub(crate) fn keep(self) -> String {
        self.guard.keep()
    }

    /// Removes the node now, so that a failure is an error and not a warning.
    ///
    /// # Errors
    /// [`HostError`].
    pub(crate) fn remove(self) -> Result<(), HostError> {
        let action = format!("remove the container `{}`", self.name());
        self.guard.remove().map_err(HostError::during(action))
    }
}

impl Host {
    #[must_use]
    pub(crate) fn new(engine: &Engine) -> Self {
        Self { engine: engine.clone() }
    }

    /// The same host for cleaning up: its commands run although the user asked to stop.
    #[must_use]
    pub(crate) fn for_cleanup(&self) -> Self {
        Self { engine: self.engine.for_cleanup() }
    }

    /// The engine, for what is no node: images and the runner.
    #[must_use]
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The container of this name, also one that is no node of a cluster; none where there is none.
    ///
    /// # Errors
    /// [`HostError`].
    pub(crate) fn find(&self, name: &str) -> Result<Option<HostedNode>, HostError> {
        let found =
            self.engine.container(name).map_err(HostError::during(format!("look for the container `{name}`")))?;
        Ok(found.map(HostedNode::from))
    }

    /// All nodes of a cluster, also those that do not run.
    ///
    /// # Errors
    /// [`HostError`].
    pub(crate) fn list(&self, cluster: &str) -> Result<Vec<HostedNode>, HostError> {
        let list = ContainerList { all: true, filters: of_cluster(cluster) };
        let found =
            self.engine.containers(&list).map_err(HostError::during(format!("list the nodes of `{cluster}`")))?;
        Ok(found.into_iter().map(HostedNode::from).collect())
    }

    /// Guards a node that does not exist yet.
    pub(crate) fn pending(&self, name: &str) -> PendingNode {
        PendingNode { guard: ContainerGuard::new(&self.engine, name) }
    }

    /// Creates and starts a pending node. `files` is a tar that the node finds at `/` from its first start on.
    ///
    /// # Errors
    /// [`HostError`]; what was created is the pending node's to remove.
    pub(crate) fn create(
        &self,
        node: &PendingNode,
        spec: ContainerSpec,
        files: Option<Vec<u8>>,
    ) -> Result<(), HostError> {
        let spec = node.guard.marked(spec);
        let failed = || HostError::during(format!("run the container `{}`", node.name()));
        match files {
            None => {
                let run = Run { spec, detach: true, remove: false };
                node.guard.create_with(&run).map_err(failed())?;
            }
            Some(files) => {
                node.guard.create_with(&Create(spec)).map_err(failed())?;
                self.copy(node.id(), files).map_err(failed())?;
                let start = Start { container: node.id().to_owned(), attach: false };
                self.engine.run(&start).map_err(failed())?;
            }
        }
        Ok(())
    }

    /// Unpacks a tar at `/` of a node, which need not run.
    fn copy(&self, id: &str, tar: Vec<u8>) -> Result<(), RunError> {
        let copy = CopyInto { source: "-".into(), container: id.to_owned(), target: "/".to_owned(), archive: false };
        self.engine.run_with_input(&copy, Input::Bytes(tar))
    }

    /// Starts a stopped node.
    ///
    /// # Errors
    /// [`HostError`].
    pub(crate) fn start(&self, id: &str, name: &str) -> Result<(), HostError> {
        let start = Start { container: id.to_owned(), attach: false };
        self.engine.run(&start).map_err(HostError::during(format!("start the container `{name}`")))
    }

    /// Stops a node within the time that it was created with.
    ///
    /// # Errors
    /// [`HostError`].
    pub(crate) fn stop(&self, id: &str, name: &str) -> Result<(), HostError> {
        let stop = Stop { container: id.to_owned(), timeout: None };
        self.engine.run(&stop).map_err(HostError::during(format!("stop the container `{name}`")))
    }

    /// Freezes all processes of a node.
    ///
    /// # Errors
    /// [`HostError`].
    #[cfg_attr(not(test), expect(dead_code, reason = "the commands for a cluster's life cycle come next"))]
    pub(crate) fn pause(&self, id: &str, name: &str) -> Result<(), HostError> {
        let pause = Pause { container: id.to_owned() };
        self.engine.run(&pause).map_err(HostError::during(format!("pause the container `{name}`")))
    }

    /// Lets a paused node go on.
    ///
    /// # Errors
    /// [`HostError`].
    #[cfg_attr(not(test), expect(dead_code, reason = "the commands for a cluster's life cycle come next"))]
    pub(crate) fn unpause(&self, id: &str, name: &str) -> Result<(), HostError> {
        let unpause = Unpause { container: id.to_owned() };
        self.engine.run(&unpause).map_err(HostError::during(format!("unpause the container `{name}`")))
    }

    /// Removes a node in any state, with its anonymous volumes.
    ///
    /// # Errors
    /// [`HostError`].
    pub(crate) fn remove(&self, id: &str, name: &str) -> Result<(), HostError> {
        let remove = RemoveContainer { containers: vec![id.to_owned()] };
        self.engine.run(&remove).map_err(HostError::during(format!("remove the container `{name}`")))
    }

    /// Removes the named volumes of a cluster, and returns their names.
    ///
    /// # Errors
    /// [`HostError`].
    pub(crate) fn remove_volumes(&self, cluster: &str) -> Result<Vec<String>, HostError> {
        let list = VolumeList { filters: of_cluster(cluster) };
        let names = self.engine.volumes(&list).map_err(HostError::during("list volumes"))?;
        if !names.is_empty() {
            let remove = VolumeRemove { names: names.clone() };
            self.engine.run(&remove).map_err(HostError::during("remove the cluster's volumes"))?;
        }
        Ok(names)
    }

    /// Runs a command in a node and returns its stdout.
    ///
    /// # Errors
    /// [`RunError`], because what the command means is the caller's.
    pub(crate) fn exec(&self, id: &str, command: Vec<String>, timeout: Duration) -> Result<String, RunError> {
        let exec = Exec { container: id.to_owned(), command, timeout: Some(timeout), ..Exec::default() };
        self.engine.run_captured(&exec)
    }

    /// The last lines of a node's log, also after the user asked to stop; empty where they cannot be had.
    #[must_use]
    pub(crate) fn log_tail(&self, id: &str, lines: u32) -> String {
        self.engine.for_cleanup().log_tail(id, lines).unwrap_or_default()
    }

    /// Waits until a node ends, and returns its exit code.
    ///
    /// # Errors
    /// [`RunError`].
    pub(crate) fn wait(&self, id: &str) -> Result<i64, RunError> {
        self.engine.wait(id, None)
    }

    /// The bytes of a node's own layer; none where the engine does not know.
    ///
    /// # Errors
    /// [`HostError`].
    pub(crate) fn layer_bytes(&self, id: &str, name: &str) -> Result<Option<u64>, HostError> {
        let size = ContainerSize { container: id.to_owned() };
        self.engine.run_json(&size).map_err(HostError::during(format!("measure the layer of `{name}`")))
    }

    /// Where this machine reaches a TCP port of a node, as host and port; none if the port is not published.
    #[must_use]
    pub(crate) fn reach(&self, node: &HostedNode, port: u16) -> Option<(String, u16)> {
        if node.is_in_host_network {
            return Some((self.engine.published_host(), port));
        }
        let published = node.published(port)?;
        let host = match published.host_ip {
            Some(ip) if !ip.is_unspecified() && self.engine.facts().location != Location::Remote => ip.to_string(),
            _ => self.engine.published_host(),
        };
        Some((host, published.host_port))
    }
}

impl Host {
    /// Whether a node's port is published on the loopback address of another machine.
    #[must_use]
    pub(crate) fn is_out_of_reach(&self, node: &HostedNode, port: u16) -> bool {
        let is_loopback = |ip: std::net::IpAddr| ip.is_loopback();
        self.engine.facts().location == Location::Remote
            && node.published(port).and_then(|published| published.host_ip).is_some_and(is_loopback)
    }
}

fn of_cluster(cluster: &str) -> Vec<Filter> {
    vec![Filter::LabelIs(labels::CLUSTER.to_owned(), cluster.to_owned())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base_image;
    use crate::engine::guard::unique_name;
    use crate::host::NodeState;
    use crate::install;
    use crate::process::Runner;

    #[test]
    #[ignore = "needs a running engine"]
    fn a_node_pauses_and_goes_on_and_its_cluster_is_listed() {
        let engine = install::for_tests(&Runner::default());
        let host = Host::new(&engine);
        let name = unique_name("kubake-host-test");
        let node = host.pending(&name);
        let spec = ContainerSpec {
            command: vec!["sleep".into(), "300".into()],
            labels: vec![(labels::CLUSTER.to_owned(), name.clone())],
            ..ContainerSpec::new(base_image::for_tests(&engine))
        };
        host.create(&node, spec, None).unwrap();
        let state = || host.list(&name).unwrap().into_iter().map(|node| node.state).collect::<Vec<_>>();
        assert_eq!(state(), [NodeState::Running]);
        host.pause(node.id(), &name).unwrap();
        assert_eq!(state(), [NodeState::Paused]);
        host.unpause(node.id(), &name).unwrap();
        assert_eq!(state(), [NodeState::Running]);
        drop(node);
        assert_eq!(state(), []);
    }
}
