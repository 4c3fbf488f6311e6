//! Reads the kernel's tables of interfaces, addresses and routes. Changes nothing.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use futures_util::{Stream, TryStreamExt};
use ipnet::Ipv4Net;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType};
use rtnetlink::{Handle, RouteMessageBuilder};

use super::error::{NetError, refused};
use super::snapshot::{LOOPBACK, Route, Snapshot};

/// Returns the index of `lo` and a snapshot of all tables.
pub(super) async fn read(handle: &Handle) -> Result<(u32, Snapshot), NetError> {
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

/// Returns the local address: IFA_LOCAL, because on a point-to-point interface IFA_ADDRESS is the peer's.
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

/// Returns the routes of a unicast message of the main table: one, or one for each next hop. Other messages yield none.
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
