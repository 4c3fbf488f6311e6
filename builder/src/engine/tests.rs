//! Argument vectors of every command, and the engine against fakes and, where one runs, for real.

use std::ffi::OsStr;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kubake_contract::labels;

use crate::advice::Advice;
use crate::base_image;
use crate::install;
use crate::port::Protocol;
use crate::process::{Cancel, Input, Runner, Stream};

use super::cli::call;
use super::command::*;
use super::find::find_program;
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
            Publish {
                host_ip: Some([127, 0, 0, 1].into()),
                host_port: Some(8443),
                container_port: 8443,
                protocol: Protocol::Tcp,
            },
            Publish {
                host_ip: Some([127, 0, 0, 1].into()),
                host_port: None,
                container_port: 10080,
                protocol: Protocol::Tcp,
            },
            Publish {
                host_ip: Some("::1".parse().unwrap()),
                host_port: Some(1),
                container_port: 2,
                protocol: Protocol::Tcp,
            },
            Publish { host_ip: None, host_port: None, container_port: 2375, protocol: Protocol::Tcp },
            Publish { host_ip: None, host_port: Some(5), container_port: 6, protocol: Protocol::Tcp },
        ],
        network: Some("n".into()),
        hostname: Some("kind".into()),
        cgroupns: Some("private".into()),
        stop_timeout: Some(60),
        restart: Some("no".into()),
        pull: Some("never".into()),
        id_file: Some("/tmp/id".into()),
        ..ContainerSpec::new("kubake:v1")
    };
    let mut build = Build::new(Builder::Buildx, "/src");
    build.dockerfile = Some("/src/Dockerfile".into());
    build.target = Some("appliance".into());
    build.tags = vec!["kubake/appliance:v1.36.3".into()];
    build.args = vec![("KUBERNETES".into(), "v1.36.3".into())];
    build.args_of_environment = vec!["HTTPS_PROXY".into()];
    build.instance = Some("default".into());
    build.secret_args = vec![("GOPROXY".into(), "https://me:hunter22@proxy".into())];
    build.labels = vec![(labels::STAGE.into(), "appliance".into())];
    build.secrets = vec![("ca".into(), "/etc/ca.pem".into())];
    let builtin = Build { builder: Builder::BuiltIn, ..build.clone() };
    let podman = Build { builder: Builder::Podman, ..build.clone() };
    let tree =
        Build { target: Some("helm".into()), tree: Some("/t/helm.tar".into()), ..Build::new(Builder::Buildx, "/src") };
    let lines = [
        line(&Info),
        line(&ContextInspect),
        line(&ImageInspect { images: vec!["a".into(), "b".into()] }),
        line(&ImageList { filters: vec![Filter::LabelIs(labels::STAGE.into(), "baked".into())] }),
        line(&Tag { image: "a".into(), name: "b".into() }),
        line(&RemoveImage { images: vec!["a".into()], force: true }),
        line(&Import {
            archive: "-".into(),
            name: "a".into(),
            changes: vec!["CMD [\"bash\"]".into()],
            message: Some("m".into()),
        }),
        line(&Save { output: "a.tar".into(), images: vec!["a".into(), "b".into()], multi_image: false }),
        line(&Save { output: "a.tar".into(), images: vec!["a".into(), "b".into()], multi_image: true }),
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
        line(&ContainerList { all: true, filters: vec![Filter::LabelIs(labels::CLUSTER.into(), "dev".into())] }),
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
        line(&VolumeList { filters: vec![Filter::LabelIs("a".into(), "b".into())] }),
        line(&VolumeRemove { names: vec!["v".into()] }),
    ];
    insta::assert_snapshot!(lines.join("\n"), @r#"
    docker info --format '{{json .}}'
    docker context inspect --format '{{.Endpoints.docker.Host}} {{.Name}}'
    docker image inspect a b
    docker image ls --quiet --no-trunc --filter label=io.kubake.stage=baked
    docker tag a b
    docker image rm --force a
    docker import --change 'CMD ["bash"]' --message m - a
    docker save --output a.tar a b
    docker save --multi-image-archive --output a.tar a b
    docker pull --quiet a
    docker buildx build --load --builder default --progress plain --file /src/Dockerfile --target appliance --tag kubake/appliance:v1.36.3 --label io.kubake.stage=appliance --build-arg KUBERNETES=v1.36.3 --build-arg HTTPS_PROXY --build-arg GOPROXY --secret id=ca,src=/etc/ca.pem /src
    DOCKER_BUILDKIT=1 docker build --progress plain --file /src/Dockerfile --target appliance --tag kubake/appliance:v1.36.3 --label io.kubake.stage=appliance --build-arg KUBERNETES=v1.36.3 --build-arg HTTPS_PROXY --build-arg GOPROXY --secret id=ca,src=/etc/ca.pem /src
    docker build --file /src/Dockerfile --target appliance --tag kubake/appliance:v1.36.3 --label io.kubake.stage=appliance --build-arg KUBERNETES=v1.36.3 --build-arg HTTPS_PROXY --build-arg GOPROXY --secret id=ca,src=/etc/ca.pem /src
    docker buildx build --output type=tar,dest=/t/helm.tar --progress plain --target helm /src
    docker create --name kubake-dev --cidfile /tmp/id --privileged --pull never --network n --hostname kind --cgroupns private --stop-timeout 60 --restart no --env 'A=1 2' --env REGISTRY_PASSWORD --label io.kubake.cluster=dev --publish 127.0.0.1:8443:8443 --publish 127.0.0.1::10080 --publish '[::1]:1:2' --publish 2375 --publish 5:6 --entrypoint /bin/sh kubake:v1 --flag
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
    docker ps --quiet --no-trunc --all --filter label=io.kubake.cluster=dev
    docker commit --pause=false --message m --change 'ENTRYPOINT ["/x"]' c a
    docker exec --interactive --env A=b c cat -
    docker volume ls --quiet --filter label=a=b
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
    // Through a child: a file that this process has open for writing is also open in children of other tests (ETXTBSY).
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
fn a_container_that_the_engine_registers_after_its_client_has_ended_is_removed() {
    let (directory, program) = fake(
        r#"d="$(dirname "$0")"; case "$1" in info) echo '{"ServerVersion":"26.1"}';; context) ;; create) touch "$d/asked"; sleep 30;;
            ps) echo "$@" >> "$d/ps"; [ "$(wc -l < "$d/ps")" -ge 3 ] && echo 2f;; rm) echo "$@" > "$d/rm";; esac"#,
    );
    let cancel = Cancel::new();
    let engine = Engine::with_program(program, Runner::new(cancel.clone())).unwrap();
    let asked = directory.path().join("asked");
    let trigger = std::thread::spawn(move || {
        while !asked.exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
        cancel.cancel();
    });
    let error = ContainerGuard::create(&engine, ContainerSpec::new("i")).unwrap_err();
    trigger.join().unwrap();
    assert!(error.is_interrupted(), "{error}");
    assert_eq!(fs::read_to_string(directory.path().join("rm")).unwrap(), "rm --force --volumes 2f\n");
    let list = fs::read_to_string(directory.path().join("ps")).unwrap();
    assert!(list.starts_with("ps --quiet --no-trunc --all --filter label=io.kubake.creation=creation-"), "{list}");
}

#[test]
fn a_name_that_another_container_has_removes_nothing() {
    let (directory, program) = fake(
        r#"case "$1" in info) echo '{"ServerVersion":"26.1"}';; context) ;;
            create) echo 'The container name "/c" is already in use' >&2; exit 125;; rm) touch "$(dirname "$0")/rm";; esac"#,
    );
    let engine = Engine::with_program(program, Runner::default()).unwrap();
    ContainerGuard::create(&engine, ContainerSpec { name: Some("c".into()), ..ContainerSpec::new("i") }).unwrap_err();
    assert!(!directory.path().join("rm").exists());
}

#[test]
fn a_guard_removes_what_an_interrupted_create_left() {
    let (directory, program) = fake(
        r#"case "$1" in info) echo '{"ServerVersion":"26.1"}';; context) ;; create) while [ "$1" != --cidfile ]; do shift; done; printf 1f > "$2"; sleep 30;; rm) echo "$@" > "$(dirname "$0")/rm";; esac"#,
    );
    let cancel = Cancel::new();
    let engine = Engine::with_program(program, Runner::new(cancel.clone())).unwrap();
    let trigger = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        cancel.cancel();
    });
    let error = ContainerGuard::create(&engine, ContainerSpec { name: Some("c".into()), ..ContainerSpec::new("i") })
        .unwrap_err();
    trigger.join().unwrap();
    assert!(error.is_interrupted(), "{error}");
    assert_eq!(fs::read_to_string(directory.path().join("rm")).unwrap(), "rm --force --volumes 1f\n");
}

/// What the bake and `up` do with an engine, on an image of one static file.
#[test]
#[ignore = "needs a running engine"]
fn a_container_from_import_to_commit() {
    let engine = install::for_tests(&Runner::default());
    assert!(engine.facts().major().unwrap() >= engine.facts().flavour.oldest_version());
    let base = base_image::for_tests(&engine);
    let base = base.as_str();
    let label = (labels::CLUSTER.to_owned(), guard::unique_name("test"));
    let spec = ContainerSpec {
        command: vec!["sh".into(), "-c".into(), "cat /inbox/hello; echo err >&2; cat /inbox/file; exit 3".into()],
        labels: vec![label.clone()],
        ports: vec![Publish {
            host_ip: Some([127, 0, 0, 1].into()),
            host_port: None,
            container_port: 8443,
            protocol: Protocol::Tcp,
        }],
        network: Some("none".into()),
        pull: Some("never".into()),
        ..ContainerSpec::new(base)
    };
    let container = ContainerGuard::create(&engine, spec).unwrap();

    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(6);
    header.set_mode(0o644);
    tar.append_data(&mut header, "inbox/hello", &b"hello\n"[..]).unwrap();
    let stream = CopyInto { source: "-".into(), container: container.id().into(), target: "/".into(), archive: false };
    engine.run_with_input(&stream, Input::Bytes(tar.into_inner().unwrap())).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "file\n").unwrap();
    let copy = CopyInto {
        source: file.path().into(),
        container: container.id().into(),
        target: "/inbox/file".into(),
        archive: false,
    };
    engine.run(&copy).unwrap();

    engine.run(&Start { container: container.id().into(), attach: false }).unwrap();
    let mut lines = Vec::new();
    engine
        .stream(&Logs::follow(container.id()), |line| {
            lines.push((line.stream, line.text.to_owned()));
            ControlFlow::Continue(())
        })
        .unwrap();
    lines.sort_by_key(|(stream, _)| *stream == Stream::Stderr);
    assert_eq!(
        lines,
        [(Stream::Stdout, "hello".into()), (Stream::Stdout, "file".into()), (Stream::Stderr, "err".to_owned())]
    );
    assert_eq!(engine.wait(container.id(), Some(Duration::from_secs(30))).unwrap(), 3);
    let state = engine.container(container.id()).unwrap().unwrap();
    assert_eq!((state.state.exit_code, state.state.running), (3, false));
    let list = ContainerList { all: true, filters: vec![Filter::LabelIs(label.0, label.1)] };
    assert_eq!(engine.containers(&list).unwrap().len(), 1);
    // All three lines: the engine copies each stream by itself, so "err" may stand anywhere among them.
    assert!(engine.log_tail(container.id(), 3).unwrap().contains("err"));

    let image = ImageGuard::new(&engine, &format!("{}:v1", guard::unique_name("kubake/test")));
    let commit = Commit {
        container: container.id().into(),
        image: image.name().into(),
        changes: vec![
            "ENTRYPOINT [\"/bin/sleep\"]".into(),
            "CMD [\"300\"]".into(),
            "LABEL a=b".into(),
            "VOLUME /data".into(),
        ],
        message: Some("test".into()),
        pause: false,
    };
    engine.run(&commit).unwrap();
    let committed = engine.image(image.name()).unwrap().unwrap();
    assert_eq!((committed.labels["a"].as_str(), committed.entrypoint.len()), ("b", 1));
    let archive = tempfile::tempdir().unwrap();
    let output = TempFile::beside(&archive.path().join("image.tar"));
    engine.save(output.path(), vec![image.name().into()]).unwrap();
    assert!(fs::metadata(output.persist().unwrap()).unwrap().len() > 1_000_000);

    let second = ContainerGuard::create(&engine, ContainerSpec::new(image.name())).unwrap();
    engine.run(&Start { container: second.id().into(), attach: false }).unwrap();
    let exec = Exec {
        container: second.id().into(),
        command: vec!["cat".into()],
        interactive: true,
        timeout: Some(Duration::from_secs(30)),
        ..Exec::default()
    };
    let call = engine.call(&exec).input(Input::Bytes(b"through exec".to_vec()));
    assert_eq!(engine.runner().run_captured(call).unwrap(), "through exec");
    engine.run(&Stop { container: second.id().into(), timeout: Some(1) }).unwrap();
    let mounts = engine.container(second.id()).unwrap().unwrap().mounts;
    assert_eq!(mounts[0].destination, "/data");
    second.remove().unwrap();
    assert!(!engine.volumes(&VolumeList::default()).unwrap().contains(&mounts[0].name), "anonymous volumes go, too");

    let id = container.id().to_owned();
    drop(container);
    assert_eq!(engine.container(&id).unwrap(), None);
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
    let mut steps = 0;
    engine
        .stream(&build, |line| {
            steps += usize::from(line.text.starts_with('#') || line.text.starts_with("STEP"));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(steps > 0);
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
