//! A node that is measured: created, asked, stopped, started again and removed. Decides nothing about when.

use std::time::{Duration, Instant};

use kubake_contract::usage::Usage;
use kubake_contract::{Endpoint, labels, names};

use super::measured::{Course, VolumeSize};
use super::run_error::Error;
use crate::engine::Engine;
use crate::engine::command::{ContainerSpec, Publish};
use crate::engine::guard::unique_name;
use crate::host::{Host, HostError, HostedNode, NodeState, PendingNode};
use crate::node::NodeRef;
use crate::node::http::Server;
use crate::port::Protocol;

/// How long an answer may take that the cluster has ready.
pub(super) const ANSWER: Duration = Duration::from_secs(20);
/// How much of the log is shown when a container ended.
const LOG_LINES: u32 = 30;
/// Bound for adding up the files of the volumes.
const ADDING_UP: Duration = Duration::from_secs(120);

/// A container that is about to be, or is, and that is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Boot {
    host: Host,
    node: PendingNode,
}

impl Boot {
    /// Guards a name; runs nothing yet.
    pub(super) fn new(engine: &Engine) -> Self {
        let host = Host::new(engine);
        let node = host.pending(&unique_name("kubake-bench"));
        Self { host, node }
    }

    /// The container's name.
    pub(super) fn name(&self) -> &str {
        self.node.name()
    }

    /// Runs an image, given by its id so that all runs run the same one.
    pub(super) fn run(&self, host: &Host, image_id: &str, course: &Course) -> Result<Server, Error> {
        let name = self.name();
        let mut env = Vec::new();
        if course.ready_timeout > kubake_contract::BOOT_TIMEOUT {
            env.push((kubake_contract::env::BOOT_TIMEOUT.to_owned(), course.ready_timeout.as_secs().to_string()));
        }
        let spec = ContainerSpec {
            privileged: true,
            env,
            labels: vec![(labels::CLUSTER.to_owned(), name.to_owned())],
            // The engine chooses the port: no port has to be free, and clusters can run side by side.
            ports: vec![Publish {
                host_ip: Some(host.engine().facts().own_gateway.unwrap_or([127, 0, 0, 1].into())),
                host_port: None,
                container_port: kubake_contract::ports::HTTP,
                protocol: Protocol::Tcp,
            }],
            network: course.network.clone(),
            hostname: Some(names::CONTROL_PLANE.to_string()),
            pull: Some("never".to_owned()),
            ..ContainerSpec::new(image_id)
        };
        host.create(&self.node, spec, None)?;
        self.server(host)
    }

    /// Where its HTTP port answers. A port that the engine chose is another one after each start.
    pub(super) fn server(&self, host: &Host) -> Result<Server, Error> {
        let port = kubake_contract::ports::HTTP;
        match &self.found(host)? {
            // A node that has ended has no ports; the wait for its readiness reports the end.
            Some(node) if node.state != NodeState::Running => Some(Server::new("127.0.0.1", 1)),
            Some(node) => host.reach(node, port).map(|(address, port)| Server::new(&address, port)),
            None => None,
        }
        .ok_or_else(|| Error::NotPublished { container: self.name().to_owned(), port })
    }

    fn found(&self, host: &Host) -> Result<Option<HostedNode>, HostError> {
        host.find(self.node.id())
    }

    /// The node, for the wait until it is ready.
    pub(super) fn node(&self) -> NodeRef<'_> {
        NodeRef { id: self.node.id(), name: self.node.name() }
    }

    /// What it has used so far, and when it said so; none where its image is too old for the question.
    pub(super) fn usage(&self, server: &Server) -> Result<Option<(Instant, Usage)>, Error> {
        let container = || self.name().to_owned();
        let answer = server
            .get(Endpoint::Usage.path(), ANSWER)
            .map_err(|source| self.or_its_end(Error::Usage { container: container(), source }))?;
        let at = Instant::now();
        if answer.status == 404 {
            return Ok(None);
        }
        let usage = serde_json::from_str(&answer.body).map_err(|source| Error::StrangeUsage {
            container: container(),
            status: answer.status,
            source,
        })?;
        Ok(Some((at, usage)))
    }

    /// The container's end, if that is why it does not answer.
    pub(super) fn or_its_end(&self, error: Error) -> Error {
        match self.found(&self.host.for_cleanup()) {
            Ok(Some(HostedNode { state: NodeState::Stopped { exit_code }, name, .. })) => {
                Error::Ended { container: name, code: exit_code, log: self.log() }
            }
            _ => error,
        }
    }

    /// The end of its log.
    pub(super) fn log(&self) -> String {
        self.host.log_tail(self.node.id(), LOG_LINES)
    }

    /// The sizes of the node's volumes.
    pub(super) fn volumes(&self) -> Result<Vec<VolumeSize>, Error> {
        let name = self.name();
        let paths = self.found(&self.host)?.map(|node| node.volumes).unwrap_or_default();
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        // Files come and go while it looks, which makes `du` end with 1 although its sums are good.
        let script = r#"du -skx -- "$@" 2>/dev/null || true"#;
        let command = ["sh", "-c", script, "du"].map(str::to_owned).into_iter().chain(paths.iter().cloned()).collect();
        let output = self.host.exec(self.node.id(), command, ADDING_UP).map_err(|source| {
            let volumes = Error::Volumes { container: name.to_owned(), source };
            self.or_its_end(volumes)
        })?;
        parse_sizes(&output, &paths).map_err(|path| Error::NoSize { container: name.to_owned(), path })
    }

    /// The bytes of the node's own layer; none where the engine does not know.
    pub(super) fn layer(&self) -> Result<Option<u64>, Error> {
        Ok(self.host.layer_bytes(self.node.id(), self.name())?)
    }

    /// Starts the stopped node once more.
    pub(super) fn start(&self) -> Result<(), Error> {
        Ok(self.host.start(self.node.id(), self.name())?)
    }

    /// Stops the node, and returns how long that took.
    pub(super) fn stop(&self) -> Result<Duration, Error> {
        let began = Instant::now();
        self.host.stop(self.node.id(), self.name())?;
        let took = began.elapsed();
        match self.found(&self.host)?.map(|node| node.state) {
            Some(NodeState::Stopped { exit_code: 0 }) => Ok(took),
            Some(NodeState::Stopped { exit_code }) => {
                Err(Error::Stopped { container: self.name().to_owned(), code: exit_code, log: self.log() })
            }
            _ => Err(Error::Stopped { container: self.name().to_owned(), code: -1, log: self.log() }),
        }
    }

    /// Removes the node with its volumes.
    pub(super) fn remove(self) -> Result<(), Error> {
        Ok(self.node.remove()?)
    }
}

/// Reads `du -k`; the error is the path that is missing.
fn parse_sizes(output: &str, paths: &[String]) -> Result<Vec<VolumeSize>, String> {
    let sizes: Vec<(&str, u64)> = output
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .filter_map(|(size, path)| Some((path.trim_end(), size.trim().parse::<u64>().ok()? * 1024)))
        .collect();
    paths
        .iter()
        .map(|path| {
            let (_, bytes) = sizes.iter().find(|(found, _)| found == path).ok_or_else(|| path.clone())?;
            Ok(VolumeSize { path: path.clone(), bytes: *bytes })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_all_volumes_or_none() {
        let paths = ["/var/lib/containerd", "/var/lib/docker"].map(str::to_owned);
        let sizes = parse_sizes("412\t/var/lib/containerd\n8\t/var/lib/docker\n", &paths).unwrap();
        assert_eq!(sizes.iter().map(|size| size.bytes).collect::<Vec<_>>(), [412 * 1024, 8 * 1024]);
        assert_eq!(parse_sizes("412\t/var/lib/containerd", &paths), Err("/var/lib/docker".to_owned()));
    }
}
