//! The changes: what [`Plan`] asks for is added to the kernel's tables, or taken away again.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::route::{RouteMessage, RouteScope};
use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};

use super::conflicts::{Conflict, conflicts};
use super::error::{LIMIT, NetError, refused};
use super::kernel::read;
use super::plan::Plan;
use super::snapshot::{LOOPBACK, Route, Uplink};

/// Metric of our routes: any route that somebody else makes for the same subnet wins (the kernel's own for CNI's
/// bridge has metric 0).
const METRIC: u32 = 4096;

/// What there is after [`attach`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Where the default route leads; none with `--network none`.
    pub uplink: Option<Uplink>,
    /// The container's own IPv4 addresses, without loopback's, the static IP and those of CNI's bridge.
    pub addresses: Vec<Ipv4Addr>,
    /// The networks that it is connected to, without those of the cluster.
    pub networks: Vec<Ipv4Net>,
    /// Conflicts that were found and, as the check was off, ignored.
    pub ignored: Vec<Conflict>,
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
    let (lo, there) = read(&handle).await?;
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
    let (lo, there) = read(&handle).await?;
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
