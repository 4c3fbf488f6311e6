//! The end-to-end cases: a real engine, a real bake, real clusters, observed as users observe them.
//!
//! Each file holds the cases of one subject, each can run alone: `cargo test -p kubake-e2e -- restart:`. They run one
//! after the other unless `--test-threads` says otherwise, because a cluster wants a small machine for itself.

mod addons;
mod address;
mod bad_input;
mod bake;
mod boot;
mod capacity;
mod chaos;
mod clock;
mod custom;
mod database;
mod docker_tls;
mod endurance;
mod faults;
mod identity;
mod interrupt;
mod node;
mod operator;
mod registries;
mod restart;
mod secrets;
mod side_by_side;
mod stop;
mod storage;
mod truth;
mod usage;
mod versions;
mod workloads;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use kubake_e2e::probe::{self, Recipe};
use kubake_e2e::shared;
use libtest_mimic::{Arguments, Trial};

/// The name of a case, and the function that runs it.
type Case = (&'static str, fn() -> Result<()>);

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(1));
    // Cases that need least come first: a mistake in the program shows before an image is baked.
    let groups = [
        ("usage", usage::CASES),
        ("boot", boot::CASES),
        ("workloads", workloads::CASES),
        ("storage", storage::CASES),
        ("node", node::CASES),
        ("faults", faults::CASES),
        ("truth", truth::CASES),
        ("restart", restart::CASES),
        ("stop", stop::CASES),
        ("address", address::CASES),
        ("docker", docker_tls::CASES),
        ("side by side", side_by_side::CASES),
        ("identity", identity::CASES),
        ("capacity", capacity::CASES),
        ("registries", registries::CASES),
        ("endurance", endurance::CASES),
        ("chaos", chaos::CASES),
        ("secrets", secrets::CASES),
        ("bad input", bad_input::CASES),
        ("interrupt", interrupt::CASES),
        ("bake", bake::CASES),
        ("custom", custom::CASES),
        ("database", database::CASES),
        ("operator", operator::CASES),
        ("add-ons", addons::CASES),
    ];
    let versions = if versions::is_asked_for() { versions::CASES } else { &[] };
    // Last, because it sets the clock of the whole machine, which only the owner of the machine may allow.
    let clock = if clock::is_allowed() { clock::CASES } else { &[] };
    let groups = groups.into_iter().chain([("versions", versions), ("clock", clock)]);
    let trials = groups.flat_map(|(group, cases)| {
        cases.iter().map(move |(name, run)| {
            Trial::test(format!("{group}: {name}"), || {
                run().map_err(|error| libtest_mimic::Failed::from(format!("{error:#}")))
            })
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    shared::close();
    conclusion.exit_code()
}

/// The program that runs in test images.
fn probe_program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_kubake-e2e-probe"))
}

/// The image that most cases run, built in the cluster's node through its Docker API; quick when it is there already.
const PROBE: &str = "kubake-e2e/probe:1";

fn build_probe(cluster: &kubake_e2e::cluster::Cluster) -> Result<()> {
    probe::build(probe_program(), PROBE, Recipe::Plain("1"), Some(&cluster.docker_host()?))
}
