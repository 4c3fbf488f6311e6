//! The HTTP server on [`kubake_contract::ports::HTTP`] and [`kubake_contract::ports::WEB`]: status, readiness, logs and the kubeconfig for callers
//! outside. `server` owns connections and their limits, `routes` the answers. It changes nothing and decides
//! nothing about readiness: the [`Board`](crate::status::Board) of this boot does, no file.

mod answer;
mod asked_name;
mod bundle;
mod credentials;
mod forwarded;
mod guard;
mod journal;
mod logs;
mod page;
mod query;
mod routes;
mod server;
mod site;
mod stall;
#[cfg(test)]
mod tests;

pub(crate) use answer::BOOTING;
pub(crate) use journal::Journal;
pub(crate) use server::serve;
pub(crate) use site::Site;
