//! The program as a person or a script meets it, with programs named `docker` that do what a test wants: errors, exit
//! codes, streams.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// An answer to `docker info` that is good enough.
const INFO: &str = r#"{"ServerVersion":"28.0.0","OSType":"linux","Architecture":"x86_64","CgroupVersion":"2","KernelVersion":"KERNEL","ClientInfo":{"Version":"28.0.0","Plugins":[{"Name":"buildx","Version":"v0.13.1"}]}}"#;

/// A directory with a `docker` of its own, and nothing else of the user's.
struct Test {
    directory: tempfile::TempDir,
    args: Vec<String>,
    env: Vec<(String, String)>,
}

impl Test {
    fn new(args: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("bin")).unwrap();
        Self { directory, args: args.iter().map(ToString::to_string).collect(), env: Vec::new() }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn file(self, name: &str, text: &str) -> Self {
        fs::write(self.path().join(name), text).unwrap();
        self
    }

    /// A `docker` that notes each call, answers `info` and does `body` for everything else; `$*` is what was asked.
    fn docker(self, body: &str) -> Self {
        let path = self.path().join("bin/docker");
        let script = format!(
            "#!/bin/sh\necho \"$*\" >> '{}'\ncase \"$*\" in info*) echo '{INFO}' | sed \"s/KERNEL/$(uname -r)/\"; exit;; 'context inspect'*) echo unix:///var/run/docker.sock; exit;; esac\n{body}\n",
            self.path().join("calls").display()
        );
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    fn run(&self) -> Output {
        let path = self.path();
        Command::new(env!("CARGO_BIN_EXE_kubake"))
            .args(&self.args)
            .current_dir(path)
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", path.join("bin").display()))
            .env("HOME", path)
            .env("KUBAKE_ENGINE", path.join("bin/docker"))
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Runs; exit code, stdout, and stderr without what differs from run to run.
    fn outcome(&self) -> (i32, String, String) {
        let output = self.run();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&self.path().display().to_string(), "DIR");
        (output.status.code().unwrap(), text(&output.stdout), without_times(&text(&output.stderr)))
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.path().join("calls")).unwrap_or_default()
    }
}

/// Replaces ` 0.1s`, as phases end with.
fn without_times(text: &str) -> String {
    let word = |word: &str| {
        let number = word.strip_suffix('s').unwrap_or_default();
        if !number.is_empty() && number.parse::<f64>().is_ok() { "TIME".to_owned() } else { word.to_owned() }
    };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn mistakes_end_with_64_before_anything_runs() {
    let test = Test::new(&["up", "--pod-subnet", "10.0.0.0/40"])
        .docker("exit 1")
        .file("kubake.yaml", "version: 1\nstaticIp: x\n")
        .env("KUBAKE_READY_TIMEOUT", "soon");
    let (code, stdout, stderr) = test.outcome();
    assert_eq!((code, stdout.as_str(), test.calls().as_str()), (64, "", ""));
    insta::assert_snapshot!(stderr);
    for args in [&["up", "--nonsense"][..], &[], &["bake", "-q", "-v"]] {
        assert_eq!(Test::new(args).run().status.code(), Some(64), "{args:?}");
    }
}

#[test]
fn a_settings_file_that_was_named_has_to_be_there() {
    let (code, _, stderr) = Test::new(&["settings", "--settings", "none.yaml"]).outcome();
    assert_eq!(code, 64);
    assert!(stderr.contains("error: read the settings file `none.yaml`: No such file"), "{stderr}");
}

#[test]
fn help_and_data_go_to_stdout() {
    for args in [&["--help"][..], &["--version"], &["settings"], &["settings", "--json"], &["completions", "bash"]] {
        let (code, stdout, stderr) = Test::new(args).outcome();
        assert_eq!((code, stderr.as_str()), (0, ""), "{args:?}");
        assert!(!stdout.is_empty());
    }
}

#[test]
fn an_engine_that_does_not_answer() {
    let test = Test::new(&["down"]);
    let path = test.path().join("bin/docker");
    fs::write(&path, "#!/bin/sh\necho 'Cannot connect to the Docker daemon at unix:///x' >&2\nexit 1\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let (code, _, stderr) = test.outcome();
    assert_eq!(code, 1);
    assert!(stderr.contains("Cannot connect to the Docker daemon at unix:///x"), "{stderr}");
}

#[test]
fn a_container_of_somebody_else_is_left_alone() {
    let body = r#"case "$*" in 'container inspect'*) echo '[{"Id":"abc","Name":"/kubake","Config":{"Labels":{}},"State":{"Status":"running","Running":true}}]';; *) exit 1;; esac"#;
    for command in ["up", "down"] {
        let test = Test::new(&[command]).docker(body);
        let (code, _, stderr) = test.outcome();
        assert_eq!(code, 1, "{stderr}");
        assert!(
            stderr.contains("error: a container named `kubake` exists, and it is not a cluster of kubake's\nhint:"),
            "{stderr}"
        );
        assert!(!test.calls().contains("rm --force"), "{}", test.calls());
    }
}

#[test]
fn a_taken_port_is_told_before_anything_is_made() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let test = Test::new(&["up", "--http-port", &port, "--api-port", "auto"])
        .docker("echo 'Error: No such object' >&2; exit 1");
    let (code, _, stderr) = test.outcome();
    assert_eq!(code, 1);
    assert!(stderr.contains(&format!("host port {port} on 127.0.0.1 (hostPorts.http) is already in use")), "{stderr}");
    assert!(!test.calls().contains("build"), "{}", test.calls());
}

#[test]
fn a_bake_without_a_checkout_or_with_a_bad_archive() {
    let broken = Test::new(&["bake", "--images-dir", "mine"]).docker("exit 1");
    fs::create_dir(broken.path().join("mine")).unwrap();
    fs::create_dir_all(broken.path().join("builder/components")).unwrap();
    fs::write(broken.path().join("Dockerfile"), "").unwrap();
    fs::write(broken.path().join("mine/x.tar"), "no tar at all").unwrap();
    let (code, _, stderr) = broken.outcome();
    assert_eq!(code, 1);
    assert!(
        stderr.contains("`mine/x.tar` is no image archive") && stderr.contains("hint: make it with `docker save"),
        "{stderr}"
    );
}

#[test]
fn a_build_that_fails_is_told_with_its_output() {
    let body = "case \"$*\" in 'image inspect'*) echo 'Error: No such image' >&2; exit 1;; pull*) exit;; 'buildx build'*) echo '#5 [go 1/2] RUN x' >&2; echo 'ERROR: process did not complete' >&2; exit 17;; esac";
    let test = Test::new(&["bake", "--base-image", "b:1"]).docker(body);
    fs::create_dir_all(test.path().join("builder/components")).unwrap();
    fs::write(test.path().join("Dockerfile"), "").unwrap();
    let (code, _, stderr) = test.outcome();
    assert_eq!(code, 1);
    assert!(
        stderr.contains("error: build the image `appliance`") && stderr.contains("ERROR: process did not complete"),
        "{stderr}"
    );
    assert!(stderr.contains("✗ components"), "{stderr}");
}

#[test]
fn down_without_a_cluster_says_so_and_succeeds() {
    let body = "case \"$*\" in 'volume ls'*) exit;; *) echo 'Error: No such container' >&2; exit 1;; esac";
    let (code, stdout, stderr) = Test::new(&["down", "--json"]).docker(body).outcome();
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("there is no cluster `kubake`"), "{stderr}");
    let down: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((down["container"].as_bool(), down["context"].as_bool()), (Some(false), Some(false)));
}
