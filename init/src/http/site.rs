//! What the server serves: the values and the places of the files from which every answer is made.

use std::path::PathBuf;

use kubake_contract::token::Token;
use kubake_contract::{ClusterSettings, Node};

use super::journal::Journal;
use crate::own_hosts::OwnHosts;
use crate::status::Board;

/// The content of the server's answers.
#[derive(Debug)]
pub(crate) struct Site {
    /// State and readiness of this boot.
    pub board: Board,
    /// The settings of the bake.
    pub settings: ClusterSettings,
    pub node: Node,
    /// kubeadm's kubeconfig, from which the one for callers is made.
    pub kubeconfig_path: PathBuf,
    /// The directory with `ca.pem`, `cert.pem` and `key.pem` of Docker clients.
    pub docker_client_dir: PathBuf,
    /// The directory with a log `NAME.log` for each component.
    pub logs_dir: PathBuf,
    /// The directory above /proc and the cgroups: `/` except in tests.
    pub root: PathBuf,
    /// The port under which callers outside reach the API server ([`kubake_contract::env::API_PORT`]).
    pub api_port: u16,
    /// Without a token, requests under other names get neither credentials nor logs.
    pub own_hosts: OwnHosts,
    /// Callers need it for credentials and logs; without one, every caller gets them.
    pub token: Option<Token>,
    /// Log of callers that fetched credentials.
    pub journal: Journal,
}
