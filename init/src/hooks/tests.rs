//! Tests of how hooks run, with real programs in a temporary directory.

use std::path::Path;
use std::time::Duration;

use kubake_contract::error_chain::chain;
use kubake_contract::hooks::{Failure, Hook, Secrets, find, ready_script};
use kubake_contract::status::Outcome;
use kubake_contract::{ClusterSettings, Node, env};

use super::*;
use crate::events::Events;
use crate::status::Board;

fn script(path: &Path, mode: u32, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    // Another process writes the file. A child that a parallel test forks inherits descriptors that are open here, and a
    // file that any process has open for writing cannot be executed.
    let command = "printf %s \"$2\" > \"$1\" && chmod \"$3\" \"$1\"";
    let mut write = std::process::Command::new("sh");
    write.args(["-c", command, "sh"]).arg(path).arg(text).arg(format!("{mode:o}"));
    assert!(write.status().unwrap().success());
}

fn names(hooks: &[Hook]) -> Vec<&str> {
    hooks.iter().map(|hook| hook.name.as_str()).collect()
}

fn context<'a>(settings: &'a ClusterSettings, node: &'a Node, secrets: &'a Secrets) -> HookContext<'a> {
    let timeout = Duration::from_secs(20);
    let proxies = vec![("https_proxy".into(), "http://proxy.example:3128".into())];
    HookContext { moment: "before-boot", settings, node, secrets, proxies, timeout, timeout_setting: env::HOOK_TIMEOUT }
}

#[test]
fn executable_files_run_in_the_order_of_their_names() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    for (name, mode) in [("20-b", 0o755), ("10-a", 0o755), ("README", 0o644), (".10-a.swp", 0o755)] {
        script(&path("before-boot").join(name), mode, "#!/bin/sh\n");
    }
    std::fs::create_dir_all(path("before-boot/15-lib")).unwrap();
    script(&path("kubernetes-ready"), 0o755, "#!/bin/sh\n");
    script(&path("after-cluster"), 0o644, "#!/bin/sh\n");
    assert_eq!(names(&find(directory.path(), "before-boot").unwrap()), ["before-boot/10-a", "before-boot/20-b"]);
    assert_eq!(names(&find(directory.path(), "kubernetes-ready").unwrap()), ["kubernetes-ready"]);
    assert_eq!(find(directory.path(), "after-cluster").unwrap(), []);
    assert_eq!(find(&path("none"), "before-boot").unwrap(), []);
    assert_eq!(ready_script(&path("none")), None);
}

#[tokio::test]
async fn hooks_get_variables_and_a_directory_and_the_bsycorp_script_need_not_be_executable() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let text = format!(
        "#!/bin/sh\necho \"$KUBAKE_HOOK $KUBERNETES_VERSION $STATIC_IP $KUBECONFIG $DOCKER_HOST $https_proxy $(pwd)\" >> {0}\n",
        out.display()
    );
    script(&directory.path().join("before-boot/10-x"), 0o755, &text);
    let legacy = directory.path().join("kubernetes-ready.sh");
    script(
        &legacy,
        0o644,
        &format!("[[ $0 == */kubernetes-ready.sh ]] && echo \"bash $(pwd)\" >> {}\n", out.display()),
    );
    let mut hooks = find(directory.path(), "before-boot").unwrap();
    hooks.extend(ready_script(&legacy));
    let (settings, secrets, board) = (ClusterSettings::default(), Secrets::default(), Board::new());
    let node = Node::control_plane(&settings);
    run_in_order(&hooks, &context(&settings, &node, &secrets), Failure::Fail, &board, Events::new(false))
        .await
        .unwrap();
    let place = directory.path().join("before-boot").canonicalize().unwrap();
    assert_eq!(
        std::fs::read_to_string(out).unwrap(),
        format!(
            "before-boot v1.36.3 172.30.99.1 /etc/kubernetes/admin.conf unix:///run/docker.sock http://proxy.example:3128 {}\nbash /\n",
            place.display()
        )
    );
    let outcomes: Vec<_> = board.snapshot().hooks.iter().map(|hook| hook.outcome).collect();
    assert_eq!(outcomes, [Outcome::Done, Outcome::Done]);
}

#[tokio::test]
async fn a_failure_ends_the_moment_or_is_reported_and_the_next_hook_runs() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    script(&directory.path().join("before-boot/10-bad"), 0o755, "#!/bin/sh\necho no luck\nexit 7\n");
    script(&directory.path().join("before-boot/20-next"), 0o755, &format!("#!/bin/sh\ntouch {}\n", out.display()));
    let hooks = find(directory.path(), "before-boot").unwrap();
    let (settings, secrets, board) = (ClusterSettings::default(), Secrets::default(), Board::new());
    let node = Node::control_plane(&settings);
    let context = context(&settings, &node, &secrets);

    let error = run_in_order(&hooks, &context, Failure::Fail, &board, Events::new(false)).await.unwrap_err();
    let text = chain(&error);
    assert!(text.starts_with("hook before-boot/10-bad failed"), "{text}");
    assert!(text.contains("exit status: 7") && text.contains("no luck"), "{text}");
    assert!(!out.exists(), "the one after it did not run");
    let error = run_in_order(&hooks, &context, Failure::Fail, &Board::new(), Events::new(false)).await.unwrap_err();
    assert!(matches!(error, HookError::Failed { .. }) && !out.exists(), "{error}");
    run_in_order(&hooks, &context, Failure::Report, &Board::new(), Events::new(false)).await.unwrap();
    assert!(out.exists(), "the one after it ran");
    std::fs::remove_file(&out).unwrap();

    run_in_order(&hooks, &context, Failure::Report, &board, Events::new(false)).await.unwrap();
    assert!(out.exists());
    let hooks = board.snapshot().hooks;
    let outcomes: Vec<_> = hooks.iter().map(|hook| hook.outcome).collect();
    assert_eq!(outcomes, [Outcome::Failed, Outcome::Failed, Outcome::Done]);
    assert!(hooks[1].detail.as_deref().is_some_and(|detail| detail.contains("no luck")), "{hooks:?}");
}

#[tokio::test]
async fn errors_of_hooks_that_cannot_run_or_never_end_name_a_remedy() {
    let directory = tempfile::tempdir().unwrap();
    script(&directory.path().join("a"), 0o755, "#!/nonexistent/interpreter\n");
    script(&directory.path().join("b"), 0o755, "#!/bin/sh\necho still here\nsleep 20\n");
    let (settings, secrets) = (ClusterSettings::default(), Secrets::default());
    let node = Node::control_plane(&settings);
    let mut context = context(&settings, &node, &secrets);
    context.timeout = Duration::from_secs(1);
    let error =
        run_in_order(&find(directory.path(), "a").unwrap(), &context, Failure::Fail, &Board::new(), Events::new(false))
            .await
            .unwrap_err();
    assert!(chain(&error).contains("hook a cannot be started; its first line must name an interpreter"), "{error}");
    let error =
        run_in_order(&find(directory.path(), "b").unwrap(), &context, Failure::Fail, &Board::new(), Events::new(false))
            .await
            .unwrap_err();
    let text = chain(&error);
    assert!(text.contains("hook b failed; give hooks more time with KUBAKE_HOOK_TIMEOUT"), "{text}");
    assert!(text.contains("within 1 s") && text.contains("still here"), "{text}");
}

#[tokio::test]
async fn secrets_reach_hooks_and_are_masked_in_their_output() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secrets.yaml");
    std::fs::write(&file, r#"{"TOKEN":"abc'\"$x","KEY":"-----BEGIN-----\nfirst line\n-----END-----"}"#).unwrap();
    let secrets = Secrets::take(&file).unwrap();
    assert!(!file.exists(), "the file is removed after it is read");
    assert_eq!(Secrets::take(&file).unwrap(), Secrets::default());
    assert_eq!(format!("{secrets:?}"), r#"{"KEY", "TOKEN"}"#);

    let out = directory.path().join("out");
    let text = format!(
        "#!/bin/sh\nprintf %s \"$TOKEN\" > {}\necho \"token=$TOKEN\"\necho \"$KEY\" >&2\nexit 1\n",
        out.display()
    );
    script(&directory.path().join("x"), 0o755, &text);
    let settings = ClusterSettings::default();
    let node = Node::control_plane(&settings);
    let hooks = find(directory.path(), "x").unwrap();
    let error =
        run_in_order(&hooks, &context(&settings, &node, &secrets), Failure::Fail, &Board::new(), Events::new(false))
            .await
            .unwrap_err();
    assert_eq!(std::fs::read_to_string(out).unwrap(), "abc'\"$x");
    let text = chain(&error);
    assert!(text.contains("token=***") && !text.contains("abc'") && !text.contains("first line"), "{text}");
}

#[test]
fn broken_secrets_are_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secrets.yaml");
    std::fs::write(&file, "[hunter2").unwrap();
    let text = chain(&Secrets::take(&file).unwrap_err());
    assert!(text.contains("secrets.yaml") && !text.contains("hunter2"), "{text}");
}
