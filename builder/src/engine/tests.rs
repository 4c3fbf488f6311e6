//! Argument vectors of every command, and the engine against fakes and, where one runs, for real.

use std::fs;

use kubake_contract::labels;

use crate::advice::Advice;
use crate::base_image;
use crate::install;

use super::command::*;
use super::*;

fn line(command: &impl EngineCommand) -> String {
    call(Path::new("docker"), command).pasteable()
}

#[test]
fn argument_vectors() {
    let name = || "c".to_owned();
    let spec = ContainerSpec {
        name: Some("kubake-dev".into()),
        command: vec!["--flag".into()],
        entrypoint: Some("/bin/sh".into()),
        privileged: true,
        env: vec![("A".into(), "1 2".into())],
        secret_env: vec![("REGISTRY_PASSWORD".into(), "hunter2".into())],
        labels: vec![(labels::CLUSTER.into(), "dev".into())],
        ports: vec![
            Publish { host_ip: Some([127, 0, 0, 1].into()), host_port: Some(8443), container_port: 8443 },
            Publish { host_ip: Some([127, 0, 0, 1].into()), host_port: None, container_port: 10080 },
            Publish { host_ip: Some("::1".parse().unwrap()), host_port: Some(1), container_port: 2 },
            Publish { host_ip: None, host_port: None, container_port: 2375 },
            Publish { host_ip: None, host_port: Some(5), container_port: 6 },
        ],
        mounts: vec![
            Mount::Anonymous { target: "/var/lib/containerd".into() },
            Mount::Volume { name: "v".into(), target: "/v".into() },
            Mount::Bind { source: "/a,b".into(), target: "/t".into(), read_only: true },
            Mount::Tmpfs { target: "/run".into(), options: Some("exec,size=64m".into()) },
            Mount::Tmpfs { target: "/tmp".into(), options: None },
        ],
        network: Some("n".into()),
        hostname: Some("kind".into()),
        cgroupns: Some("private".into()),
        stop_timeout: Some(60),
        restart: Some("no".into()),
        pull: Some("never".into()),
        extra: vec!["--ulimit=nofile=1".into()],
        ..ContainerSpec::new("kubake:v1")
    };
    let mut build = Build::new(Builder::Buildx, "/src");
    build.dockerfile = Some("/src/Dockerfile".into());
    build.target = Some("appliance".into());
    build.tags = vec!["kubake/appliance:v1.36.3".into()];
    build.args = vec![("KUBERNETES".into(), "v1.36.3".into())];
    build.args_of_environment = vec!["HTTPS_PROXY".into()];
    build.labels = vec![(labels::STAGE.into(), "appliance".into())];
    build.secrets = vec![
        ("ca".into(), SecretSource::File("/etc/ca.pem".into())),
        ("token".into(), SecretSource::Env("TOKEN".into())),
    ];
    build.progress = ProgressMode::RawJson;
    let builtin = Build { builder: Builder::BuiltIn, ..build.clone() };
    let podman = Build { builder: Builder::Podman, ..build.clone() };
    let tree =
        Build { target: Some("helm".into()), tree: Some("/t/helm.tar".into()), ..Build::new(Builder::Buildx, "/src") };
    let lines = [
        line(&Info),
        line(&Version),
        line(&ContextInspect),
        line(&ImageInspect { images: vec!["a".into(), "b".into()] }),
        line(&ImageList { filters: vec![Filter::LabelIs(labels::STAGE.into(), "baked".into())] }),
        line(&ImageList { filters: vec![Filter::Reference("kubake/*".into())] }),
        line(&Tag { image: "a".into(), name: "b".into() }),
        line(&RemoveImage { images: vec!["a".into()], force: true }),
        line(&Import {
            archive: "-".into(),
            name: "a".into(),
            changes: vec!["CMD [\"bash\"]".into()],
            message: Some("m".into()),
        }),
        line(&Save { output: "a.tar".into(), images: vec!["a".into(), "b".into()] }),
        line(&Pull { image: "a".into(), timeout: None }),
        line(&build),
        line(&builtin),
        line(&podman),
        line(&tree),
        line(&Create(spec.clone())),
        line(&Run { spec: ContainerSpec::new("a"), detach: true, remove: true }),
        line(&Start { container: name(), attach: true }),
        line(&Logs::follow("c")),
        line(&Logs::tail("c", 20)),
        line(&CopyInto { source: "-".into(), container: name(), target: "/kubake".into(), archive: false }),
        line(&CopyFrom { container: name(), source: "/f".into(), target: "-".into() }),
        line(&Stop { container: name(), timeout: Some(90) }),
        line(&RemoveContainer { containers: vec![name()] }),
        line(&Wait { container: name(), timeout: None }),
        line(&ContainerInspect { containers: vec![name()] }),
        line(&ContainerSize { container: name() }),
        line(&ContainerList { all: true, filters: vec![Filter::Label(labels::CLUSTER.into())] }),
        line(&Commit {
            container: name(),
            image: "a".into(),
            changes: vec!["ENTRYPOINT [\"/x\"]".into()],
            message: Some("m".into()),
            pause: false,
        }),
        line(&Exec {
            container: name(),
            command: vec!["cat".into(), "-".into()],
            interactive: true,
            env: vec![("A".into(), "b".into())],
            ..Exec::default()
        }),
        line(&VolumeList { filters: vec![Filter::Label("a".into())] }),
        line(&VolumeRemove { names: vec!["v".into()] }),
    ];
    insta::assert_snapshot!(lines.join("\n"), @r#"
    docker info --format '{{json .}}'
    docker version --format '{{json .}}'
    docker context inspect --format '{{.Endpoints.docker.Host}}'
    docker image inspect a b
    docker image ls --quiet --no-trunc --filter label=io.kubake.stage=baked
    docker image ls --quiet --no-trunc --filter 'reference=kubake/*'
    docker tag a b
    docker image rm --force a
    docker import --change 'CMD ["bash"]' --message m - a
    docker save --output a.tar a b
    docker pull --quiet a
    docker buildx build --load --progress rawjson --file /src/Dockerfile --target appliance --tag kubake/appliance:v1.36.3 --label io.kubake.stage=appliance --build-arg KUBERNETES=v1.36.3 --build-arg HTTPS_PROXY --secret id=ca,src=/etc/ca.pem --secret id=token,env=TOKEN /src
    DOCKER_BUILDKIT=1 docker build --progress plain --file /src/Dockerfile --target appliance --tag kubake/appliance:v1.36.3 --label io.kubake.stage=appliance --build-arg KUBERNETES=v1.36.3 --build-arg HTTPS_PROXY --secret id=ca,src=/etc/ca.pem --secret id=token,env=TOKEN /src
    docker build --file /src/Dockerfile --target appliance --tag kubake/appliance:v1.36.3 --label io.kubake.stage=appliance --build-arg KUBERNETES=v1.36.3 --build-arg HTTPS_PROXY --secret id=ca,src=/etc/ca.pem --secret id=token,env=TOKEN /src
    docker buildx build --output type=tar,dest=/t/helm.tar --progress plain --target helm /src
    docker create --name kubake-dev --privileged --pull never --network n --hostname kind --cgroupns private --stop-timeout 60 --restart no --env 'A=1 2' --env REGISTRY_PASSWORD --label io.kubake.cluster=dev --publish 127.0.0.1:8443:8443 --publish 127.0.0.1::10080 --publish '[::1]:1:2' --publish 2375 --publish 5:6 --volume /var/lib/containerd --volume v:/v --mount 'type=bind,"source=/a,b",target=/t,readonly' --tmpfs /run:exec,size=64m --tmpfs /tmp --entrypoint /bin/sh --ulimit=nofile=1 kubake:v1 --flag
    docker run --detach --rm a
    docker start --attach c
    docker logs --follow c
    docker logs --tail 20 c
    docker cp - c:/kubake
    docker cp c:/f -
    docker stop -t 90 c
    docker rm --force --volumes c
    docker wait c
    docker container inspect c
    docker container inspect --size --format '{{json .SizeRw}}' c
    docker ps --quiet --no-trunc --all --filter label=io.kubake.cluster
    docker commit --pause=false --message m --change 'ENTRYPOINT ["/x"]' c a
    docker exec --interactive --env A=b c cat -
    docker volume ls --quiet --filter label=a
    docker volume rm v
    "#);
    assert_eq!(Create(spec).secret_env(), [("REGISTRY_PASSWORD".into(), "hunter2".into())]);
}

#[test]
fn the_program_is_the_named_one_or_the_first_that_is_there() {
    let only_podman = |name: &OsStr| (name == "podman").then(|| PathBuf::from("/usr/bin/podman"));
    assert_eq!(find_program(None, &only_podman).unwrap(), Path::new("/usr/bin/podman"));
    assert!(matches!(find_program(None, &|_| None), Err(EngineError::NotInstalled)));
    let error = find_program(Some(OsStr::new("nerdctl")), &only_podman).unwrap_err();
    assert!(error.to_string().contains("`nerdctl`, which KUBAKE_ENGINE names"), "{error}");
}

/// A directory with a program that plays the engine.
fn fake(script: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("docker");
    // By a child: what this process has open for writing, what other tests start at that moment has open, too (ETXTBSY).
    let write = "printf '#!/bin/sh\\n%s\\n' \"$2\" > \"$1\" && chmod 755 \"$1\"";
    let written = std::process::Command::new("sh").args(["-c", write, "sh"]).arg(&program).arg(script).status();
    assert!(written.unwrap().success());
    (directory, program)
}

#[test]
fn engines_that_do_not_work_are_told_apart() {
    let info =
        |version: &str| format!(r#"[ "$1" = info ] && echo '{{"ServerVersion":"{version}"}}' || echo unix:///x"#);
    let cases = [
        ("echo 'Cannot connect to the Docker daemon' >&2; exit 1".to_owned(), "does not answer: Cannot connect"),
        ("echo 'permission denied while trying to connect' >&2; exit 1".to_owned(), "usermod -aG docker"),
        (r#"echo '{"ServerErrors":["Cannot connect to x"]}'"#.to_owned(), "does not answer: Cannot connect to x"),
        (info("20.10.24+dfsg1"), "20.10.24+dfsg1 is too old; kubake needs 23"),
        ("echo nonsense".to_owned(), "is `docker` really docker or podman?"),
    ];
    for (script, expected) in cases {
        let (_directory, program) = fake(&script);
        let error = Engine::with_program(program, Runner::default()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let (_directory, program) = fake(&info("23.0.1"));
    let engine = Engine::with_program(program, Runner::default()).unwrap();
    assert_eq!((engine.facts().major(), engine.facts().endpoint.as_str()), (Some(23), "unix:///x"));
}

#[test]
fn what_does_not_exist_is_none_and_guards_do_not_mind() {
    let script = r#"case "$1" in info) echo '{"ServerVersion":"26.1"}';; context) ;;
        *) echo "Error response from daemon: No such container: c" >&2; exit 1;; esac"#;
    let (_directory, program) = fake(script);
    let engine = Engine::with_program(program, Runner::default()).unwrap();
    assert_eq!(engine.container("c").unwrap(), None);
    assert_eq!(engine.image("c").unwrap(), None);
    ContainerGuard::new(&engine, "c").remove().unwrap();
}

#[test]
fn a_guard_removes_what_an_interrupted_create_left() {
    let (directory, program) = fake(
        r#"case "$1" in info) echo '{"ServerVersion":"26.1"}';; context) ;; create) sleep 30;; rm) echo "$@" > "$(dirname "$0")/rm";; esac"#,
    );
    let cancel = Cancel::new();
    let engine = Engine::with_program(program, Runner::new(cancel.clone())).unwrap();
    let trigger = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        cancel.cancel();
    });
    let error = engine.create(ContainerSpec { name: Some("c".into()), ..ContainerSpec::new("i") }).unwrap_err();
    trigger.join().unwrap();
    assert!(error.is_interrupted(), "{error}");
    assert_eq!(fs::read_to_string(directory.path().join("rm")).unwrap(), "rm --force --volumes c\n");
}

/// What the bake and `up` do with an engine, on an image of one static file.
#[test]
#[ignore = "needs a running engine"]
fn a_container_from_import_to_commit() {
    let engine = install::for_tests(&Runner::default());
    assert!(engine.facts().major().unwrap() >= 23);
    let base = base_image::for_tests(&engine);
    let base = base.as_str();
    let label = (labels::CLUSTER.to_owned(), guard::unique_name("test"));
    let spec = ContainerSpec {
        command: vec!["sh".into(), "-c".into(), "cat /inbox/hello; echo err >&2; cat /inbox/file; exit 3".into()],
        labels: vec![label.clone()],
        ports: vec![Publish { host_ip: Some([127, 0, 0, 1].into()), host_port: None, container_port: 8443 }],
        mounts: vec![Mount::Anonymous { target: "/data".into() }],
        network: Some("none".into()),
        pull: Some("never".into()),
        ..ContainerSpec::new(base)
    };
    let container = engine.create(spec).unwrap();

    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(6);
    header.set_mode(0o644);
    tar.append_data(&mut header, "inbox/hello", &b"hello\n"[..]).unwrap();
    let stream =
        CopyInto { source: "-".into(), container: container.name().into(), target: "/".into(), archive: false };
    engine.run_with_input(&stream, Input::Bytes(tar.into_inner().unwrap())).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "file\n").unwrap();
    let copy = CopyInto {
        source: file.path().into(),
        container: container.name().into(),
        target: "/inbox/file".into(),
        archive: false,
    };
    engine.run(&copy).unwrap();

    engine.run(&Start { container: container.name().into(), attach: false }).unwrap();
    let mut lines = Vec::new();
    engine
        .stream(&Logs::follow(container.name()), |line| {
            lines.push((line.stream, line.text.to_owned()));
            ControlFlow::Continue(())
        })
        .unwrap();
    lines.sort_by_key(|(stream, _)| *stream == Stream::Stderr);
    assert_eq!(
        lines,
        [(Stream::Stdout, "hello".into()), (Stream::Stdout, "file".into()), (Stream::Stderr, "err".to_owned())]
    );
    assert_eq!(engine.wait(container.name(), Some(Duration::from_secs(30))).unwrap(), 3);
    let state = engine.container(container.name()).unwrap().unwrap();
    assert_eq!((state.state.exit_code, state.state.running), (3, false));
    assert_eq!(state.mounts[0].destination, "/data");
    let volume = state.mounts[0].name.clone();
    let list = ContainerList { all: true, filters: vec![Filter::LabelIs(label.0, label.1)] };
    assert_eq!(engine.containers(&list).unwrap().len(), 1);
    // All three lines: the engine copies each stream by itself, so "err" may stand anywhere among them.
    assert!(engine.log_tail(container.name(), 3).unwrap().contains("err"));

    let image = ImageGuard::new(&engine, &format!("{}:v1", guard::unique_name("kubake/test")));
    let commit = Commit {
        container: container.name().into(),
        image: image.name().into(),
        changes: vec!["ENTRYPOINT [\"/bin/sleep\"]".into(), "CMD [\"300\"]".into(), "LABEL a=b".into()],
        message: Some("test".into()),
        pause: false,
    };
    engine.run(&commit).unwrap();
    let committed = engine.image(image.name()).unwrap().unwrap();
    assert_eq!((committed.labels["a"].as_str(), committed.entrypoint.len()), ("b", 1));
    let archive = tempfile::tempdir().unwrap();
    let output = TempFile::beside(&archive.path().join("image.tar"));
    engine.run(&Save { output: output.path().into(), images: vec![image.name().into()] }).unwrap();
    assert!(fs::metadata(output.persist().unwrap()).unwrap().len() > 1_000_000);

    let second = engine.create(ContainerSpec::new(image.name())).unwrap();
    engine.run(&Start { container: second.name().into(), attach: false }).unwrap();
    let exec = Exec {
        container: second.name().into(),
        command: vec!["cat".into()],
        interactive: true,
        timeout: Some(Duration::from_secs(30)),
        ..Exec::default()
    };
    let call = engine.call(&exec).input(Input::Bytes(b"through exec".to_vec()));
    assert_eq!(engine.runner().run_captured(call).unwrap(), "through exec");
    engine.run(&Stop { container: second.name().into(), timeout: Some(1) }).unwrap();
    second.remove().unwrap();

    let name = container.name().to_owned();
    drop(container);
    assert_eq!(engine.container(&name).unwrap(), None);
    assert!(!engine.volumes(&VolumeList::default()).unwrap().contains(&volume), "anonymous volumes go, too");
}

#[test]
#[ignore = "needs a running engine with BuildKit"]
fn a_build_streams_its_progress_and_can_be_cancelled() {
    let cancel = Cancel::new();
    let engine = install::for_tests(&Runner::new(cancel.clone()));
    let context = tempfile::tempdir().unwrap();
    fs::write(context.path().join("Dockerfile"), "FROM scratch\nARG NAME\nCOPY Dockerfile /$NAME\n").unwrap();
    let image = ImageGuard::new(&engine, &format!("{}:v1", guard::unique_name("kubake/test")));
    let mut build = Build::new(engine.builder().unwrap(), context.path());
    build.tags = vec![image.name().to_owned()];
    build.args = vec![("NAME".into(), "file".into())];
    build.labels = vec![("a".into(), "b".into())];
    build.progress = ProgressMode::RawJson;
    let mut json = 0;
    engine
        .stream(&build, |line| {
            json += usize::from(serde_json::from_str::<serde_json::Value>(line.text).is_ok());
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(json > 0);
    assert_eq!(engine.image(image.name()).unwrap().unwrap().labels["a"], "b");

    let base = base_image::for_tests(&engine);
    fs::write(context.path().join("Dockerfile"), format!("FROM {base}\nRUN echo started-$((1+1)); sleep 300\n"))
        .unwrap();
    let begin = std::time::Instant::now();
    let error = engine
        .stream(&Build::new(engine.builder().unwrap(), context.path()), |line| {
            if line.text.contains("started-2") {
                cancel.cancel();
            }
            ControlFlow::Continue(())
        })
        .unwrap_err();
    assert!(error.is_interrupted(), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(60));
}
