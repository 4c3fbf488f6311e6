//! Requests against the routes alone, and against the whole server.

mod answers;
mod credentials;
mod fixture;
mod fuzz;
mod server;
mod token;
