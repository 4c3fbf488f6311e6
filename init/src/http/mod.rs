//! The HTTP server on [`kubake_contract::ports::HTTP`]: status, readiness, logs and the kubeconfig for callers
//! outside. Owns connections and their limits; what is answered is in `routes`. It never changes anything and
//! never calls anything ready on its own: readiness is what the [`Board`] of this boot says, not what a file says.

mod answer;
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

pub(crate) use journal::Journal;
pub(crate) use server::serve;
pub(crate) use site::Site;
