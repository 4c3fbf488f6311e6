//! The node's fixed address, and routes that keep cluster addresses inside the container: what there is first (`snapshot`),
//! then whether that leaves room (`conflicts`), then the changes, which are made here. The only module that names
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

mod conflicts;
mod snapshot;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::Ipv4Net;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::route::{RouteMessage, RouteScope};
use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};

use crate::contract::ClusterSettings;
pub use conflicts::{Conflict, Subnet};
use conflicts::{Conflicts, conflicts};
use snapshot::snapshot;
pub use snapshot::{Route, Uplink};

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

fn refused(action: impl FnOnce() -> String) -> impl FnOnce(rtnetlink::Error) -> NetError {
    move |source| NetError::Kernel { action: action(), source: Box::new(source) }
}
