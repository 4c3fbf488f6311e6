//! Helpers that the end-to-end cases in `e2e/` share:
//!
//! * [`process`] runs programs with a deadline and keeps their output,
//! * [`poll`] waits for a condition, and reports the last reason why it did not hold,
//! * [`http`] sends a GET as a user's script does,
//! * [`engine`] queries the container engine and cleans up in it,
//! * [`lab`] owns what is made once a run: the program, the image, `kubectl`,
//! * [`shared`] owns the clusters that several cases use,
//! * [`clock`] sets the machine's clock and sets it back,
//! * [`cluster`] is one cluster from `kubake up` to its removal,
//! * [`plain`] is a cluster that does not know where it runs,
//! * [`debian`] makes images with Debian's packages,
//! * [`kubectl`] runs the baked image's own `kubectl` on the host,
//! * [`manifests`] holds the objects that cases create,
//! * [`openssl`] makes CAs and reads certificates,
//! * [`probe`] makes container images without a registry,
//! * [`caller`] fetches a kubeconfig in a container or a pod and uses it there,
//! * [`registry`] runs a registry and a proxy beside a cluster,
//! * [`sabotage`] breaks parts of a cluster and repairs them,
//! * [`secrets`] searches every layer of an image for secrets.
//!
//! # Privilege
//!
//! Everything here needs what its users need: a container engine that can run privileged containers, or root on
//! Debian or Ubuntu so that `kubake up --yes` can install one. Where that is missing the cases fail with that reason; none
//! is skipped. Nothing else has to be installed besides the Rust toolchain and `openssl`, which reads certificates.
//! The group `clock` sets the machine's clock for some seconds, which takes CAP_SYS_TIME.
//!
//! # For people who write tests
//!
//! `KUBAKE_E2E_KEEP=1` leaves the shared cluster running and takes one that runs, `KUBAKE_E2E_IMAGE=NAME` tests a baked
//! image that exists, `KUBAKE_BIN=PATH` a program that exists. `KUBAKE_E2E_ENDURANCE=full` does the group `endurance`
//! in full instead of a few rounds: 100 boots and 30 restarts. Only one run at a time: names are fixed, and a run
//! first removes containers that have them.

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
pub mod shared;

/// Everything that the tests leave in an engine has a name that begins with this, so that a later run can remove what
/// a killed one left behind.
pub const PREFIX: &str = "kubake-e2e";

/// Label on containers that the tests start without `kubake up`.
pub const LABEL: &str = "io.kubake.e2e";
