//! The program as a person or a script meets it, with programs named `docker` that do what a test wants: errors, exit
//! codes, streams.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bake;
mod bench;
mod engine;
mod fakes;
mod program;
mod settings;
mod up;
