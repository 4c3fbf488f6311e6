//! `kubake`: bakes a kubeadm cluster into one container image and runs it. Its only way in is [`run`].

#![expect(unreachable_pub, reason = "modules are private; items become `pub(crate)` with the work on each")]

mod advice;
mod bake;
mod base_image;
mod bench;
mod checkout;
mod cli;
mod commands;
mod digest;
mod doctor;
#[allow(clippy::allow_attributes, dead_code, unused_imports, reason = "the room is being split; goes with it")]
mod engine;
mod host_context;
mod install;
mod kubeconfig;
mod printer;
mod private_tar;
#[allow(clippy::allow_attributes, dead_code, unused_imports, reason = "the room is being split; goes with it")]
mod process;
mod program;
mod settings;
mod up;
mod versions;

pub use program::run;
