//! What the server serves: the values and the places of the files from which every answer is made.

use std::path::PathBuf;

use kubake_contract::token::Token;
use kubake_contract::{ClusterSettings, Node};

use super::journal::Journal;
use crate::status::Board;

/// What is served.
#[derive(Debug)]
pub(crate) struct Site {
    /// What is known of this boot.
    pub board: Board,
    /// What the cluster was made with.
    pub settings: ClusterSettings,
    pub node: Node,
    /// kubeadm's kubeconfig, from which the one for callers is made.
    pub kubeconfig_path: PathBuf,
    /// Where `ca.pem`, `cert.pem` and `key.pem` of Docker clients are.
    pub docker_client_dir: PathBuf,
    /// Where the components' logs are, `NAME.log` each.
    pub logs_dir: PathBuf,
    /// Below which /proc and the cgroups are: `/` but for tests.
    pub root: PathBuf,
    /// The port under which callers outside reach the API server ([`kubake_contract::env::API_PORT`]).
    pub api_port: u16,
    /// Without it credentials and logs are not served; none serves them to everybody.
    pub token: Option<Token>,
    /// Who fetched credentials.
    pub journal: Journal,
}
