//! Runs the program in a directory of its own, with a program named `docker` that does what a test wants.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// An answer to `docker info` that is good enough.
const INFO: &str = r#"{"ServerVersion":"28.0.0","NCPU":2,"OSType":"linux","Architecture":"x86_64","CgroupVersion":"2","KernelVersion":"KERNEL","ClientInfo":{"Version":"28.0.0","Plugins":[{"Name":"buildx","Version":"v0.13.1"}]}}"#;

/// What makes a directory a checkout, beside a Dockerfile, with what pins the default version of Kubernetes.
pub(crate) const COMPONENTS: &str = "builder/components/versions/v1.36.3";

/// A directory with a `docker` of its own, and nothing else of the user's.
pub(crate) struct Test {
    directory: tempfile::TempDir,
    args: Vec<String>,
    env: Vec<(String, String)>,
}

impl Test {
    pub(crate) fn new(args: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("bin")).unwrap();
        Self { directory, args: args.iter().map(ToString::to_string).collect(), env: Vec::new() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        fs::write(self.path().join(name), text).unwrap();
        self
    }

    /// A `docker` as [`Self::docker`] makes it, whose engine is on another machine.
    pub(crate) fn docker_at(self, endpoint: &str, body: &str) -> Self {
        let test = self.docker(body);
        let path = test.path().join("bin/docker");
        let script = fs::read_to_string(&path).unwrap();
        write_program(&path, &script.replacen("unix:///var/run/docker.sock", endpoint, 1));
        test
    }

    /// A `docker` whose `info` has this, beside what it has in other tests.
    pub(crate) fn docker_with(self, info: &str) -> Self {
        let test = self.docker("exit 1");
        let path = test.path().join("bin/docker");
        let script = fs::read_to_string(&path).unwrap();
        write_program(&path, &script.replacen("{\"ServerVersion\"", &format!("{{{info},\"ServerVersion\""), 1));
        test
    }

    /// A `docker` that notes each call, answers `info` and does `body` for everything else; `$*` is what was asked.
    pub(crate) fn docker(self, body: &str) -> Self {
        let path = self.path().join("bin/docker");
        let script = format!(
            "#!/bin/sh\necho \"$*\" >> '{}'\ncase \"$*\" in info*) echo '{INFO}' | sed \"s/KERNEL/$(uname -r)/\"; exit;; 'context inspect'*) echo unix:///var/run/docker.sock; exit;; esac\n{body}\n",
            self.path().join("calls").display()
        );
        write_program(&path, &script);
        self
    }

    pub(crate) fn command(&self) -> Command {
        let path = self.path();
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubake"));
        command
            .args(&self.args)
            .current_dir(path)
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", path.join("bin").display()))
            .env("HOME", path)
            .env("KUBAKE_ENGINE", path.join("bin/docker"))
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self) -> Output {
        self.command().output().unwrap()
    }

    /// Runs; exit code, stdout, and stderr without what differs from run to run.
    pub(crate) fn outcome(&self) -> (i32, String, String) {
        let output = self.run();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&self.path().display().to_string(), "DIR");
        (output.status.code().unwrap(), text(&output.stdout), without_times(&text(&output.stderr)))
    }

    pub(crate) fn calls(&self) -> String {
        fs::read_to_string(self.path().join("calls")).unwrap_or_default()
    }
}

/// Writes a program through a child process. A file that this process has open for writing is also open in the
/// children that other tests start at that moment, and running it then fails with ETXTBSY.
pub(crate) fn write_program(path: &Path, text: &str) {
    let script = "printf %s \"$2\" > \"$1\" && chmod 755 \"$1\"";
    assert!(Command::new("sh").args(["-c", script, "sh"]).arg(path).arg(text).status().unwrap().success());
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
