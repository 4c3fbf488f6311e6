//! The program as a person or a script meets it, with programs named `docker` that do what a test wants: errors, exit
//! codes, streams.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// An answer to `docker info` that is good enough.
const INFO: &str = r#"{"ServerVersion":"28.0.0","NCPU":2,"OSType":"linux","Architecture":"x86_64","CgroupVersion":"2","KernelVersion":"KERNEL","ClientInfo":{"Version":"28.0.0","Plugins":[{"Name":"buildx","Version":"v0.13.1"}]}}"#;

/// What makes a directory a checkout, beside a Dockerfile, with what pins the default version of Kubernetes.
const COMPONENTS: &str = "builder/components/versions/v1.36.3";

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
        write_program(&path, &script);
        self
    }

    fn command(&self) -> Command {
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

    fn run(&self) -> Output {
        self.command().output().unwrap()
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

/// Writes a program, by way of a child: a file that this process has open for writing is open in whatever other tests
/// start at that moment, too, and cannot be run until that is over (ETXTBSY).
fn write_program(path: &Path, text: &str) {
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

#[test]
fn mistakes_end_with_64_before_anything_runs() {
    let test = Test::new(&["up", "--pod-subnet", "10.0.0.0/40"])
        .docker("exit 1")
        .file("kubake.yaml", "version: 1\nstaticIp: x\n")
        .env("KUBAKE_READY_TIMEOUT", "soon");
    let (code, stdout, stderr) = test.outcome();
    assert_eq!((code, stdout.as_str(), test.calls().as_str()), (64, "", ""));
    insta::assert_snapshot!(stderr);
    for args in [&["up", "--nonsense"][..], &[], &["bake", "-q", "-v"], &["bake", "--from", "baked"]] {
        assert_eq!(Test::new(args).run().status.code(), Some(64), "{args:?}");
    }
}

#[test]
fn a_settings_file_that_was_named_has_to_be_there() {
    let (code, _, stderr) = Test::new(&["settings", "--settings", "none.yaml"]).outcome();
    assert_eq!(code, 64);
    assert!(stderr.contains("error: failed to read the settings file `none.yaml`: No such file"), "{stderr}");
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
    write_program(&path, "#!/bin/sh\necho 'Cannot connect to the Docker daemon at unix:///x' >&2\nexit 1\n");
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
            stderr.contains("error: a container named `kubake` exists, and it was not created by kubake\nhint:"),
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
    fs::create_dir_all(broken.path().join(COMPONENTS)).unwrap();
    fs::write(broken.path().join("Dockerfile"), "").unwrap();
    fs::write(broken.path().join("mine/x.tar"), "no tar at all").unwrap();
    let (code, _, stderr) = broken.outcome();
    assert_eq!(code, 1);
    assert!(
        stderr.contains("error: `mine/x.tar`: not an image archive: it is not a tar file; create it with `docker save"),
        "{stderr}"
    );
}

#[test]
fn everything_that_is_wrong_with_what_is_added_is_told_at_once() {
    let test = Test::new(&["bake", "--images-dir", "mine", "--hooks-dir", "mine/hooks"]).docker("exit 1");
    for directory in ["mine/hooks/before-boots", "mine/app", COMPONENTS] {
        fs::create_dir_all(test.path().join(directory)).unwrap();
    }
    for (name, text) in [
        ("Dockerfile", ""),
        ("mine/a.tar.gz", "no tar at all"),
        ("mine/b.txt", "# mine\nnginx:1.29 --platform linux/s390x\nnginx --pull\n"),
        ("mine/app/oci-layout", "{}"),
    ] {
        fs::write(test.path().join(name), text).unwrap();
    }
    let (code, _, stderr) = test.outcome();
    assert_eq!(code, 1);
    for wanted in [
        "problems with the inputs of the bake:",
        "\n  `mine/a.tar.gz`: not an image archive",
        "\n  `mine/app/index.json`: is missing",
        "\n  `mine/b.txt`, line 3: `--pull` is unknown",
        "\n  `mine/hooks/before-boots`: not a moment at which hooks run",
    ] {
        assert!(stderr.contains(wanted), "{wanted}: {stderr}");
    }
    assert!(!test.calls().contains("build"), "{}", test.calls());
}

#[test]
fn secrets_that_cannot_be_handed_over_are_refused_before_anything_runs() {
    let typed = ["bake", "--hook-secret", "hunter2!", "--hook-secret", "KUBECONFIG", "--hook-secret", "A=/nonexistent"];
    let test = Test::new(&typed).docker("exit 1");
    let (code, _, stderr) = test.outcome();
    assert_eq!(code, 64);
    assert!(stderr.contains("error: 3 problems with `--hook-secret`:\n"), "{stderr}");
    assert!(stderr.contains("`/nonexistent` with the value of `A` cannot be read"), "{stderr}");
    assert!(!stderr.contains("hunter2"), "{stderr}");
    assert_eq!(test.calls(), "");
}

#[test]
fn a_build_that_fails_is_told_with_its_output() {
    let body = "case \"$*\" in 'image inspect'*) echo 'Error: No such image' >&2; exit 1;; pull*) exit;; 'buildx build'*) echo '#5 [go 1/2] RUN x' >&2; echo 'ERROR: process did not complete' >&2; exit 17;; esac";
    let test = Test::new(&["bake", "--base-image", "b:1"]).docker(body);
    fs::create_dir_all(test.path().join(COMPONENTS)).unwrap();
    fs::write(test.path().join("Dockerfile"), "").unwrap();
    let (code, _, stderr) = test.outcome();
    assert_eq!(code, 1);
    assert!(
        stderr.contains("error: failed to build the image `appliance`")
            && stderr.contains("ERROR: process did not complete"),
        "{stderr}"
    );
    assert!(stderr.contains("✗ components"), "{stderr}");
}

#[test]
fn down_without_a_cluster_says_so_and_succeeds() {
    let body = "case \"$*\" in ps*|'volume ls'*) exit;; *) echo 'Error: No such container' >&2; exit 1;; esac";
    let (code, stdout, stderr) = Test::new(&["down", "--json"]).docker(body).outcome();
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("there is no cluster `kubake`"), "{stderr}");
    let down: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((down["container"].as_bool(), down["context"].as_bool()), (Some(false), Some(false)));
}

/// A cluster's HTTP port that has always been ready, on a port of its own.
fn ready_cluster() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut asked_for_usage = 0;
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = String::new();
            BufReader::new(&stream).read_line(&mut request).unwrap();
            let usage = |seconds: i32| format!(r#"{{"cpuSeconds":{seconds},"memoryBytes":387000000}}"#);
            let body = match request.split(['?', ' ']).nth(1).unwrap() {
                "/usage" => {
                    asked_for_usage += 1;
                    usage(6 + asked_for_usage)
                }
                "/status" => format!(
                    r#"{{"state":"running","reason":null,"phases":[{{"name":"host","startedMs":0,"elapsedMs":2,"outcome":"done","detail":null}}],"components":[],"docker":{{"ready":true,"missing":[]}},"kubernetes":{{"ready":true,"missing":[]}},"readyAfterMs":6400,"milestones":[{{"name":"api-ready","atMs":3100}}],"usageAtReady":{}}}"#,
                    usage(6)
                ),
                _ => "ready".to_owned(),
            };
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        }
    });
    port
}

/// An engine with two baked images, in which every container is one that [`ready_cluster`] serves. `stopped` is the
/// exit code of a container that was stopped.
fn measured_engine(test: Test, stopped: i32) -> Test {
    let port = ready_cluster();
    let up = test.path().join("up").display().to_string();
    let image = r#"[{"Id":"sha256:1","Size":1234000000,"Config":{"Labels":{"io.kubake.stage":"baked"}}}]"#;
    let container = format!(
        r#"[{{"Id":"abc","Name":"/c","State":{{"Status":"STATUS","Running":RUNNING,"ExitCode":{stopped}}},"Mounts":[{{"Type":"volume","Destination":"/var/lib/containerd"}}],"NetworkSettings":{{"Ports":{{"10080/tcp":[{{"HostIp":"127.0.0.1","HostPort":"{port}"}}]}}}}}}]"#
    );
    test.docker(&format!(
        r#"case "$*" in
        'image inspect plain') echo '[{{"Id":"sha256:2"}}]';;
        'image inspect none') echo 'Error: No such image' >&2; exit 1;;
        'image inspect'*) echo '{image}';;
        run*|start*) touch '{up}'; echo abc;;
        stop*) rm '{up}';;
        wait*) exec sleep 60;;
        exec*) printf '412\t/var/lib/containerd\n';;
        logs*) echo 'the last words';;
        *--size*) echo 1500000;;
        'container inspect'*) if [ -e '{up}' ]; then echo '{container}' | sed 's/RUNNING/true/; s/STATUS/running/'; else echo '{container}' | sed 's/RUNNING/false/; s/STATUS/exited/'; fi;;
        rm*) ;;
        *) echo "what is $*?" >&2; exit 1;;
        esac"#
    ))
}

/// A ready cluster that gives its kubeconfig to whoever bears the token, on a port of its own.
fn guarded_cluster(token: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(&stream).lines().map(Result::unwrap);
            let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
            let bears = head.contains(&format!("authorization: Bearer {token}"));
            let (status, body) = match head[0].split(['?', ' ']).nth(1).unwrap() {
                "/config" if bears => ("200 OK", KUBECONFIG),
                "/config" => ("401 Unauthorized", "it takes the token"),
                "/status" => ("404 Not Found", ""),
                _ => ("200 OK", "ready"),
            };
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        }
    });
    port
}

const KUBECONFIG: &str = "apiVersion: v1\nkind: Config\ncurrent-context: kind\n\
    clusters: [{name: kind, cluster: {certificate-authority-data: Q0E=, server: 'https://127.0.0.1:1', tls-server-name: kubernetes}}]\n\
    contexts: [{name: kind, context: {cluster: kind, user: kind}}]\n\
    users: [{name: kind, user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}}]\n";

/// An engine with a baked image and no container, which notes the token that `run` finds in its environment, and what
/// `create` finds there and `cp` gets. It has two processors.
fn engine_for_up(test: Test, port: u16) -> Test {
    let up = test.path().join("up").display().to_string();
    let image = r#"[{"Id":"sha256:1","Config":{"Labels":{"io.kubake.stage":"baked"}}}]"#;
    let published =
        |container: u16, host: u16| format!(r#""{container}/tcp":[{{"HostIp":"127.0.0.1","HostPort":"{host}"}}]"#);
    let container = format!(
        r#"[{{"Id":"abc","Name":"/kubake","Image":"sha256:1","Config":{{"Labels":{{"io.kubake.cluster":"kubake"}}}},"State":{{"Status":"running","Running":true}},"NetworkSettings":{{"Ports":{{{},{},{}}}}}}}]"#,
        published(10080, port),
        published(8443, 1),
        published(2376, 2)
    );
    test.docker(&format!(
        r#"case "$*" in
        'image inspect'*) echo '{image}';;
        run*) echo "$KUBAKE_TOKEN" > '{up}'; echo abc;;
        create*) echo "$REGISTRY $REGISTRY_USER $REGISTRY_PASSWORD $HTTPS_PROXY $https_proxy" > '{up}.environment'; echo abc;;
        cp*) cat > '{up}.tar';;
        start*) touch '{up}';;
        wait*) exec sleep 60;;
        'container inspect'*) if [ -e '{up}' ]; then echo '{container}'; else echo 'Error: No such container' >&2; exit 1; fi;;
        *) ;;
        esac"#
    ))
}

#[test]
fn up_hands_the_token_over_and_shows_it_to_nobody() {
    const TOKEN: &str = "open-sesame-1";
    let args = ["up", "-v", "--token-file", "token", "--api-port", "auto", "--http-port", "auto"];
    let args: Vec<&str> = args.into_iter().chain(["--docker-tls-port", "auto", "--cert-san", "a.example"]).collect();
    let test = Test::new(&args).file("token", &format!("{TOKEN}\n"));
    let test = engine_for_up(test, guarded_cluster(TOKEN));
    let (code, stdout, stderr) = test.outcome();
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(fs::read_to_string(test.path().join("up")).unwrap(), format!("{TOKEN}\n"));
    let run = test.calls().lines().find(|call| call.starts_with("run ")).unwrap().to_owned();
    assert!(run.contains("--env KUBAKE_CERT_SANS=a.example ") && run.contains("--env KUBAKE_TOKEN --label"), "{run}");
    assert!(run.contains(":2376 "), "{run}");
    assert!(stderr.contains("--env KUBAKE_TOKEN --label"), "{stderr}");
    for text in [&test.calls(), &stdout, &stderr] {
        assert!(!text.contains(TOKEN), "{text}");
    }
    assert!(stderr.contains("-H \"Authorization: Bearer $KUBAKE_TOKEN\" http://127.0.0.1:"), "{stderr}");
    assert!(
        stderr
            .contains("DOCKER_HOST=tcp://127.0.0.1:2 DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=~/.docker/kubake docker ps"),
        "{stderr}"
    );
    assert!(fs::read_to_string(test.path().join(".kube/config")).unwrap().contains("S0VZ"));
}

#[test]
fn up_hands_on_registries_authorities_proxies_and_limits_and_shows_no_secret() {
    const TOKEN: &str = "open-sesame-1";
    let authority = include_str!("fixtures/ca.pem");
    let test = Test::new(&["up", "-v", "--api-port", "auto", "--http-port", "auto", "--cpus", "1.50"])
        .file("secret", "hunter22\n")
        .file("ca.pem", authority)
        .file("registries.yaml", "registries:\n- {host: a.example, user: ci, passwordFile: secret, caFile: ca.pem}\n")
        .file("kubake.yaml", "version: 1\nregistriesFile: registries.yaml\nextraCaCerts: ca.pem\nmemory: 2048m\n")
        .env("KUBAKE_TOKEN", TOKEN)
        .env("REGISTRY", "b.example")
        .env("REGISTRY_USER", "me")
        .env("REGISTRY_PASSWORD", "hunter23")
        .env("http_proxy", "http://localhost:3128")
        .env("https_proxy", "http://me:hunter24@proxy.example:3128");
    let test = engine_for_up(test, guarded_cluster(TOKEN));
    let (code, stdout, stderr) = test.outcome();
    assert_eq!(code, 0, "{stderr}");
    let calls = test.calls();
    let call =
        |name: &str| calls.lines().find(|call| call.starts_with(name)).unwrap_or_else(|| panic!("{name}: {calls}"));
    let create = call("create ");
    for part in [
        "--memory 2g ",
        "--cpus 1.5 ",
        "--env KUBAKE_REGISTRIES_FILE=/etc/kubake/handed-on/registries.yaml ",
        "--env KUBAKE_EXTRA_CA_CERTS=/etc/kubake/handed-on/extra-ca.crt ",
        "--env ENFORCE_CAPACITY=on ",
        "--env KUBAKE_TOKEN --env REGISTRY --env REGISTRY_USER --env REGISTRY_PASSWORD ",
        "--env HTTPS_PROXY --env https_proxy --label ",
    ] {
        assert!(create.contains(part), "{part}: {create}");
    }
    assert!(!create.to_lowercase().contains("--env http_proxy"), "{create}");
    let order: Vec<&str> = calls.lines().map(|call| call.split(' ').next().unwrap()).collect();
    assert!(order.windows(3).any(|calls| calls == ["create", "cp", "start"]), "{calls}");
    assert!(!order.contains(&"run"), "{calls}");

    let environment = fs::read_to_string(test.path().join("up.environment")).unwrap();
    let proxy = "http://me:hunter24@proxy.example:3128";
    assert_eq!(environment, format!("b.example me hunter23 {proxy} {proxy}\n"));
    let unpacked = test.path().join("unpacked");
    tar::Archive::new(fs::File::open(test.path().join("up.tar")).unwrap()).unpack(&unpacked).unwrap();
    let read = |name: &str| fs::read_to_string(unpacked.join("etc/kubake/handed-on").join(name)).unwrap();
    assert!(read("registries.yaml").contains("hunter22"), "{}", read("registries.yaml"));
    assert_eq!((read("registry-0.crt").as_str(), read("extra-ca.crt").as_str()), (authority, authority));
    for text in [&calls, &stdout, &stderr] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert_eq!(stderr.matches("http_proxy leads to a loopback address").count(), 1, "{stderr}");
}

#[test]
fn what_comes_too_late_for_a_cluster_is_told() {
    let test = Test::new(&["up", "--api-port", "auto", "--http-port", "auto", "--memory", "2g"])
        .env("HTTP_PROXY", "http://proxy.example:3128")
        .env("KUBAKE_TOKEN", "open-sesame-1");
    let test = engine_for_up(test, guarded_cluster("open-sesame-1"));
    fs::write(test.path().join("up"), "").unwrap();
    let (code, _, stderr) = test.outcome();
    assert_eq!(code, 0, "{stderr}");
    let told =
        "`kubake` was made without these, or with others: HTTP_PROXY, memory\nhint: they count for a new container";
    assert!(stderr.contains(told), "{stderr}");
    assert!(!test.calls().contains("create"), "{}", test.calls());
}

#[test]
fn mistakes_in_what_is_handed_on_are_told_before_anything_runs() {
    let test = Test::new(&["up", "--registries-file", "registries.yaml", "--extra-ca-certs", "none.pem"])
        .docker("exit 1")
        .file("registries.yaml", "registries:\n- {host: a.example, user: ci, passwordFile: none}\n")
        .env("REGISTRY", "ghcr.io")
        .env("REGISTRY_USER", "ci")
        .env("HTTPS_PROXY", "http://me:hunter22@proxy:port");
    let (code, _, stderr) = test.outcome();
    assert_eq!((code, test.calls().as_str()), (64, ""));
    for part in [
        "error: 4 problems with the settings:\n",
        "\n  --registries-file: registries[0].passwordFile: cannot read `none`; put a readable file there: No such file",
        "\n  --extra-ca-certs: cannot read `none.pem`; ",
        "\n  the environment: REGISTRY and REGISTRY_USER are set and REGISTRY_PASSWORD is not, or empty; set all three",
        "\n  the environment: HTTPS_PROXY: this is not the URL of a proxy",
    ] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    assert!(!stderr.contains("hunter22"), "{stderr}");
}

#[test]
fn more_processors_than_there_are_are_told_before_anything_is_made() {
    let test = engine_for_up(Test::new(&["up", "--api-port", "auto", "--http-port", "auto", "--cpus", "2.5"]), 1);
    let (code, _, stderr) = test.outcome();
    assert_eq!(code, 1);
    assert!(
        stderr.contains("error: 2.5 processors were asked for, and the engine's machine has 2\nhint: "),
        "{stderr}"
    );
    assert!(!test.calls().contains("run") && !test.calls().contains("create"), "{}", test.calls());
}

#[test]
fn a_bake_hands_on_proxies_and_authorities_and_commits_neither() {
    let authority = include_str!("fixtures/ca.pem");
    let test = Test::new(&["bake", "-v", "--from", "baked", "-t", "mine", "--extra-ca-certs", "ca.pem"])
        .file("ca.pem", authority)
        .env("HTTP_PROXY", "http://me:hunter22@proxy.example:3128");
    let path = |name: &str| test.path().join(name).display().to_string();
    let tars = path("tar");
    let image = r#"[{"Id":"sha256:1","Config":{"Labels":{"io.kubake.stage":"baked","io.kubake.settings":"{}"}}}]"#;
    // As if the engine's client had added one of its own configuration.
    let container = r#"[{"Id":"abc","Config":{"Env":["HTTP_PROXY=x","http_proxy=x","FTP_PROXY=y","PATH=/bin"]}}]"#;
    let test = test.docker(&format!(
        r#"case "$*" in
        'image inspect baked'|'image inspect sha256:1') echo '{image}';;
        'image inspect'*) echo 'Error: No such image' >&2; exit 1;;
        create*) echo abc;;
        cp*) cat >> '{tars}';;
        'container inspect'*) echo '{container}';;
        commit*) echo sha256:2;;
        *) ;;
        esac"#
    ));
    let (code, stdout, stderr) = test.outcome();
    assert_eq!(code, 0, "{stderr}");
    // A container with proxies among its variables would be an image with them: it is made once more, without.
    let calls = test.calls();
    let creates: Vec<&str> = calls.lines().filter(|call| call.starts_with("create ")).collect();
    assert!(creates.len() == 2 && !creates[0].contains("PROXY"), "{calls}");
    for part in ["--env HTTP_PROXY= ", "--env http_proxy= ", "--env FTP_PROXY= "] {
        assert!(creates[1].contains(part), "{part}: {calls}");
    }
    // In files of the inbox, which the bake removes, and nowhere else.
    let copied = fs::read_to_string(tars).unwrap();
    assert_eq!(copied.matches("BEGIN CERTIFICATE").count(), 1, "{copied}");
    let proxy = r#"{"HTTP_PROXY":"http://me:hunter22@proxy.example:3128","http_proxy":"http://me:hunter22@proxy.example:3128"}"#;
    assert!(copied.contains("kubake/inbox/proxies.yaml") && copied.contains(proxy), "{copied}");
    for text in [&calls, &stdout, &stderr] {
        assert!(!text.contains("hunter22"), "{text}");
    }
}

#[test]
fn a_token_that_does_not_fit_the_cluster_is_told() {
    let test = Test::new(&["up", "--api-port", "auto", "--http-port", "auto"]).env("KUBAKE_TOKEN", "another-token");
    let test = engine_for_up(test, guarded_cluster("open-sesame-1"));
    fs::write(test.path().join("up"), "").unwrap();
    let (code, _, stderr) = test.outcome();
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("`kubake` was made without a token: its credentials are open"), "{stderr}");
    assert!(
        stderr.contains("the cluster answers 401: it takes the token\nhint: the cluster was made with"),
        "{stderr}"
    );
    assert!(!stderr.contains("another-token"), "{stderr}");
}

#[test]
fn an_unfit_token_is_refused_before_anything_runs() {
    let test = Test::new(&["up"]).docker("exit 1").env("KUBAKE_TOKEN", "short");
    let (code, _, stderr) = test.outcome();
    assert_eq!((code, test.calls().as_str()), (64, ""));
    assert!(stderr.contains("error: the token in KUBAKE_TOKEN is shorter than 8 bytes"), "{stderr}");
    let test = Test::new(&["up", "--token-file", "none"]).docker("exit 1");
    let (code, _, stderr) = test.outcome();
    assert_eq!((code, test.calls().as_str()), (64, ""));
    assert!(stderr.contains("error: cannot read the token file `none`: No such file"), "{stderr}");
}

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
    assert_eq!(started, ["1 of 2, a", "1 of 2, b", "2 of 2, a", "2 of 2, b"]);
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
fn bench_refuses_what_is_no_baked_image_before_anything_runs() {
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
fn a_run_that_does_not_stop_in_order_is_told_with_the_last_words() {
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
