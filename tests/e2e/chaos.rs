//! Programs that are killed at random moments of a boot: the cluster gets ready all the same, or the container ends and says
//! why. Each run kills a few; `KUBAKE_E2E_ENDURANCE=full` kills a hundred.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kubake_contract::{Endpoint, ports};
use kubake_e2e::cluster::BOOT_PATIENCE;
use kubake_e2e::engine::{self, Container};
use kubake_e2e::lab::{self, lab};
use kubake_e2e::{PREFIX, http, poll};

use crate::{Case, endurance};

pub(crate) const CASES: &[Case] =
    &[("a cluster gets ready although a program is killed, or its container ends with the reason", kills)];

/// Chooses the moments and victims of a run again.
const SEED_VARIABLE: &str = "KUBAKE_E2E_SEED";

/// What `pkill` has to look for. Of the two processes of `kubake-init` the supervisor is the child; PID 1 ignores a kill
/// that comes from inside the container.
const VICTIMS: [&[&str]; 11] = [
    &["--parent", "1", "--exact", "kubake-init"],
    &["--full", "^/usr/local/bin/containerd-shim-runc-v2 "],
    &["--full", "^(/usr/local/bin/)?containerd "],
    &["--full", "^(/usr/local/bin/)?kubelet "],
    &["--full", "^(/usr/sbin/)?dockerd "],
    &["--full", "^etcd "],
    &["--full", "^kube-apiserver "],
    &["--full", "^kube-controller-manager "],
    &["--full", "^kube-scheduler "],
    &["--full", "^/usr/local/bin/kube-proxy "],
    &["--full", "^/coredns "],
];

/// The boot takes about as long on a machine with nothing else to do.
const LATEST: Duration = Duration::from_secs(6);

fn kills() -> Result<()> {
    let image = lab()?.image()?;
    let rounds = if lab::is_endurance_full()? { 100 } else { 4 };
    let mut random = Random::new()?;
    endurance::tell(&format!("{SEED_VARIABLE}={}", random.0));
    let mut ended = 0;
    for round in 1..=rounds {
        let victim = VICTIMS[usize::try_from(random.below(VICTIMS.len() as u64))?];
        let latest = u64::try_from(LATEST.as_millis())?;
        let moment = Duration::from_millis(random.below(latest));
        let what = format!("kill {round}/{rounds}: `{}` after {:.1} s", victim.join(" "), moment.as_secs_f64());
        let outcome = kill(image, victim, moment).with_context(|| what.clone())?;
        endurance::tell(&format!("{what}: {outcome}"));
        ended += u32::from(outcome.starts_with("ended"));
    }
    endurance::tell(&format!("{rounds} kills: {} got ready, {ended} ended with the reason", rounds - ended));
    Ok(())
}

/// Boots a container in which the victim is killed at this moment or as soon as it runs, and returns what became of it.
fn kill(image: &str, victim: &[&str], moment: Duration) -> Result<String> {
    let started = Instant::now();
    let publish = format!("127.0.0.1::{}", ports::HTTP);
    let container = Container::run(&format!("{PREFIX}-chaos"), ["--privileged", "--publish", &publish, image])?;
    thread::sleep(moment.saturating_sub(started.elapsed()));
    let pkill = ["exec", container.name(), "pkill", "-KILL"];
    let killing = poll::until("the victim runs", BOOT_PATIENCE, || engine::run(pkill.iter().chain(victim)));
    let killed_after = started.elapsed();
    let outcome = killing.and_then(|_| {
        poll::until("the cluster is ready or the container has ended", BOOT_PATIENCE, || {
            if engine::inspect(container.name(), ".State.Running")? == "false" {
                return reason(container.name()).map(|reason| format!("ended: {reason}"));
            }
            let port = engine::published(container.name(), ports::HTTP)?;
            http::get(port, Endpoint::KubernetesReady.path())?.expect(200)?;
            Ok(format!("ready after {:.1} s", started.elapsed().as_secs_f64()))
        })
    });
    outcome.with_context(|| {
        let log = engine::logs(container.name()).unwrap_or_else(|error| format!("{error:#}"));
        format!("killed after {:.1} s\n{log}", killed_after.as_secs_f64())
    })
}

/// The last line of the log of a container that has ended, which must be the reason.
fn reason(container: &str) -> Result<String> {
    let code = engine::inspect(container, ".State.ExitCode")?;
    ensure!(code != "0", "it ended with 0");
    let log = engine::logs(container)?;
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
    let Some(reason) = errors.last() else { bail!("it ended with {code} and no reason") };
    Ok((*reason).to_owned())
}

/// A sequence that looks random (`SplitMix64`).
struct Random(u64);

impl Random {
    fn new() -> Result<Self> {
        let seed = match std::env::var(SEED_VARIABLE) {
            Ok(text) => text.parse().with_context(|| format!("{SEED_VARIABLE} is no number"))?,
            Err(_) => RandomState::new().hash_one(0),
        };
        Ok(Self(seed))
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
