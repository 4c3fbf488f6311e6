//! The node's fixed address, and routes that keep cluster addresses inside the container. The only module that names
//! rtnetlink. Never touches an interface other than `lo`, a default route or a rule of netfilter.
//!
//! **Why `lo`.** An address on `lo` survives whatever an engine does to `eth0`, needs no kernel module (a dummy
//! interface does) and is there with `--network none` too.
//!
//! **Why the routes, and why of this kind.** Before kube-proxy's rules exist, a packet to a service address would take
//! the default route out of the container and reach whoever has that address out there. `SUBNET dev lo src STATIC_IP`
//! ends it in here. What else was tried in a network namespace, with an iptables DNAT rule as kube-proxy makes it:
//!
//! | route | without rules: host process, pod | with rules: host process, pod |
//! |---|---|---|
//! | none | a stranger answers | work |
//! | `unreachable` | fail at once | host process **fails**: the look-up comes before nat's OUTPUT chain; pod works |
//! | `local` | refused, unless something listens on 0.0.0.0: then *that* answers; every service address counts as local, so kube-proxy's NodePort rules match it | work |
//! | `dev lo` | dropped (time-out), "no route to host" at once | work |

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use futures_util::{Stream, TryStreamExt};
use ipnet::Ipv4Net;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteScope, RouteType};
use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};

use crate::contract::{ClusterSettings, env};

/// The bridge to which CNI connects pods. Its addresses and routes lie in the pod subnet by right.
pub const CNI_BRIDGE: &str = "cni0";

const LOOPBACK: &str = "lo";

/// Metric of our routes: any route that somebody else makes for the same subnet wins (the kernel's own for CNI's
/// bridge has metric 0).
const METRIC: u32 = 4096;

/// The kernel answers within milliseconds; this only keeps a boot from hanging for ever on one that does not.
const LIMIT: Duration = Duration::from_secs(10);

/// What [`attach`] is to bring about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The node's address.
    pub static_ip: Ipv4Addr,
    /// Service addresses.
    pub service_subnet: Ipv4Net,
    /// Pod addresses.
    pub pod_subnet: Ipv4Net,
    /// Addresses outside that the container needs, such as its name servers: they must not lie in the subnets.
    pub must_reach: Vec<Ipv4Addr>,
}

impl From<&ClusterSettings> for Plan {
    fn from(settings: &ClusterSettings) -> Self {
        Self {
            static_ip: settings.static_ip,
            service_subnet: settings.service_subnet,
            pod_subnet: settings.pod_subnet,
            must_reach: Vec::new(),
        }
    }
}

/// What there is after [`attach`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Where the default route leads; none with `--network none`.
    pub uplink: Option<Uplink>,
    /// The container's own IPv4 addresses, without loopback's, the static IP and those of [`CNI_BRIDGE`].
    pub addresses: Vec<Ipv4Addr>,
    /// The networks that it is connected to, without those of the cluster.
    pub networks: Vec<Ipv4Net>,
    /// Conflicts that were found and, as the check was off, ignored.
    pub ignored: Vec<Conflict>,
}

/// The interface of the default route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uplink {
    /// Its name, such as `eth0`.
    pub interface: String,
    /// Its largest packet in bytes; pods and inner Docker networks must not exceed it.
    pub mtu: u32,
    /// The gateway, where the route has one.
    pub gateway: Option<Ipv4Addr>,
}

/// What [`attach`] can fail with.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The addresses we need mean something else here. Nothing was changed.
    #[error("{}", Conflicts(.0))]
    Conflicts(Vec<Conflict>),
    /// No connection to the kernel's routing.
    #[error("cannot open a netlink socket; run the container with --privileged")]
    Connect(#[source] std::io::Error),
    /// The kernel refused a request.
    #[error("cannot {action}; run the container with --privileged")]
    Kernel {
        /// What was asked for.
        action: String,
        /// The kernel's answer.
        #[source]
        source: Box<rtnetlink::Error>,
    },
    /// There is no loopback interface.
    #[error("interface lo does not exist; start the container with a network namespace of its own")]
    NoLoopback,
    /// The kernel did not answer.
    #[error("the kernel did not answer netlink requests within {} s; restart the container", LIMIT.as_secs())]
    Timeout,
}

/// One reason why an address cannot be ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// Another interface has the static IP.
    AddressTaken {
        /// The static IP.
        static_ip: Ipv4Addr,
        /// Who has it.
        interface: String,
    },
    /// The static IP belongs to a network that is reached otherwise.
    StaticIpRouted {
        /// The static IP.
        static_ip: Ipv4Addr,
        /// The route.
        route: Route,
    },
    /// A subnet of the cluster overlaps a network that is reached otherwise.
    SubnetRouted {
        /// Which one.
        subnet: Subnet,
        /// Its addresses.
        range: Ipv4Net,
        /// The route.
        route: Route,
    },
    /// The container's own address lies in a subnet of the cluster.
    AddressInSubnet {
        /// Which one.
        subnet: Subnet,
        /// Its addresses.
        range: Ipv4Net,
        /// The container's address.
        address: Ipv4Addr,
        /// The interface that has it.
        interface: String,
    },
    /// Something the container needs lies in a subnet of the cluster.
    Unreachable {
        /// Which one.
        subnet: Subnet,
        /// Its addresses.
        range: Ipv4Net,
        /// What would be cut off, such as a name server.
        address: Ipv4Addr,
    },
}

/// One of the cluster's two subnets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subnet {
    /// Of services.
    Service,
    /// Of pods.
    Pod,
}

impl Subnet {
    /// The option of `kubake bake` that sets it.
    fn option(self) -> &'static str {
        match self {
            Self::Service => "--service-subnet",
            Self::Pod => "--pod-subnet",
        }
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Service => "service subnet",
            Self::Pod => "pod subnet",
        })
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddressTaken { static_ip, interface } => {
                write!(f, "the static IP {static_ip} is already the address of interface {interface}")
            }
            Self::StaticIpRouted { static_ip, route } => {
                write!(f, "the static IP {static_ip} belongs to a network outside ({route})")
            }
            Self::SubnetRouted { subnet, range, route } => {
                write!(f, "the {subnet} {range} overlaps a network outside ({route})")
            }
            Self::AddressInSubnet { subnet, range, address, interface } => {
                write!(f, "the {subnet} {range} holds the container's own address {address} (interface {interface})")
            }
            Self::Unreachable { subnet, range, address } => {
                write!(f, "the {subnet} {range} holds {address}, which the container needs outside")
            }
        }?;
        let option = match self {
            Self::AddressTaken { .. } | Self::StaticIpRouted { .. } => "--static-ip",
            Self::SubnetRouted { subnet, .. }
            | Self::AddressInSubnet { subnet, .. }
            | Self::Unreachable { subnet, .. } => subnet.option(),
        };
        write!(f, "; connect the container to another network, or bake with another one: kubake bake {option} ...")
    }
}

/// All conflicts and, once, how to go on regardless.
struct Conflicts<'a>(&'a [Conflict]);

impl fmt::Display for Conflicts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for conflict in self.0 {
            writeln!(f, "{conflict}")?;
        }
        write!(f, "to start regardless, set {}=off", env::STATIC_IP_CHECK)
    }
}

/// A route, as far as conflicts go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where it leads.
    pub destination: Ipv4Net,
    /// The interface it leaves by.
    pub interface: String,
    /// The next hop; none when the network is connected.
    pub gateway: Option<Ipv4Addr>,
    /// Lower wins among routes to the same destination.
    pub metric: u32,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route {}", self.destination)?;
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        write!(f, " dev {}", self.interface)
    }
}

impl Route {
    /// Default, or one of the two halves that VPN clients put in its place.
    fn is_default(&self) -> bool {
        self.destination.prefix_len() <= 1
    }

    /// Whether it leads somewhere that is not ours.
    fn is_foreign(&self) -> bool {
        self.interface != LOOPBACK && self.interface != CNI_BRIDGE && !self.is_default()
    }
}

/// What the kernel has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Snapshot {
    /// MTU by name.
    links: HashMap<String, u32>,
    /// Addresses and the interface of each.
    addresses: Vec<(Ipv4Addr, String)>,
    /// Unicast routes of the main table.
    routes: Vec<Route>,
}

impl Snapshot {
    fn uplink(&self) -> Option<Uplink> {
        let route = self
            .routes
            .iter()
            .filter(|route| route.is_default() && route.interface != LOOPBACK)
            .min_by_key(|route| (route.destination.prefix_len(), route.metric))?;
        Some(Uplink {
            interface: route.interface.clone(),
            mtu: self.links.get(&route.interface).copied()?,
            gateway: route.gateway,
        })
    }

    /// Networks whose members are reached without a gateway.
    fn connected(&self) -> impl Iterator<Item = Ipv4Net> {
        let routes = self.routes.iter().filter(|route| route.is_foreign() && route.gateway.is_none());
        routes.map(|route| route.destination)
    }

    fn foreign_addresses(&self) -> impl Iterator<Item = &(Ipv4Addr, String)> {
        self.addresses
            .iter()
            .filter(|(address, interface)| !address.is_loopback() && interface != LOOPBACK && interface != CNI_BRIDGE)
    }
}

/// Every reason why `plan` does not fit what is there.
fn conflicts(plan: &Plan, there: &Snapshot) -> Vec<Conflict> {
    let static_ip = plan.static_ip;
    let mut found = Vec::new();
    for (_, interface) in there.foreign_addresses().filter(|(address, _)| *address == static_ip) {
        found.push(Conflict::AddressTaken { static_ip, interface: interface.clone() });
    }
    for route in there.routes.iter().filter(|route| route.is_foreign() && route.destination.contains(&static_ip)) {
        found.push(Conflict::StaticIpRouted { static_ip, route: route.clone() });
    }
    for (subnet, range) in [(Subnet::Service, plan.service_subnet), (Subnet::Pod, plan.pod_subnet)] {
        for route in there.routes.iter().filter(|route| route.is_foreign()) {
            let overlaps = range.contains(&route.destination.network()) || route.destination.contains(&range.network());
            // A wide route to a gateway (10.0.0.0/8 to the company) loses against ours and hides only what it must.
            // A connected network, or a part of our range that somebody made a point of routing, is really used.
            let is_used = route.gateway.is_none() || route.destination.prefix_len() >= range.prefix_len();
            if overlaps && is_used {
                found.push(Conflict::SubnetRouted { subnet, range, route: route.clone() });
            }
        }
        for (address, interface) in there.foreign_addresses().filter(|(address, _)| range.contains(address)) {
            found.push(Conflict::AddressInSubnet { subnet, range, address: *address, interface: interface.clone() });
        }
        for &address in plan.must_reach.iter().filter(|address| range.contains(*address)) {
            found.push(Conflict::Unreachable { subnet, range, address });
        }
    }
    found
}

/// Brings `lo` up, gives it the static IP, and routes the cluster's subnets to it; may be repeated at any time.
/// Conflicts are looked for before anything is changed; `check: false` reports them instead of failing.
///
/// # Errors
/// [`NetError::Conflicts`] with all of them, otherwise what the kernel refused.
pub async fn attach(plan: &Plan, check: bool) -> Result<Report, NetError> {
    tokio::time::timeout(LIMIT, attach_unbounded(plan, check)).await.map_err(|_| NetError::Timeout)?
}

async fn attach_unbounded(plan: &Plan, check: bool) -> Result<Report, NetError> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(NetError::Connect)?;
    // Ends by itself when the last handle is dropped.
    tokio::spawn(connection);
    let (lo, there) = snapshot(&handle).await?;
    let found = conflicts(plan, &there);
    if check && !found.is_empty() {
        return Err(NetError::Conflicts(found));
    }
    apply(&handle, lo, plan).await?;
    Ok(Report {
        uplink: there.uplink(),
        addresses: there
            .foreign_addresses()
            .map(|(address, _)| *address)
            .filter(|address| *address != plan.static_ip)
            .collect(),
        networks: there.connected().collect(),
        ignored: found,
    })
}

/// Takes back what [`attach`] brought about, except that `lo` stays up. In a network namespace of our own that changes
/// nothing, as it ends with the container; one that is shared (`--network host`, a pod's) would keep an address and
/// routes that lead nowhere. What is not there needs no taking back.
///
/// # Errors
/// What the kernel refused.
pub async fn detach(plan: &Plan) -> Result<(), NetError> {
    tokio::time::timeout(LIMIT, detach_unbounded(plan)).await.map_err(|_| NetError::Timeout)?
}

async fn detach_unbounded(plan: &Plan) -> Result<(), NetError> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(NetError::Connect)?;
    tokio::spawn(connection);
    let (lo, there) = snapshot(&handle).await?;
    for subnet in [plan.service_subnet, plan.pod_subnet] {
        let is_ours =
            |route: &Route| route.destination == subnet && route.interface == LOOPBACK && route.metric == METRIC;
        if there.routes.iter().any(is_ours) {
            let route = route_to_loopback(lo, subnet, plan.static_ip);
            let action = || format!("delete the route {subnet} dev lo");
            handle.route().del(route).execute().await.map_err(refused(action))?;
        }
    }
    let static_ip = plan.static_ip;
    if there.addresses.iter().any(|(address, interface)| *address == static_ip && interface == LOOPBACK) {
        let mut address = AddressMessage::default();
        address.header.family = AddressFamily::Inet;
        address.header.index = lo;
        address.header.prefix_len = 32;
        address.attributes.push(AddressAttribute::Local(IpAddr::V4(static_ip)));
        let action = || format!("delete the address {static_ip}/32 of interface lo");
        handle.address().del(address).execute().await.map_err(refused(action))?;
    }
    Ok(())
}

async fn apply(handle: &Handle, lo: u32, plan: &Plan) -> Result<(), NetError> {
    let up = LinkUnspec::new_with_index(lo).up().build();
    handle.link().set(up).execute().await.map_err(refused(|| "bring interface lo up".to_owned()))?;
    let static_ip = plan.static_ip;
    handle
        .address()
        .add(lo, IpAddr::V4(static_ip), 32)
        .replace()
        .execute()
        .await
        .map_err(refused(|| format!("add the address {static_ip}/32 to interface lo")))?;
    for subnet in [plan.service_subnet, plan.pod_subnet] {
        handle
            .route()
            .add(route_to_loopback(lo, subnet, static_ip))
            .replace()
            .execute()
            .await
            .map_err(refused(|| format!("add the route {subnet} dev lo src {static_ip}")))?;
    }
    Ok(())
}

fn route_to_loopback(lo: u32, subnet: Ipv4Net, source: Ipv4Addr) -> RouteMessage {
    RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(subnet.network(), subnet.prefix_len())
        .output_interface(lo)
        .pref_source(source)
        .scope(RouteScope::Link)
        .priority(METRIC)
        .build()
}

/// The index of `lo`, and everything that is there.
async fn snapshot(handle: &Handle) -> Result<(u32, Snapshot), NetError> {
    let links: Vec<LinkMessage> = collect(handle.link().get().execute(), "list interfaces").await?;
    let mut request = handle.address().get();
    request.message_mut().header.family = AddressFamily::Inet;
    let addresses: Vec<AddressMessage> = collect(request.execute(), "list addresses").await?;
    let every_route = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let routes: Vec<RouteMessage> = collect(handle.route().get(every_route).execute(), "list routes").await?;

    let names: HashMap<u32, String> =
        links.iter().filter_map(|link| Some((link.header.index, link_name(link)?.to_owned()))).collect();
    let lo = names.iter().find(|(_, name)| *name == LOOPBACK).map(|(index, _)| *index).ok_or(NetError::NoLoopback)?;
    let there = Snapshot {
        links: links.iter().filter_map(|link| Some((link_name(link)?.to_owned(), link_mtu(link)?))).collect(),
        addresses: addresses
            .iter()
            .filter_map(|message| Some((local_address(message)?, names.get(&message.header.index)?.clone())))
            .collect(),
        routes: routes.iter().flat_map(|message| main_routes(message, &names)).collect(),
    };
    Ok((lo, there))
}

async fn collect<T>(stream: impl Stream<Item = Result<T, rtnetlink::Error>>, action: &str) -> Result<Vec<T>, NetError> {
    stream.try_collect().await.map_err(refused(|| action.to_owned()))
}

fn refused(action: impl FnOnce() -> String) -> impl FnOnce(rtnetlink::Error) -> NetError {
    move |source| NetError::Kernel { action: action(), source: Box::new(source) }
}

fn link_name(link: &LinkMessage) -> Option<&str> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.as_str()),
        _ => None,
    })
}

fn link_mtu(link: &LinkMessage) -> Option<u32> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Mtu(mtu) => Some(*mtu),
        _ => None,
    })
}

/// IFA_LOCAL is our end; on a point-to-point interface IFA_ADDRESS is the peer's.
fn local_address(message: &AddressMessage) -> Option<Ipv4Addr> {
    let of = |pick: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(pick);
    let address = of(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    })
    .or_else(|| {
        of(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })?;
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

/// The message's routes if it is a unicast one of the main table: one, or one for each next hop.
fn main_routes(message: &RouteMessage, names: &HashMap<u32, String>) -> Vec<Route> {
    if message.header.table != RouteHeader::RT_TABLE_MAIN || message.header.kind != RouteType::Unicast {
        return Vec::new();
    }
    let mut network = Ipv4Addr::UNSPECIFIED;
    let mut metric = 0;
    let mut hops: Vec<(Option<u32>, Option<Ipv4Addr>)> = vec![next_hop(&message.attributes)];
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => network = *address,
            RouteAttribute::Priority(priority) => metric = *priority,
            RouteAttribute::MultiPath(next_hops) => {
                hops.extend(next_hops.iter().map(|hop| (Some(hop.interface_index), next_hop(&hop.attributes).1)))
            }
            _ => {}
        }
    }
    let Ok(destination) = Ipv4Net::new(network, message.header.destination_prefix_length) else { return Vec::new() };
    hops.into_iter()
        .filter_map(|(interface, gateway)| {
            Some(Route { destination, interface: names.get(&interface?)?.clone(), gateway, metric })
        })
        .collect()
}

fn next_hop(attributes: &[RouteAttribute]) -> (Option<u32>, Option<Ipv4Addr>) {
    let mut hop = (None, None);
    for attribute in attributes {
        match attribute {
            RouteAttribute::Oif(index) => hop.0 = Some(*index),
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => hop.1 = Some(*address),
            _ => {}
        }
    }
    hop
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::process::Command;

    use nix::sched::{CloneFlags, unshare};

    use super::*;

    fn plan() -> Plan {
        Plan::from(&ClusterSettings::default())
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
    fn networks_are_those_without_a_gateway_that_are_not_ours() {
        let routes = vec![
            route("0.0.0.0/0", Some("172.17.0.1"), "eth0"),
            route("172.17.0.0/16", None, "eth0"),
            route("192.0.2.0/24", Some("172.17.0.9"), "eth0"),
            route("10.96.0.0/12", None, LOOPBACK),
            route("10.244.0.0/24", None, CNI_BRIDGE),
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
            // Ours, from before.
            (
                vec![("172.30.99.1", "lo"), ("10.244.0.1", "cni0")],
                vec![route("10.96.0.0/12", None, "lo"), route("10.244.0.0/24", None, "cni0")],
                vec![],
            ),
            // A VPN's halves, and a company that is reached by a wide route.
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
                assert!(
                    text.contains("; connect the container to another network, or bake with another one"),
                    "{text}"
                );
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
    fn uplink_is_the_best_default_route() {
        let mut worse = route("0.0.0.0/0", Some("192.0.2.9"), "wlan0");
        worse.metric = 600;
        let there = there(&[], vec![worse, route("0.0.0.0/0", Some("192.0.2.1"), "eth0")]);
        let uplink = there.uplink().unwrap();
        assert_eq!((uplink.interface.as_str(), uplink.mtu), ("eth0", 1450));
        assert_eq!(Snapshot::default().uplink(), None);
    }

    /// Runs `test` in a network namespace of its own, in which only the calling thread is.
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

    /// A container's usual network: `eth0` with a default route.
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
            let report = runtime.block_on(attach(&plan(), true)).unwrap();
            let state = || (run("ip -4 addr show dev lo"), run("ip route"));
            let first = state();
            assert_eq!(runtime.block_on(attach(&plan(), true)).unwrap(), report);
            assert_eq!(state(), first);
            assert!(first.0.contains("inet 172.30.99.1/32 scope global lo"), "{}", first.0);
            assert!(first.0.contains("UP"), "{}", first.0);
            for line in [
                "10.96.0.0/12 dev lo scope link src 172.30.99.1 metric 4096",
                "10.244.0.0/16 dev lo scope link src 172.30.99.1 metric 4096",
            ] {
                assert!(
                    first.1.split('\n').any(|route| route.replace(" proto static", "").trim() == line),
                    "{}",
                    first.1
                );
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
            // Somebody else's, for one of the same subnets.
            run("ip route add 10.96.0.0/12 via 192.0.2.1 metric 9000");
            let state = || (run("ip -4 addr show dev lo"), run("ip route"));
            let before = state();
            runtime.block_on(attach(&plan(), false)).unwrap();
            assert_ne!(state(), before);
            runtime.block_on(detach(&plan())).unwrap();
            assert_eq!(state(), before);
            runtime.block_on(detach(&plan())).unwrap();
            assert_eq!(state(), before, "a second time finds nothing to do");
        });
    }

    #[test]
    #[ignore = "needs root"]
    fn a_conflict_changes_nothing_unless_the_check_is_off() {
        in_namespace(|runtime| {
            outside("172.30.99.5/24", "172.30.99.254");
            let before = (run("ip addr show dev lo"), run("ip route"));
            let error = runtime.block_on(attach(&plan(), true)).unwrap_err().to_string();
            assert!(error.contains("route 172.30.99.0/24 dev eth0"), "{error}");
            assert!(error.contains("kubake bake --static-ip"), "{error}");
            assert_eq!((run("ip addr show dev lo"), run("ip route")), before);
            let report = runtime.block_on(attach(&plan(), false)).unwrap();
            assert_eq!(report.ignored.len(), 1);
            assert!(run("ip addr show dev lo").contains("172.30.99.1/32"));
        });
    }

    #[test]
    #[ignore = "needs root"]
    fn without_a_network_there_is_no_uplink() {
        in_namespace(|runtime| {
            let report = runtime.block_on(attach(&plan(), true)).unwrap();
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
        run(&format!(
            "ip link add {name} type veth peer name eth0 netns {} && ip link set {name} up",
            tid.recv().unwrap()
        ));
        go.send(()).unwrap();
        thread.join().unwrap()
    }

    /// What decision 9 of the design asks for: nothing leaks without kube-proxy's rules, everything works with them.
    #[test]
    #[ignore = "needs root"]
    fn services_never_leak_and_dnat_still_works() {
        in_namespace(|runtime| {
            run("ip link set lo up");
            let stranger = neighbour(
                "eth0",
                "ip link set lo up; ip link set eth0 up; ip addr add 192.0.2.1/24 dev eth0; ip addr add 10.96.0.1/32 dev lo",
                || TcpListener::bind("10.96.0.1:443").unwrap(),
            );
            run("ip addr add 192.0.2.2/24 dev eth0; ip route add default via 192.0.2.1");
            serve(stranger, "stranger");
            assert_eq!(
                ask("10.96.0.1:443").unwrap(),
                "stranger",
                "the danger must be real for the test to say anything"
            );

            runtime.block_on(attach(&plan(), true)).unwrap();
            // /proc/sys/net is the namespace of whoever opens it.
            std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
            run("ip link add cni0 type bridge && ip addr add 10.244.0.1/24 dev cni0 && ip link set cni0 up");
            let in_pod = "ip link set lo up; ip link set eth0 up; ip addr add 10.244.0.5/24 dev eth0; \
                          ip route add default via 10.244.0.1";
            let pod = neighbour("pod0", in_pod, || TcpListener::bind("10.244.0.5:53").unwrap());
            run("ip link set pod0 master cni0");
            serve(pod, "pod");
            serve(TcpListener::bind("172.30.99.1:8443").unwrap(), "api");

            // Counts what leaves for cluster addresses; plain interface counters have IPv6's chatter in them.
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
            // A second pod asks; it is connected to the bridge before it does.
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
            let (api, dns, nobody) = asking.join().unwrap();
            assert_eq!((api.unwrap().as_str(), dns.unwrap().as_str()), ("api", "pod"));
            assert!(nobody.is_err(), "{nobody:?}");
            assert_eq!(leaked(), "0\n", "a packet left by eth0");
        });
    }
}
