//! Tests of tables and JSON with made-up figures.

use kubake_contract::status::{Milestone, Outcome, Phase};
use kubake_contract::usage::{ProgramUsage, Usage};

use super::document::{Machine, Parallel, Plan, Report};
use super::measurements::{Measurements, compare};
use crate::bench::measured::{Idle, Measured, VolumeSize};
use crate::engine::EngineFacts;

fn usage(cpu_seconds: f64, programs: &[(&str, f64)]) -> Usage {
    let program = |(name, cpu_seconds): &(&str, f64)| ProgramUsage {
        name: (*name).to_owned(),
        processes: 1,
        cpu_seconds: *cpu_seconds,
        ..ProgramUsage::default()
    };
    Usage {
        cpu_seconds,
        memory_bytes: 387_000_000,
        cache_bytes: 12_300_000_000,
        written_bytes: 8_400_000,
        programs: programs.iter().map(program).collect(),
    }
}

fn measured(ready_seconds: f64) -> Measured {
    let phase = |name: &str, started_ms, elapsed_ms| Phase {
        name: name.to_owned(),
        started_ms,
        elapsed_ms: Some(elapsed_ms),
        outcome: Outcome::Done,
        detail: None,
    };
    Measured {
        ready_seconds,
        docker_ready_seconds: 2.5,
        ready_after_ms: Some(6000),
        phases: vec![phase("host", 0, 2), phase("kubernetes", 75, 5900)],
        milestones: vec![Milestone { name: "api-ready".to_owned(), at_ms: 3100 }],
        usage_at_ready: Some(usage(6.0, &[("kube-apiserver", 2.5), ("etcd", 0.5), ("pause", 0.01)])),
        idle: Some(Idle { seconds: 30.0, cpu_seconds: 1.5, cpu_per_second: 0.05, usage_at_end: usage(7.5, &[]) }),
        volumes: vec![VolumeSize { path: "/var/lib/containerd".to_owned(), bytes: 421_888 }],
        layer_bytes: Some(1_500_000),
        stop_seconds: 2.7,
        restart_ready_seconds: Some(6.6),
    }
}

fn old(ready_seconds: f64) -> Measured {
    Measured { usage_at_ready: None, idle: None, milestones: Vec::new(), layer_bytes: None, ..measured(ready_seconds) }
}

fn report(images: Vec<(&str, Vec<Measured>)>, parallel: Option<Parallel>) -> Report {
    let mut images: Vec<Measurements> = images
        .into_iter()
        .map(|(name, runs)| Measurements::new(name.to_owned(), "sha256:1".to_owned(), 1_234_000_000, runs))
        .collect();
    compare(&mut images);
    let facts = EngineFacts {
        version: "28.2.2".to_owned(),
        kernel: "6.18.0".to_owned(),
        cgroup_version: 2,
        storage_driver: "overlay2".to_owned(),
        backing_filesystem: "extfs".to_owned(),
        cpus: 2,
        memory: 24_000_000_000,
        ..EngineFacts::default()
    };
    Report {
        date: "2026-11-24T12:00:00Z".to_owned(),
        machine: Machine::new(&facts, 0.25),
        plan: Plan { runs: images[0].runs.len(), idle_seconds: 30, restart: true },
        images,
        parallel,
    }
}

#[test]
fn tables_of_two_images() {
    let parallel = Parallel {
        image: "kubake:a".to_owned(),
        clusters: 2,
        ready_seconds: vec![11.25, 12.5],
        all_ready_seconds: 12.5,
    };
    let report = report(
        vec![
            ("kubake:a", vec![measured(6.4), measured(5.5), measured(7.8)]),
            ("kubake:older", vec![old(12.8), old(12.0), old(13.0)]),
        ],
        Some(parallel),
    );
    insta::assert_snapshot!(report.text());
}

#[test]
fn tables_of_one_run() {
    insta::assert_snapshot!(report(vec![("kubake:a", vec![measured(6.4)])], None).text());
}

#[test]
fn json_holds_each_run_and_the_summaries() {
    let report = report(vec![("a", vec![measured(6.0), measured(8.0)]), ("b", vec![measured(14.0)])], None);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["images"][0]["runs"][1]["readySeconds"], 8.0);
    assert_eq!(json["images"][0]["summaries"]["readySeconds"]["median"], 7.0);
    assert_eq!(json["images"][0]["programs"]["etcd"]["median"], 0.5);
    assert_eq!(json["images"][0]["ratios"], serde_json::json!({}));
    assert_eq!(json["images"][1]["ratios"]["readySeconds"], 2.0);
    assert_eq!(json["images"][1]["ratios"]["dockerReadySeconds"], serde_json::Value::Null);
    assert_eq!(json["images"][0]["runs"][0]["usageAtReady"]["writtenBytes"], 8_400_000);
    assert_eq!(json["machine"]["engine"], "docker 28.2.2");
}

#[test]
fn the_timeline_is_the_median_runs() {
    let report = report(vec![("a", vec![measured(9.0), measured(6.0), measured(7.0)])], None);
    assert_eq!(report.images[0].timeline().unwrap().title, "a, run 3 of 3");
}
