//! `kubake`: bakes a kubeadm cluster into one container image and runs it. The library holds everything.

use std::process::ExitCode;

fn main() -> ExitCode {
    kubake::run()
}
