//! `kubake bench`: its runs, its report, and that it leaves nothing.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::fakes::measured_engine;
use super::program::Test;

#[test]
fn bench_measures_images_in_turn_and_leaves_nothing() {
    let args = ["bench", "a", "b", "--runs", "2", "--idle", "1", "--parallel", "2", "--json", "--plot", "boot.svg"];
    let test = measured_engine(Test::new(&args), 0);
    let (code, stdout, stderr) = test.outcome();
    assert_eq!(code, 0, "{stderr}");
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let image = &report["images"][0];
    assert_eq!(image["runs"].as_array().unwrap().len(), 2);
    for key in ["readySeconds", "dockerReadySeconds", "idleCpuPerSecond", "stopSeconds", "restartReadySeconds"] {
        assert!(image["summaries"][key]["median"].as_f64().unwrap() > 0.0, "{key}: {image}");
    }
    assert_eq!(image["summaries"]["volumeBytes"]["median"], f64::from(412 * 1024));
    assert_eq!(image["summaries"]["cpuSecondsAtReady"]["median"], 6.0);
    assert!(report["images"][1]["ratios"]["readySeconds"].is_number());
    assert_eq!(report["parallel"]["readySeconds"].as_array().unwrap().len(), 2);
    let started: Vec<&str> =
        stderr.lines().filter_map(|line| line.strip_prefix("• run ")).filter(|line| line.contains(", ")).collect();
    assert_eq!(started, ["1 of 2, a", "1 of 2, b", "2 of 2, b", "2 of 2, a"]);
    let calls = test.calls();
    let count = |what: &str| calls.lines().filter(|line| line.starts_with(what)).count();
    assert_eq!((count("run "), count("rm --force --volumes "), count("stop "), count("start ")), (6, 6, 4, 4));
    assert!(fs::read_to_string(test.path().join("boot.svg")).unwrap().contains("api-ready"));
}

#[test]
fn bench_for_people() {
    let test = measured_engine(Test::new(&["bench", "--runs", "1", "--idle", "0", "--no-restart"]), 0);
    let (code, stdout, stderr) = test.outcome();
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("container start to ready") && stdout.contains("kubake:latest-1.36"), "{stdout}");
    assert!(!stdout.contains("idle:") && !stdout.contains("docker start"), "{stdout}");
    assert!(stderr.contains("next:\n  kubake bench --runs 1 --idle 0 --no-restart --plot boot.svg"), "{stderr}");
}

#[test]
fn bench_refuses_other_images_than_baked_ones_before_anything_runs() {
    let test = measured_engine(Test::new(&["bench", "a", "none", "plain"]), 0);
    let (code, stdout, stderr) = test.outcome();
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(
        stderr.contains("\n  `none`: no such image\n  `plain`: was not created by `kubake bake`\nhint:"),
        "{stderr}"
    );
    assert!(!test.calls().contains("run "), "{}", test.calls());
    let test = measured_engine(Test::new(&["bench", "--plot", "no/where.svg"]), 0);
    let (code, _, stderr) = test.outcome();
    assert_eq!((code, test.calls().as_str()), (1, ""), "{stderr}");
}

#[test]
fn a_run_that_does_not_stop_in_order_is_reported_with_its_last_log_lines() {
    let test = measured_engine(Test::new(&["bench", "a", "--idle", "0"]), 137);
    let (code, stdout, stderr) = test.outcome();
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("error: run 1 of `a` failed: `docker stop kubake-bench-"), "{stderr}");
    assert!(stderr.contains("ended it with status 137 and not with 0\n  | the last words\nhint:"), "{stderr}");
    assert!(test.calls().lines().last().unwrap().starts_with("rm --force --volumes abc"), "{}", test.calls());
}

#[test]
fn an_interrupted_bench_leaves_nothing() {
    let test = measured_engine(Test::new(&["bench", "a", "--idle", "600"]), 0);
    let mut child = test.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    // Not for `wait`: a cluster that is ready at once may be watched no more before that has begun.
    while !test.calls().contains("container inspect ") {
        assert!(Instant::now() < deadline, "{}", test.calls());
        std::thread::sleep(Duration::from_millis(20));
    }
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(test.calls().lines().last().unwrap().starts_with("rm --force --volumes abc"), "{}", test.calls());
}

#[test]
fn a_bench_under_nohup_outlives_its_terminal() {
    let test = measured_engine(Test::new(&["bench", "a", "--runs", "1", "--idle", "2", "--no-restart"]), 0);
    let program = test.command();
    let mut child = Command::new("sh")
        .args(["-c", "trap '' HUP; exec \"$@\"", "sh"])
        .arg(program.get_program())
        .args(program.get_args())
        .env_clear()
        .envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(test.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !test.calls().contains("container inspect ") {
        assert!(Instant::now() < deadline, "{}", test.calls());
        std::thread::sleep(Duration::from_millis(20));
    }
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGHUP).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
