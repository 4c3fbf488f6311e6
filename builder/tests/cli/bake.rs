//! `kubake bake`: inputs, secrets and builds that fail.

use std::fs;

use super::program::{COMPONENTS, Test};

#[test]
fn a_bake_with_a_bad_archive() {
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
fn all_problems_of_added_inputs_are_reported_at_once() {
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
fn unusable_hook_secrets_are_refused_before_anything_runs() {
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
fn a_failed_build_is_reported_with_its_output() {
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
fn a_bake_passes_on_proxies_and_authorities_and_commits_neither() {
    let authority = include_str!("../fixtures/ca.pem");
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
