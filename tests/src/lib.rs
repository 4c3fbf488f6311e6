//! Helpers of the end-to-end tests. The cases themselves are in `e2e/`; here is what they share:
//!
//! * [`process`] runs programs with a deadline and keeps what they said,
//! * [`poll`] waits for something to become true and tells the last reason why it was not,
//! * [`http`] is a GET as a user's script does it,
//! * [`engine`] asks and cleans the container engine,
//! * [`lab`] owns what is made once a run: the program, `kubectl`, the shared cluster,
//! * [`clock`] sets the machine's clock and sets it back,
//! * [`cluster`] is one cluster from `kubake up` to its removal,
//! * [`plain`] is one that is told nothing about where it runs,
//! * [`debian`] makes images with Debian's packages,
//! * [`kubectl`] runs the baked image's own `kubectl` on the host,
//! * [`manifests`] holds the objects that cases create,
//! * [`openssl`] makes authorities and looks at certificates,
//! * [`probe`] makes container images without a registry,
//! * [`caller`] is somebody who fetches a kubeconfig and uses it, wherever they are,
//! * [`registry`] runs a registry and a proxy beside a cluster,
//! * [`sabotage`] breaks parts of a cluster and mends them again,
//! * [`secrets`] looks for secrets in every layer of an image.
//!
//! # Privilege
//!
//! Everything here needs what its users need: a container engine that can run privileged containers, or root on
//! Debian or Ubuntu so that `kubake up --yes` can install one. Where that is missing the cases fail and say so; none
//! is skipped. Nothing else has to be installed besides the Rust toolchain and `openssl`, which looks at certificates from
//! outside. The group `clock` sets the machine's clock for some seconds, which takes CAP_SYS_TIME.
//!
//! # For people who write tests
//!
//! `KUBAKE_E2E_KEEP=1` leaves the shared cluster running and takes one that runs, `KUBAKE_E2E_IMAGE=NAME` tests a baked
//! image that exists, `KUBAKE_BIN=PATH` a program that exists. `KUBAKE_E2E_ENDURANCE=full` does the group `endurance`
//! in full instead of a few rounds: 100 boots and 30 restarts. Only one run at a time: names are fixed, and a run
//! begins by removing what has one of them.

pub mod caller;
pub mod clock;
pub mod cluster;
pub mod debian;
pub mod engine;
pub mod http;
pub mod kubectl;
pub mod lab;
pub mod manifests;
pub mod openssl;
pub mod plain;
pub mod poll;
pub mod probe;
pub mod process;
pub mod registry;
pub mod sabotage;
pub mod secrets;

/// Everything that the tests leave in an engine has a name that begins with this, so that a later run can remove what
/// a killed one left behind.
pub const PREFIX: &str = "kubake-e2e";

/// Label on containers that the tests start without `kubake up`.
pub const LABEL: &str = "io.kubake.e2e";
