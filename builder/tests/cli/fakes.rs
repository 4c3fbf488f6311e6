//! Engines and clusters that only answer: what `docker` and a cluster's ports say in a test.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use super::program::Test;

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
pub(crate) fn measured_engine(test: Test, stopped: i32) -> Test {
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

/// A ready cluster that gives its kubeconfig to clients with the token, on a port of its own.
pub(crate) fn guarded_cluster(token: &'static str) -> u16 {
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
pub(crate) fn engine_for_up(test: Test, port: u16) -> Test {
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
