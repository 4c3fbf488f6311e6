//! `kubake`: bakes a kubeadm cluster into one container image and runs it. The library holds everything; the program
//! only wires.

pub mod advice;
pub mod bake;
pub mod base_image;
pub mod bench;
pub mod checkout;
pub mod cli;
pub mod commands;
mod digest;
pub mod doctor;
pub mod engine;
pub mod host_context;

mod image_reference;
mod install;
pub mod kubeconfig;
pub mod printer;
mod private_tar;
pub mod process;
pub mod settings;
pub mod up;
pub mod versions;
