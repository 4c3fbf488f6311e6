//! Engines that do not answer, and containers of other programs.

use super::program::{Test, write_program};

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
fn a_container_that_kubake_did_not_create_is_left_alone() {
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
fn down_without_a_cluster_says_so_and_succeeds() {
    let body = "case \"$*\" in ps*|'volume ls'*) exit;; *) echo 'Error: No such container' >&2; exit 1;; esac";
    let (code, stdout, stderr) = Test::new(&["down", "--json"]).docker(body).outcome();
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("there is no cluster `kubake`"), "{stderr}");
    let down: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((down["container"].as_bool(), down["context"].as_bool()), (Some(false), Some(false)));
}

#[test]
#[ignore = "needs root, and Debian or Ubuntu"]
fn an_installation_that_would_remove_packages_is_refused() {
    let test = Test::new(&["engine", "install", "--yes"]);
    let bin = test.path().join("bin");
    let calls = test.path().join("calls");
    write_program(
        &bin.join("docker"),
        "#!/bin/sh\ncase \"$1\" in context) echo unix:///var/run/docker.sock;; *) echo 'Cannot connect' >&2; exit 1;; esac\n",
    );
    let apt = "case \"$*\" in *--simulate*) echo 'Remv docker-ce-cli [5:27]'; echo 'Inst docker-cli (26)';; esac";
    write_program(&bin.join("apt-get"), &format!("#!/bin/sh\necho \"$*\" >> '{}'\n{apt}\n", calls.display()));
    write_program(&bin.join("apt-cache"), "#!/bin/sh\nprintf 'docker.io:\\n  Candidate: 26.1.5\\n'\n");
    // Without the directories of the system: an installed dockerd would be started instead.
    let test = test.env("KUBAKE_ENGINE", "").env("PATH", &bin.display().to_string());
    let (code, _, stderr) = test.outcome();
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("apt would remove docker-ce-cli to install docker.io, and kubake removes"), "{stderr}");
    let calls = test.calls();
    assert!(calls.lines().all(|call| call.ends_with("update") || call.contains("--simulate")), "{calls}");
}
