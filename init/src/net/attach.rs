//! Adds the addresses and routes of a [`Plan`] to the kernel's tables, and removes them again.

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

/// dockerd's default bridge.
const DOCKER_BRIDGE: &str = "docker0";

/// Metric of kubake's routes. Any other route for the same subnet wins (the kernel's own for CNI's bridge has metric 0).
const METRIC: u32 = 4096;

/// The network after [`attach`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    /// The interface of the default route; `None` with `--network none`.
    pub uplink: Option<Uplink>,
    /// The container's IPv4 addresses, without those of loopback and of CNI's bridge, and without the static IP.
    pub addresses: Vec<Ipv4Addr>,
    /// The networks that the container is connected to, without those of the cluster.
    pub networks: Vec<Ipv4Net>,
    /// The address of another engine's bridge `docker0`, in a network namespace that is shared with that engine.
    pub docker_bridge: Option<Ipv4Net>,
    /// Conflicts that were ignored because the check is off.
    pub ignored: Vec<Conflict>,
}

/// Brings `lo` up, gives it the static IP, and routes the cluster's subnets to it. Idempotent. Looks for conflicts before
/// any change; with `check: false` it reports them in [`Report::ignored`] instead of failing. Calls `on_change` before the
/// first change: from there on [`detach`] is needed, even if this fails or is dropped.
///
/// # Errors
/// [`NetError::Conflicts`] with all conflicts, otherwise the first request that the kernel refused.
pub(crate) async fn attach(plan: &Plan, check: bool, on_change: impl FnOnce()) -> Result<Report, NetError> {
    tokio::time::timeout(LIMIT, attach_unbounded(plan, check, on_change)).await.map_err(|_| NetError::Timeout)?
}

async fn attach_unbounded(plan: &Plan, check: bool, on_change: impl FnOnce()) -> Result<Report, NetError> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(NetError::Connect)?;
    // The task ends when the last handle is dropped.
    tokio::spawn(connection);
    let (lo, there) = read(&handle).await?;
    let found = conflicts(plan, &there);
    if check && !found.is_empty() {
        return Err(NetError::Conflicts(found));
    }
    on_change();
    apply(&handle, lo, plan).await?;
    Ok(Report {
        uplink: there.uplink(),
        addresses: there
            .foreign_addresses()
            .map(|(address, _)| *address)
            .filter(|address| *address != plan.static_ip)
            .collect(),
        networks: there.connected().collect(),
        docker_bridge: there.network_of(DOCKER_BRIDGE),
        ignored: found,
    })
}

/// Removes the address and routes that [`attach`] added; `lo` stays up. This matters in a shared network namespace
/// (`--network host`, a pod's), which would keep an address and routes that lead nowhere. A namespace of the container's
/// own ends with the container. Absent addresses and routes are skipped.
///
/// # Errors
/// The first request that the kernel refused.
pub(crate) async fn detach(plan: &Plan) -> Result<(), NetError> {
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
    for own in [plan.static_ip, plan.resolver] {
        if !there.addresses.iter().any(|(address, interface)| *address == own && interface == LOOPBACK) {
            continue;
        }
        let mut address = AddressMessage::default();
        address.header.family = AddressFamily::Inet;
        address.header.index = lo;
        address.header.prefix_len = 32;
        address.attributes.push(AddressAttribute::Local(IpAddr::V4(own)));
        let action = || format!("delete the address {own}/32 of interface lo");
        handle.address().del(address).execute().await.map_err(refused(action))?;
    }
    Ok(())
}

async fn apply(handle: &Handle, lo: u32, plan: &Plan) -> Result<(), NetError> {
    let up = LinkUnspec::new_with_index(lo).up().build();
    handle.link().set(up).execute().await.map_err(refused(|| "bring interface lo up".to_owned()))?;
    let static_ip = plan.static_ip;
    for own in [static_ip, plan.resolver] {
        let action = || format!("add the address {own}/32 to interface lo");
        handle.address().add(lo, IpAddr::V4(own), 32).replace().execute().await.map_err(refused(action))?;
    }
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
