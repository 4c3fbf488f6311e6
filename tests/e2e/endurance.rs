//! Many boots and restarts in a row, and several clusters at once: a failure in one of thirty boots happens to users every
//! day. Each run does a few rounds; `KUBAKE_E2E_ENDURANCE=full` does enough for a reliable result.

use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use kubake_contract::status::{State, Status};
use kubake_contract::{Endpoint, ports};
use kubake_e2e::cluster::{BOOT_PATIENCE, Cluster, ensure_no_trace};
use kubake_e2e::engine::{self, Container};
use kubake_e2e::lab::{self, lab};
use kubake_e2e::{PREFIX, http, manifests, poll};

use crate::{Case, build_probe, restart, storage};

pub(crate) const CASES: &[Case] = &[
    ("fresh containers get ready one after the other", boots),
    ("one cluster comes back with its data from restarts of every kind", restarts),
    ("four clusters that start at once all get ready", crowd),
];

/// How many rounds this run does.
fn rounds(short: usize, full: usize) -> Result<usize> {
    Ok(if lab::is_endurance_full()? { full } else { short })
}

fn boots() -> Result<()> {
    let image = lab()?.image()?;
    let count = rounds(4, 100)?;
    let mut times = Times::default();
    for round in 1..=count {
        let took = boot(image).with_context(|| format!("boot {round} of {count}"))?;
        tell(&format!("boot {round}/{count}: {}", seconds(took)));
        times.0.push(took);
    }
    times.tell("boots");
    Ok(())
}

/// Boots a fresh container, removes it, and returns the time from `docker run` to ready.
fn boot(image: &str) -> Result<Duration> {
    let name = format!("{PREFIX}-endurance");
    let started = Instant::now();
    let publish = format!("127.0.0.1::{}", ports::HTTP);
    let container = Container::run(&name, ["--privileged", "--publish", &publish, image])?;
    let port = engine::published(container.name(), ports::HTTP)?;
    let ready = poll::until("the cluster is ready", BOOT_PATIENCE, || {
        http::get(port, Endpoint::KubernetesReady.path())?.expect(200)
    });
    let took = started.elapsed();
    ready.with_context(|| engine::logs(container.name()).unwrap_or_default())?;

    let text = http::get(port, Endpoint::Status.path())?.expect(200)?;
    let status: Status =
        serde_json::from_str(&text).with_context(|| format!("the status is not as promised: {text}"))?;
    ensure!(status.state == State::Running && !status.components.is_empty(), "{text}");
    // Ready in the end is not enough: something that dies once in a while would be hidden by its second start.
    for component in &status.components {
        ensure!(component.restarts == 0 && component.last_exit.is_none(), "{component:?}");
    }

    let volumes = engine::volumes_of(container.name())?;
    ensure!(!volumes.is_empty(), "a cluster without a volume");
    drop(container);
    let left: Vec<_> = engine::volumes()?.intersection(&volumes).cloned().collect();
    ensure!(left.is_empty(), "volumes were left behind: {left:?}");
    Ok(took)
}

/// How the container ends before its next start.
#[derive(Debug, Clone, Copy)]
enum End {
    Orderly,
    /// SIGKILL to a cluster that is ready.
    Killed,
    /// SIGKILL also to the boot that follows, in this phase.
    KilledInBoot(&'static str),
}

/// In turn. The short form ends after the first four.
const ENDS: [End; 9] = [
    End::Orderly,
    End::Killed,
    End::KilledInBoot("kubernetes"),
    End::Orderly,
    End::Killed,
    End::KilledInBoot("containerd"),
    End::Orderly,
    End::Killed,
    End::KilledInBoot("kubelet"),
];

fn restarts() -> Result<()> {
    let cluster = lab()?.shared()?;
    build_probe(&cluster)?;
    let kubectl = cluster.kubectl()?;
    let namespace = kubectl.namespace("endurance")?;
    namespace.run(["create", "configmap", "kept", "--from-literal=key=value"])?;
    namespace.apply(manifests::claim("data"))?;
    storage::written(&namespace, "data", "from the first life")?;

    let count = rounds(4, 30)?;
    let mut times = Times::default();
    for (round, end) in (1..=count).zip(ENDS.into_iter().cycle()) {
        let what = format!("restart {round}/{count} ({end:?})");
        let started = end_and_start(&cluster, end).with_context(|| what.clone())?;
        restart::boots_again(&cluster).with_context(|| what.clone())?;
        let took = started.elapsed();
        tell(&format!("{what}: {}", seconds(took)));
        times.0.push(took);

        // After SIGKILL, too: etcd does not wait for the disk (`unsafe-no-fsync`), but what a killed process has
        // written is in the kernel's page cache, and that outlives it. Only a host that crashes loses it. etcd writes
        // what it confirms before it confirms it; so does the pod that wrote the file and ended long ago.
        let get = ["get", "configmap", "kept", "--output", "jsonpath={.data.key}"];
        let kept = namespace.run(get).with_context(|| what.clone())?;
        ensure!(kept == "value", "{what}: the ConfigMap holds {kept:?}");
        // A new pod each time: reading shows that the volume is intact and that the cluster runs what it is given.
        let reader = format!("reader-{round}");
        let read = storage::read(&namespace, &reader, "data").with_context(|| what.clone())?;
        ensure!(read == "from the first life", "{what}: the volume holds {read:?}");
        namespace.run(["delete", "pod", &reader, "--wait=false"])?;
    }
    times.tell("restarts");
    Ok(())
}

/// Ends the container's life and starts it again; returns the time of the last start.
fn end_and_start(cluster: &Cluster, end: End) -> Result<Instant> {
    if let End::Orderly = end {
        let before = engine::logs(cluster.container())?.len();
        engine::run(["restart", cluster.container()])?;
        let started = Instant::now();
        let log = engine::logs(cluster.container())?;
        let log = log.get(before..).unwrap_or(&log);
        ensure!(!log.contains("not stopped in order") && !log.contains("is killed"), "it was not orderly:\n{log}");
        return Ok(started);
    }
    restart::kill(cluster)?;
    if let End::KilledInBoot(phase) = end {
        engine::run(["start", cluster.container()])?;
        restart::kill_in_boot(cluster, phase)?;
    }
    let started = Instant::now();
    engine::run(["start", cluster.container()])?;
    Ok(started)
}

fn crowd() -> Result<()> {
    let lab = lab()?;
    // Not within the threads: they would wait for one bake.
    let image = lab.image()?;
    let names: Vec<String> = (1..=4).map(|number| format!("{PREFIX}-crowd-{number}")).collect();
    let up = |name: &str| -> Result<Cluster> {
        let started = Instant::now();
        let cluster = Cluster::up(lab, name, &["--image", image]).with_context(|| format!("cluster {name}"))?;
        tell(&format!("{name} of four at once: {}", seconds(started.elapsed())));
        Ok(cluster)
    };
    let clusters: Vec<Result<Cluster>> = thread::scope(|scope| {
        let up = &up;
        let threads: Vec<_> = names.iter().map(|name| scope.spawn(move || up(name))).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.map(|end| end.unwrap_or_else(|_| Err(anyhow!("the thread panicked")))).collect()
    });
    let clusters = clusters.into_iter().collect::<Result<Vec<_>>>()?;
    // All of them, while all of them run: a cluster must not become ready at the expense of another one.
    for cluster in &clusters {
        cluster.wait_ready(Duration::from_secs(60))?;
        ensure!(cluster.status()?.state == State::Running, "{}: {:?}", cluster.name(), cluster.status()?);
    }
    for cluster in clusters {
        cluster.down()?;
        ensure_no_trace(cluster.name())?;
    }
    Ok(())
}

/// Reports how long rounds took. For information: the speed of a machine decides no case.
#[derive(Debug, Default)]
struct Times(Vec<Duration>);

impl Times {
    fn tell(&self, what: &str) {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let (Some(median), Some(slowest)) = (sorted.get(sorted.len() / 2), sorted.last()) else { return };
        tell(&format!("{} {what}: median {}, slowest {}", sorted.len(), seconds(*median), seconds(*slowest)));
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Prints a line of progress: the full form takes long.
pub(crate) fn tell(line: &str) {
    // stderr may be closed; that ends no test.
    let _ = writeln!(io::stderr(), "{line}");
}
