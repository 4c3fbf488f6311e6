//! `kubake`: bakes a kubeadm cluster into one container image and runs it. Its only way in is [`run`].

mod advice;
mod bake;
mod base_image;
mod bench;
mod checkout;
mod cli;
mod cluster;
mod commands;
mod digest;
mod doctor;
mod engine;
mod host;
mod host_context;
mod install;
mod kubeconfig;
mod node;
mod port;
mod printer;
mod private_tar;
mod process;
mod program;
mod settings;
mod versions;

pub use program::run;
