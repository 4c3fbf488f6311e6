//! Tests of snapshots and conflicts, and (as root, in network namespaces of their own) of the changes.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use kubake_contract::{ClusterSettings, Node};
use nix::sched::{CloneFlags, unshare};

use super::attach::{attach, detach};
use super::conflicts::conflicts;
use super::error::NetError;
use super::plan::Plan;
use super::snapshot::{LOOPBACK, Route, Snapshot, Uplink};
use crate::cni::interfaces;

fn plan() -> Plan {
    let settings = ClusterSettings::default();
    Plan::new(&settings, &Node::control_plane(&settings))
}

fn route(destination: &str, gateway: Option<&str>, interface: &str) -> Route {
    Route {
        destination: destination.parse().unwrap(),
        interface: interface.to_owned(),
        gateway: gateway.map(|gateway| gateway.parse().unwrap()),
        metric: 0,
    }
}

fn there(addresses: &[(&str, &str)], routes: Vec<Route>) -> Snapshot {
    Snapshot {
        links: HashMap::from([("eth0".to_owned(), 1450), (LOOPBACK.to_owned(), 65536)]),
        addresses: addresses.iter().map(|(address, name)| (address.parse().unwrap(), (*name).to_owned())).collect(),
        routes,
    }
}

#[test]
fn networks_are_those_without_a_gateway_outside_the_cluster() {
    let routes = vec![
        route("0.0.0.0/0", Some("172.17.0.1"), "eth0"),
        route("172.17.0.0/16", None, "eth0"),
        route("192.0.2.0/24", Some("172.17.0.9"), "eth0"),
        route("10.96.0.0/12", None, LOOPBACK),
        route("10.244.0.0/24", None, interfaces::BRIDGE),
    ];
    let networks: Vec<String> = there(&[], routes).connected().map(|network| network.to_string()).collect();
    assert_eq!(networks, ["172.17.0.0/16"]);
}

#[test]
fn what_conflicts_and_what_does_not() {
    let usual = || route("172.17.0.0/16", None, "eth0");
    for (addresses, routes, expected) in [
        // An ordinary container.
        (vec![("172.17.0.2", "eth0")], vec![usual(), route("0.0.0.0/0", Some("172.17.0.1"), "eth0")], vec![]),
        // The addresses and routes of an earlier boot.
        (
            vec![("172.30.99.1", "lo"), ("10.244.0.1", "cni0")],
            vec![route("10.96.0.0/12", None, "lo"), route("10.244.0.0/24", None, "cni0")],
            vec![],
        ),
        // The halves of a VPN's default route, and a company network behind a wide route.
        (
            vec![],
            vec![route("128.0.0.0/1", Some("192.0.2.1"), "tun0"), route("10.0.0.0/8", Some("192.0.2.1"), "eth0")],
            vec![],
        ),
        (
            vec![("172.30.99.1", "eth0")],
            vec![],
            vec!["the static IP 172.30.99.1 is already the address of interface eth0"],
        ),
        (
            vec![("172.30.99.2", "eth0")],
            vec![route("172.30.99.0/24", None, "eth0")],
            vec!["the static IP 172.30.99.1 belongs to a network outside (route 172.30.99.0/24 dev eth0)"],
        ),
        // A pod of a cluster with the same defaults.
        (
            vec![("10.244.3.7", "eth0")],
            vec![route("10.244.0.0/16", Some("10.244.3.1"), "eth0")],
            vec![
                "the pod subnet 10.244.0.0/16 overlaps a network outside (route 10.244.0.0/16 via 10.244.3.1 dev eth0)",
                "the pod subnet 10.244.0.0/16 holds the container's own address 10.244.3.7 (interface eth0)",
            ],
        ),
        (
            vec![],
            vec![route("10.100.0.0/16", None, "eth1"), route("10.97.0.0/16", Some("192.0.2.1"), "eth0")],
            vec![
                "the service subnet 10.96.0.0/12 overlaps a network outside (route 10.100.0.0/16 dev eth1)",
                "the service subnet 10.96.0.0/12 overlaps a network outside (route 10.97.0.0/16 via 192.0.2.1 dev eth0)",
            ],
        ),
    ] {
        let found = conflicts(&plan(), &there(&addresses, routes));
        let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), expected.len(), "{texts:?}");
        for (text, start) in texts.iter().zip(expected) {
            assert!(text.starts_with(start), "{text}");
            assert!(text.contains("; connect the container to another network, or bake with another one"), "{text}");
        }
    }
}

#[test]
fn a_name_server_among_the_services_is_a_conflict() {
    let plan = Plan { must_reach: vec![Ipv4Addr::new(10, 96, 0, 10)], ..plan() };
    let error = NetError::Conflicts(conflicts(&plan, &there(&[], Vec::new()))).to_string();
    assert!(error.contains("holds 10.96.0.10, which the container needs outside"), "{error}");
    assert!(error.contains("kubake bake --service-subnet"), "{error}");
    assert!(error.ends_with("set KUBAKE_STATIC_IP_CHECK=off"), "{error}");
}

#[test]
fn a_bridge_that_is_there_has_an_address_and_a_network() {
    let mut there = there(&[], vec![route("172.17.0.0/16", None, "docker0")]);
    there.addresses.push((Ipv4Addr::new(172, 17, 0, 1), "docker0".to_owned()));
    assert_eq!(there.network_of("docker0"), Some("172.17.0.1/16".parse().unwrap()));
    assert_eq!(there.network_of("eth7"), None);
}

#[test]
fn uplink_is_the_best_default_route() {
    let mut worse = route("0.0.0.0/0", Some("192.0.2.9"), "wlan0");
    worse.metric = 600;
    let there = there(&[], vec![worse, route("0.0.0.0/0", Some("192.0.2.1"), "eth0")]);
    let uplink = there.uplink().unwrap();
    assert_eq!((uplink.interface.as_str(), uplink.mtu), ("eth0", 1450));
    assert_eq!(Snapshot::default().uplink(), None);
}

/// Runs `test` in a network namespace of its own, which only the calling thread enters.
fn in_namespace(test: impl FnOnce(&tokio::runtime::Runtime) + Send + 'static) {
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        test(&tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn run(command: &str) -> String {
    let output = Command::new("/bin/sh").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Sets up a container's usual network: `eth0` with a default route.
fn outside(address: &str, gateway: &str) {
    run(&format!(
        "ip link set lo up; ip link add eth0 mtu 1450 type veth peer name far0 && ip link set far0 up && \
         ip addr add {address} dev eth0 && ip link set eth0 up && ip route add default via {gateway}"
    ));
}

#[test]
#[ignore = "needs root"]
fn attaching_twice_is_attaching_once() {
    in_namespace(|runtime| {
        run("ip link set lo down");
        outside("192.0.2.7/24", "192.0.2.1");
        let report = runtime.block_on(attach(&plan(), true, || {})).unwrap();
        let state = || (run("ip -4 addr show dev lo"), run("ip route"));
        let first = state();
        assert_eq!(runtime.block_on(attach(&plan(), true, || {})).unwrap(), report);
        assert_eq!(state(), first);
        assert!(first.0.contains("inet 172.30.99.1/32 scope global lo"), "{}", first.0);
        assert!(first.0.contains("UP"), "{}", first.0);
        for line in [
            "10.96.0.0/12 dev lo scope link src 172.30.99.1 metric 4096",
            "10.244.0.0/16 dev lo scope link src 172.30.99.1 metric 4096",
        ] {
            assert!(first.1.split('\n').any(|route| route.replace(" proto static", "").trim() == line), "{}", first.1);
        }
        assert_eq!(
            report.uplink,
            Some(Uplink { interface: "eth0".to_owned(), mtu: 1450, gateway: Some(Ipv4Addr::new(192, 0, 2, 1)) })
        );
        assert_eq!(report.addresses, [Ipv4Addr::new(192, 0, 2, 7)]);
    });
}

#[test]
#[ignore = "needs root"]
fn detaching_leaves_what_was_there_before() {
    in_namespace(|runtime| {
        run("ip link set lo up");
        outside("192.0.2.7/24", "192.0.2.1");
        // A user's route for one of the same subnets.
        run("ip route add 10.96.0.0/12 via 192.0.2.1 metric 9000");
        let state = || (run("ip -4 addr show dev lo"), run("ip route"));
        let before = state();
        runtime.block_on(attach(&plan(), false, || {})).unwrap();
        assert_ne!(state(), before);
        runtime.block_on(detach(&plan())).unwrap();
        assert_eq!(state(), before);
        runtime.block_on(detach(&plan())).unwrap();
        assert_eq!(state(), before, "the second call has nothing to do");
    });
}

#[test]
#[ignore = "needs root"]
fn a_conflict_changes_nothing_unless_the_check_is_off() {
    in_namespace(|runtime| {
        outside("172.30.99.5/24", "172.30.99.254");
        let before = (run("ip addr show dev lo"), run("ip route"));
        let error = runtime.block_on(attach(&plan(), true, || panic!("it changes something"))).unwrap_err().to_string();
        assert!(error.contains("route 172.30.99.0/24 dev eth0"), "{error}");
        assert!(error.contains("kubake bake --static-ip"), "{error}");
        assert_eq!((run("ip addr show dev lo"), run("ip route")), before);
        // Announced before anything is changed, so that a half-attached network can be taken back.
        let announced = std::cell::Cell::new(String::new());
        let report = runtime.block_on(attach(&plan(), false, || announced.set(run("ip addr show dev lo")))).unwrap();
        assert_eq!(announced.take(), before.0);
        assert_eq!(report.ignored.len(), 1);
        assert!(run("ip addr show dev lo").contains("172.30.99.1/32"));
    });
}

#[test]
#[ignore = "needs root"]
fn without_a_network_there_is_no_uplink() {
    in_namespace(|runtime| {
        let report = runtime.block_on(attach(&plan(), true, || {})).unwrap();
        assert_eq!((report.uplink, report.addresses), (None, Vec::new()));
    });
}

fn serve(listener: TcpListener, name: &'static str) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            stream.unwrap().write_all(name.as_bytes()).unwrap();
        }
    });
}

fn ask(address: &str) -> Result<String, std::io::Error> {
    let address: SocketAddr = address.parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(500))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// Runs `test` on another thread in a fresh namespace whose `eth0` is the other end of `name` here.
fn neighbour<T: Send + 'static>(name: &str, setup: &str, test: impl FnOnce() -> T + Send + 'static) -> T {
    let (tid_sender, tid) = std::sync::mpsc::channel();
    let (go, ready) = std::sync::mpsc::channel::<()>();
    let setup = setup.to_owned();
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        tid_sender.send(nix::unistd::gettid()).unwrap();
        ready.recv().unwrap();
        run(&setup);
        test()
    });
    run(&format!("ip link add {name} type veth peer name eth0 netns {} && ip link set {name} up", tid.recv().unwrap()));
    go.send(()).unwrap();
    thread.join().unwrap()
}

/// Without kube-proxy's rules no packet leaks out of the container, and with them all services work.
#[test]
#[ignore = "needs root"]
fn services_never_leak_and_dnat_still_works() {
    in_namespace(|runtime| {
        run("ip link set lo up");
        let outsider = neighbour(
            "eth0",
            "ip link set lo up; ip link set eth0 up; ip addr add 192.0.2.1/24 dev eth0; ip addr add 10.96.0.1/32 dev lo",
            || TcpListener::bind("10.96.0.1:443").unwrap(),
        );
        run("ip addr add 192.0.2.2/24 dev eth0; ip route add default via 192.0.2.1");
        serve(outsider, "outsider");
        assert_eq!(
            ask("10.96.0.1:443").unwrap(),
            "outsider",
            "without the routes a host outside must answer, or the test proves nothing"
        );

        runtime.block_on(attach(&plan(), true, || {})).unwrap();
        // /proc/sys/net belongs to the namespace of the process that opens it.
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        run("ip link add cni0 type bridge && ip addr add 10.244.0.1/24 dev cni0 && ip link set cni0 up");
        let in_pod = "ip link set lo up; ip link set eth0 up; ip addr add 10.244.0.5/24 dev eth0; \
                      ip route add default via 10.244.0.1";
        let pod = neighbour("pod0", in_pod, || TcpListener::bind("10.244.0.5:53").unwrap());
        run("ip link set pod0 master cni0");
        serve(pod, "pod");
        serve(TcpListener::bind("172.30.99.1:8443").unwrap(), "api");

        // Counts packets that leave for cluster addresses; interface counters would include IPv6 housekeeping.
        run("iptables -t mangle -A POSTROUTING -o eth0 -d 10.0.0.0/8");
        let leaked = || run("iptables -t mangle -vxnL POSTROUTING | awk '/eth0/ { print $1 }'");
        for address in ["10.96.0.1:443", "10.96.0.10:53", "10.244.7.7:53"] {
            let answer = ask(address);
            assert!(answer.is_err(), "{address}: {answer:?}");
        }
        assert_eq!(leaked(), "0\n", "a packet left by eth0");

        for chain in ["OUTPUT", "PREROUTING"] {
            run(&format!(
                "iptables -t nat -A {chain} -d 10.96.0.1 -p tcp --dport 443 -j DNAT --to 172.30.99.1:8443 && \
                 iptables -t nat -A {chain} -d 10.96.0.10 -p tcp --dport 53 -j DNAT --to 10.244.0.5:53"
            ));
        }
        run("iptables -t nat -A POSTROUTING ! -s 10.244.0.0/16 -d 10.244.0.5 -j MASQUERADE");
        assert_eq!(ask("10.96.0.1:443").unwrap(), "api", "host process to a host listener");
        assert_eq!(ask("10.96.0.10:53").unwrap(), "pod", "host process to a pod");
        assert_eq!(ask("10.244.0.5:53").unwrap(), "pod", "host process to a pod's own address");
        let (go, ready) = std::sync::mpsc::channel::<()>();
        // A second pod connects to the bridge and then sends requests.
        let asking = std::thread::scope(|_| {
            neighbour("pod1", &in_pod.replace("0.5/24", "0.6/24"), move || {
                std::thread::spawn(move || {
                    ready.recv().unwrap();
                    (ask("10.96.0.1:443"), ask("10.96.0.10:53"), ask("10.96.0.99:443"))
                })
            })
        });
        run("ip link set pod1 master cni0");
        go.send(()).unwrap();
        let (api, dns, unused) = asking.join().unwrap();
        assert_eq!((api.unwrap().as_str(), dns.unwrap().as_str()), ("api", "pod"));
        assert!(unused.is_err(), "{unused:?}");
        assert_eq!(leaked(), "0\n", "a packet left by eth0");
    });
}
