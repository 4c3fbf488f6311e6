//! What the supervisor refuses before it touches anything, as its real process: exit code and last words.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use kubake_contract::{env, exit, roles};

/// Exit code and stderr of a supervisor with variables. All of them are mistakes, so it gets nowhere.
fn refused(variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_kubake-init"))
        .arg(roles::SUPERVISE)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_token_that_is_none() {
    for (variables, reason) in [
        (&[(env::TOKEN, "short")][..], "the token in KUBAKE_TOKEN is shorter than 8 bytes"),
        (&[(env::TOKEN, "")], "the token in KUBAKE_TOKEN is empty"),
        (
            &[(env::TOKEN, "with\ta-tab")],
            "the token in KUBAKE_TOKEN has a control character in it, such as a line break",
        ),
        (&[(env::TOKEN_FILE, "/nonexistent/token")], "cannot read the token file `/nonexistent/token`: No such file"),
        (&[(env::TOKEN_FILE, "/dev/null")], "the token in `/dev/null` is empty"),
        (
            &[(env::TOKEN, "long-enough"), (env::TOKEN_FILE, "/dev/null")],
            "KUBAKE_TOKEN and KUBAKE_TOKEN_FILE are both set; set only one of them",
        ),
    ] {
        let (code, stderr) = refused(variables);
        assert_eq!(code, Some(exit::USAGE), "{stderr}");
        assert!(stderr.starts_with(&format!("ERROR {reason}")), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn everything_that_is_wrong_with_variables_is_told_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("registries.yaml");
    std::fs::write(&file, "registries:\n- {host: registry, user: ci, password: hunter22}\n- {hosts: a.example}\n")
        .unwrap();
    let variables = [
        (env::TOKEN, "short"),
        (env::API_PORT, "http"),
        (env::DOCKER_TCP, "of"),
        (env::STATIC_IP_CHECK, "no"),
        (env::BOOT_TIMEOUT, "15m"),
        (env::LOG, "kubake_init=loud"),
        (env::CERT_SANS, "a/b"),
        (env::REGISTRY, "ghcr.io"),
        (env::REGISTRY_PASSWORD, "hunter22"),
        (env::REGISTRIES_FILE, file.to_str().unwrap()),
        (env::EXTRA_CA_CERTS, "/nonexistent/ca.crt"),
        ("https_proxy", "http://ci:hunter22@proxy:port"),
        (env::HOOK_TIMEOUT, "soon"),
        (env::HOOK_FAILURE, "maybe"),
    ];
    let (code, stderr) = refused(&variables);
    assert_eq!(code, Some(exit::USAGE), "{stderr}");
    for reason in [
        "ERROR the token in KUBAKE_TOKEN is shorter than 8 bytes; one is a line of",
        "; KUBAKE_API_PORT: `http` is not a port; set a number",
        "; KUBAKE_DOCKER_TCP: `of` is neither `on` (the default) nor `off`; set it",
        "; KUBAKE_STATIC_IP_CHECK: `no` is neither",
        "; KUBAKE_BOOT_TIMEOUT: `15m` is not a number of seconds; set one such as `900`",
        "; KUBAKE_LOG: `kubake_init=loud` is not a filter",
        "; KUBAKE_CERT_SANS: `a/b` is neither",
        "; REGISTRY and REGISTRY_PASSWORD are set and REGISTRY_USER is not, or empty; set all three or none",
        "registries[0].host: `registry` cannot be the registry of an image",
        "registries[1].hosts: is unknown; there are host, user, password",
        "registries[1].host: is missing",
        "; KUBAKE_EXTRA_CA_CERTS: cannot read /nonexistent/ca.crt",
        "; KUBAKE_HOOK_TIMEOUT is `soon`, which is no duration; set one such as `90s`",
        "; KUBAKE_HOOK_FAILURE is `maybe`; set it to `fail` or `report`",
        "; https_proxy: this is not the URL of a proxy",
        // Where these tests run there is no image.
        "; cannot read /etc/kubake/settings.yaml; this program is PID 1 of an image that `kubake bake` made",
    ] {
        assert!(stderr.contains(reason), "{reason} is not reported: {stderr}");
    }
    assert!(!stderr.contains("hunter22"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}
