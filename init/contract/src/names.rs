//! Names that users see in kubeconfigs and in `kubectl get nodes`. A cluster's, a node's and a user's name have types of
//! their own: all three are `kind` today, and several nodes cannot share one.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

macro_rules! name {
    ($(#[$about:meta])* $name:ident) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(Cow<'static, str>);

        impl $name {
            const fn fixed(name: &'static str) -> Self {
                Self(Cow::Borrowed(name))
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(&self.0)
            }
        }
    };
}

name! {
    /// The name of the cluster, and of its context, in every kubeconfig.
    ClusterName
}
name! {
    /// `metadata.name` of a node, and its etcd member's name.
    NodeName
}
name! {
    /// The user of the kubeconfigs that are served over HTTP.
    UserName
}

impl NodeName {
    /// The user as which the node's kubelet authenticates (Kubernetes' Node authorizer prescribes the prefix).
    #[must_use]
    pub fn kubelet_user(&self) -> String {
        format!("system:node:{self}")
    }
}

pub const CLUSTER: ClusterName = ClusterName::fixed("kind");
/// The node that runs the control plane.
pub const CONTROL_PLANE: NodeName = NodeName::fixed("kind");
pub const USER: UserName = UserName::fixed("kind");
/// A name in the API server's certificate that never changes, so that a kubeconfig can use any address
/// (`tls-server-name`).
pub const TLS_SERVER: &str = "kubernetes";
/// The namespace of containerd in which Kubernetes and Docker share one image store.
pub const CONTAINERD_NAMESPACE: &str = "k8s.io";
/// The repository under which control-plane images are built on the host, before the bake gives them the
/// names that kubeadm expects.
pub const BUILD_REPOSITORY: &str = "kubake";
/// The StorageClass that every cluster has as its default.
pub const STORAGE_CLASS: &str = "standard";
/// The control plane's name in `/etc/hosts`, unique to kubake.
pub const CONTROL_PLANE_HOST: &str = "control-plane.kubake.internal";
