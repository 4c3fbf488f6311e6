//! The program against a real engine, with a checkout in miniature whose appliance only talks: what `bake`, `up` and
//! `down` do to the engine and to the kubeconfig, without an hour of compiling.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and its output is for who reads the failure"
)]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const VERSION: &str = "v1.99.0";
/// The tests share the names of the images that a bake builds on its way.
static ENGINE: Mutex<()> = Mutex::new(());

/// A checkout, a home and a cluster's name of its own; what it leaves in the engine goes with it.
struct World {
    directory: tempfile::TempDir,
    name: String,
    /// Processes that were run: build containers carry their ids.
    processes: RefCell<Vec<u32>>,
    _engine: MutexGuard<'static, ()>,
}

impl World {
    fn new(name: &str) -> Self {
        let engine = ENGINE.lock().unwrap_or_else(PoisonError::into_inner);
        // Does nothing where one answers. These tests were asked for, so they may.
        let install = Command::new(env!("CARGO_BIN_EXE_kubake")).args(["engine", "install", "--yes"]).status().unwrap();
        assert!(install.success());
        let directory = tempfile::tempdir().unwrap();
        let name = format!("kubake-test-{name}-{}", std::process::id());
        let world = Self { directory, name, processes: RefCell::default(), _engine: engine };
        let checkout = world.checkout();
        let version = checkout.join("builder/components/versions").join(VERSION);
        for (component, module) in [("etcd", "go.etcd.io/etcd/server/v3"), ("coredns", "github.com/coredns/coredns")] {
            fs::create_dir_all(version.join(component)).unwrap();
            fs::write(version.join(component).join("go.mod"), format!("require {module} v0.0.1\n")).unwrap();
        }
        for file in ["Dockerfile", "kubeadm", "kubake-init"] {
            let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/checkout").join(file);
            fs::copy(fixture, checkout.join(file)).unwrap();
        }
        let mut archive = tar::Builder::new(Vec::new());
        let manifest = r#"[{"Config":"c.json","RepoTags":["docker.io/me/mine:1"],"Layers":[]}]"#;
        let mut header = tar::Header::new_gnu();
        header.set_size(manifest.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, "manifest.json", manifest.as_bytes()).unwrap();
        fs::create_dir_all(checkout.join("images.d")).unwrap();
        fs::write(checkout.join("images.d/mine.tar"), archive.into_inner().unwrap()).unwrap();
        world
    }

    fn checkout(&self) -> PathBuf {
        self.directory.path().join("checkout")
    }

    fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    fn image(&self) -> String {
        format!("{}:1", self.name)
    }

    fn hook(&self, name: &str) {
        let directory = self.checkout().join("hooks/after-cluster");
        drop(fs::remove_dir_all(&directory));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(name), "#!/bin/sh\n").unwrap();
        fs::set_permissions(directory.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubake"));
        command
            .args(args)
            .current_dir(self.checkout())
            .env("KUBAKE_NAME", &self.name)
            .env("KUBAKE_IMAGE", self.image())
            .env("KUBAKE_KUBERNETES_VERSION", VERSION)
            .env("KUBAKE_KUBECONFIG", self.kubeconfig())
            .env("KUBAKE_API_PORT", "auto")
            .env("KUBAKE_HTTP_PORT", "auto")
            .env("TMPDIR", self.directory.path())
            .stdin(Stdio::null());
        command
    }

    fn spawn(&self, args: &[&str]) -> Child {
        let child = self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        self.processes.borrow_mut().push(child.id());
        child
    }

    fn run(&self, args: &[&str]) -> Output {
        let output = self.spawn(args).wait_with_output().unwrap();
        eprintln!("kubake {}: {}\n{}", args.join(" "), output.status, String::from_utf8_lossy(&output.stderr));
        output
    }

    fn succeed(&self, args: &[&str]) -> Output {
        let output = self.run(args);
        assert!(output.status.success());
        output
    }

    /// The containers of this test's in the engine.
    fn leftovers(&self) -> String {
        let builds = self.processes.borrow().iter().map(|process| format!("label=io.kubake.build={process}")).collect();
        let filters: Vec<String> = [vec![format!("name={}", self.name)], builds].concat();
        filters.iter().map(|filter| docker(&["ps", "-aq", "--filter", filter])).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        docker(&["rm", "-f", "-v", &self.name]);
        let mut images = vec![self.image(), format!("kubake/appliance:{VERSION}")];
        let parts =
            ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "etcd", "coredns", "pause"];
        images.extend(parts.map(|part| format!("kubake/{part}:0.0.1")));
        let label = format!("label=io.kubake.kubernetes-version={VERSION}");
        images.extend(docker(&["image", "ls", "-q", "--filter", &label]).lines().map(str::to_owned));
        for image in images {
            docker(&["image", "rm", "-f", &image]);
        }
    }
}

/// Volumes that no container uses, so that a test can say which it left.
fn unused_volumes() -> BTreeSet<String> {
    docker(&["volume", "ls", "-q", "--filter", "dangling=true"]).lines().map(str::to_owned).collect()
}

fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
#[ignore = "needs a running engine"]
fn from_sources_to_a_cluster_and_back() {
    let world = World::new("whole");
    world.hook("10-fine");
    let volumes = unused_volumes();
    let dangling = docker(&["image", "ls", "-q", "--filter", "dangling=true"]);
    world.succeed(&["bake"]);
    let config = docker(&["image", "inspect", "--format", "{{json .Config}}", &world.image()]);
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["Entrypoint"], serde_json::json!(["/usr/local/bin/kubake-init"]));
    assert!(config["Cmd"].as_array().is_none_or(Vec::is_empty), "{config}");
    assert_eq!(config["Labels"]["io.kubake.stage"], "baked");
    assert_eq!(config["Labels"]["io.kubake.build"], "");
    let settings: serde_json::Value =
        serde_json::from_str(config["Labels"]["io.kubake.settings"].as_str().unwrap()).unwrap();
    assert_eq!(settings["kubernetesVersion"], VERSION);

    let again = world.succeed(&["bake", "--json"]);
    let again: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(again["cached"], true);

    fs::write(world.kubeconfig(), "current-context: work\ncontexts: [{name: work, context: {}}]\nmine: 1\n").unwrap();
    let up = world.succeed(&["up", "--json"]);
    let up: serde_json::Value = serde_json::from_slice(&up.stdout).unwrap();
    assert_eq!((up["readyAfterMs"].as_u64(), up["context"].as_str()), (Some(1234), Some(world.name.as_str())));
    let kubeconfig = fs::read_to_string(world.kubeconfig()).unwrap();
    assert!(kubeconfig.contains(up["server"].as_str().unwrap()) && kubeconfig.contains("mine: 1"), "{kubeconfig}");
    assert!(kubeconfig.contains(&format!("current-context: {}", world.name)), "{kubeconfig}");

    let second = world.succeed(&["up", "--json"]);
    let second: serde_json::Value = serde_json::from_slice(&second.stdout).unwrap();
    assert_eq!((second["alreadyRunning"].as_bool(), &second["containerId"]), (Some(true), &up["containerId"]));

    docker(&["stop", &world.name]);
    let third = world.succeed(&["up", "--json"]);
    let third: serde_json::Value = serde_json::from_slice(&third.stdout).unwrap();
    assert_eq!(&third["containerId"], &up["containerId"]);

    let other = world.run(&["up", "--name", "kubake-test-other", "--pod-subnet", "10.9.0.0/16"]);
    assert_eq!(other.status.code(), Some(1));
    assert!(stderr(&other).contains("podSubnet: wanted \"10.9.0.0/16\", baked \"10.244.0.0/16\""));

    world.succeed(&["down"]);
    let kubeconfig = fs::read_to_string(world.kubeconfig()).unwrap();
    assert!(kubeconfig.contains("current-context: work") && !kubeconfig.contains(&world.name), "{kubeconfig}");
    assert!(stderr(&world.succeed(&["down"])).contains("there is no cluster"));
    assert_eq!(world.leftovers(), "");
    assert_eq!(unused_volumes().difference(&volumes).count(), 0);

    world.hook("20-other");
    world.succeed(&["bake"]);
    assert_eq!(docker(&["image", "ls", "-q", "--filter", "dangling=true"]), dangling, "the replaced image is gone");
}

#[test]
#[ignore = "needs a running engine"]
fn a_failing_hook_is_told_and_leaves_nothing() {
    let world = World::new("hook");
    world.hook("10-fail");
    let volumes = unused_volumes();
    let output = world.run(&["bake"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("bake-cluster failed in hooks: hook 10-fail failed\n  | "), "{text}");
    // Notes come over one stream and the log over another: which line is first is the scheduler's choice.
    assert!(text.contains("\n  | a log line\n"), "{text}");
    assert!(text.contains("hint: keep the build container for inspection with `--retain`"), "{text}");
    assert_eq!(world.leftovers(), "");
    assert_eq!(unused_volumes().difference(&volumes).count(), 0);

    let kept = stderr(&world.run(&["bake", "--retain"]));
    assert!(kept.contains("was kept"), "{kept}");
    for id in world.leftovers().lines() {
        docker(&["rm", "-f", "-v", id]);
    }
}

#[test]
#[ignore = "needs a running engine"]
fn an_interrupted_bake_leaves_nothing() {
    let world = World::new("interrupt");
    world.hook("10-hang");
    let volumes = unused_volumes();
    let child = world.spawn(&["bake"]);
    let deadline = Instant::now() + Duration::from_secs(120);
    let own = format!("label=io.kubake.build={}", child.id());
    while docker(&["ps", "-q", "--filter", "name=kubake-bake-cluster", "--filter", &own]).is_empty() {
        assert!(Instant::now() < deadline, "the bake never got to its second half");
        std::thread::sleep(Duration::from_millis(100));
    }
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap()),
        nix::sys::signal::Signal::SIGINT,
    )
    .unwrap();
    let output = child.wait_with_output().unwrap();
    eprintln!("{}", stderr(&output));
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(world.leftovers(), "");
    assert_eq!(unused_volumes().difference(&volumes).count(), 0);
    let left = fs::read_dir(world.directory.path()).unwrap().flatten().map(|entry| entry.file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["checkout"], "no temporary file is left");
}

#[test]
#[ignore = "needs a running engine"]
fn a_container_that_ends_is_noticed_at_once() {
    let world = World::new("dies");
    world.hook("die-at-boot");
    world.succeed(&["bake"]);
    let began = Instant::now();
    let output = world.run(&["up"]);
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("ended with status 1 before the cluster was ready\n  | the boot failed: no luck"), "{text}");
    assert_eq!(world.leftovers(), "");
    assert!(!world.kubeconfig().exists());
}

#[test]
#[ignore = "needs a running engine"]
fn a_cluster_that_never_gets_ready_says_why() {
    let world = World::new("never");
    world.hook("never-ready");
    world.succeed(&["bake"]);
    let output = world.run(&["up", "--ready-timeout", "3s"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("is not ready after 3.0s: etcd has no leader"), "{text}");
    assert_eq!(world.leftovers(), "");
}

#[test]
#[ignore = "needs a running engine"]
fn an_unchanged_source_is_not_built_again() {
    let world = World::new("cached");
    fs::write(world.checkout().join(".dockerignore"), "*\n!kubeadm\n!kubake-init\n").unwrap();
    let builds = |world: &World| stderr(&world.succeed(&["bake", "-v"])).contains("buildx build");
    assert!(builds(&world));
    // The engine may have collected its cache of build steps meanwhile.
    assert!(!builds(&world));
    let dockerfile = world.checkout().join("Dockerfile");
    fs::write(&dockerfile, fs::read_to_string(&dockerfile).unwrap() + "# changed\n").unwrap();
    assert!(builds(&world));
}
