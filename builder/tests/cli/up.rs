//! `kubake up`: what the container receives, and what is refused.

use std::fs;
use std::net::TcpListener;

use super::fakes::{engine_for_up, guarded_cluster};
use super::program::{Test, write_program};

#[test]
fn a_taken_port_is_reported_before_anything_is_made() {
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
fn up_passes_on_the_token_and_never_shows_it() {
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
fn up_passes_on_registries_authorities_proxies_and_limits_and_shows_no_secret() {
    const TOKEN: &str = "open-sesame-1";
    let authority = include_str!("../fixtures/ca.pem");
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
fn what_comes_too_late_for_a_cluster_is_reported() {
    let test = Test::new(&["up", "--api-port", "auto", "--http-port", "auto", "--memory", "2g"])
        .env("HTTP_PROXY", "http://proxy.example:3128")
        .env("KUBAKE_TOKEN", "open-sesame-1");
    let test = engine_for_up(test, guarded_cluster("open-sesame-1"));
    fs::write(test.path().join("up"), "").unwrap();
    let (code, _, stderr) = test.outcome();
    assert_eq!(code, 0, "{stderr}");
    let expected =
        "`kubake` was created without these, or with others: HTTP_PROXY, memory\nhint: they count for a new container";
    assert!(stderr.contains(expected), "{stderr}");
    assert!(!test.calls().contains("create"), "{}", test.calls());
}

#[test]
fn mistakes_in_the_host_context_are_reported_before_anything_runs() {
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
fn too_many_processors_are_reported_before_anything_is_made() {
    let test = engine_for_up(Test::new(&["up", "--api-port", "auto", "--http-port", "auto", "--cpus", "2.5"]), 1);
    let (code, _, stderr) = test.outcome();
    assert_eq!(code, 1);
    assert!(
        stderr.contains("error: the cluster is to use 2.5 processors, and the engine's machine has 2\nhint: "),
        "{stderr}"
    );
    assert!(!test.calls().contains("run") && !test.calls().contains("create"), "{}", test.calls());
}

#[test]
fn a_token_that_does_not_fit_the_cluster_is_reported() {
    let test = Test::new(&["up", "--api-port", "auto", "--http-port", "auto"]).env("KUBAKE_TOKEN", "another-token");
    let test = engine_for_up(test, guarded_cluster("open-sesame-1"));
    fs::write(test.path().join("up"), "").unwrap();
    let (code, _, stderr) = test.outcome();
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("`kubake` was created without a token: anyone can read its credentials"), "{stderr}");
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
fn the_loopback_address_of_another_machine_is_refused_at_once() {
    let body = "case \"$*\" in 'container inspect'*) echo 'Error: No such container' >&2; exit 1;; esac; exit 1";
    let test = Test::new(&["up"]).docker_at("tcp://docker:2375", body);
    let (code, _, stderr) = test.outcome();
    assert_eq!(code, 64, "{stderr}");
    let expected = "error: the engine is on `docker`, and hostPorts.api and hostPorts.http are on its loopback address";
    assert!(stderr.contains(expected) && stderr.contains("--http-port 0.0.0.0:10080"), "{stderr}");
    assert!(!test.calls().contains("image") && !test.calls().contains("create"), "{}", test.calls());
    let (code, _, stderr) = Test::new(&["bench"]).docker_at("tcp://docker:2375", body).outcome();
    assert_eq!(code, 64, "{stderr}");
}

#[test]
fn a_cluster_on_another_machine_is_reached_by_its_name() {
    // This machine's own address stands for the other one's.
    let cluster = guarded_cluster("open-sesame-1");
    let test = Test::new(&["up", "--api-port", "0.0.0.0:auto", "--http-port", "0.0.0.0:auto"])
        .env("KUBAKE_TOKEN", "open-sesame-1");
    let test = engine_for_up(test, cluster);
    let path = test.path().join("bin/docker");
    let script = fs::read_to_string(&path).unwrap();
    let script = script.replacen("unix:///var/run/docker.sock", "tcp://localhost:2375", 1);
    let script = script.replace("\"HostIp\":\"127.0.0.1\"", "\"HostIp\":\"0.0.0.0\"");
    write_program(&path, &script);
    let (code, _, stderr) = test.outcome();
    assert_eq!(code, 0, "{stderr}");
    assert!(
        test.calls().contains("--publish 0.0.0.0::8443 --publish 0.0.0.0::10080 --publish 0.0.0.0::10088 "),
        "{}",
        test.calls()
    );
    assert!(fs::read_to_string(test.path().join(".kube/config")).unwrap().contains("https://localhost:1"));
}

#[test]
fn an_existing_cluster_does_not_silently_become_another_one() {
    let up = |args: &[&str]| {
        let args: Vec<&str> = ["up"].into_iter().chain(args.iter().copied()).collect();
        let test =
            engine_for_up(Test::new(&args).env("KUBAKE_TOKEN", "open-sesame-1"), guarded_cluster("open-sesame-1"));
        fs::write(test.path().join("up"), "").unwrap();
        let path = test.path().join("bin/docker");
        let labels = r#""io.kubake.settings":"{\"kubernetesVersion\":\"v1.36.3\"}","io.kubake.handed-on":"{\"hostPorts.api\":\"8443\",\"network\":\"\"}","#;
        let script = fs::read_to_string(&path).unwrap();
        let script = script.replacen(
            "\"Labels\":{\"io.kubake.cluster\"",
            &format!("\"Image\":\"kubake:latest-1.36\",\"Labels\":{{{labels}\"io.kubake.cluster\""),
            1,
        );
        write_program(&path, &script);
        test.outcome()
    };
    let (code, _, stderr) = up(&["--image", "mine:1"]);
    assert_eq!(code, 1, "{stderr}");
    let expected =
        "the cluster `kubake` is there with other settings:\n  image: wanted mine:1, baked kubake:latest-1.36\nhint: ";
    assert!(stderr.contains(expected), "{stderr}");
    let (code, _, stderr) = up(&["--api-port", "9443", "--network", "mine"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("was created without these, or with others: hostPorts.api, network\n"), "{stderr}");
    let (code, _, stderr) = up(&["--image", "kubake:latest-1.36", "--api-port", "8443"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(!stderr.contains("created without these"), "{stderr}");
}

#[test]
fn an_engine_that_cannot_run_a_cluster_is_refused_before_anything_is_made() {
    for command in ["up", "bake"] {
        let test = Test::new(&[command]).docker_with(r#""SecurityOptions":["name=seccomp","name=rootless"]"#);
        let (code, _, stderr) = test.outcome();
        assert_eq!(code, 1, "{stderr}");
        assert!(
            stderr.contains("kubake does not work with this engine:\n  root: rootless: use an engine that"),
            "{stderr}"
        );
        assert!(!test.calls().contains("image") && !test.calls().contains("build"), "{}", test.calls());
    }
}
