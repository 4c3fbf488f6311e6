//! What the bake gives kubeadm and the new cluster, made from the settings: kubeadm's configuration ([`configuration`]),
//! patches of the static pods ([`patches`]) and objects in the cluster ([`objects`]). Pure. Never runs kubeadm: the bake does.

pub(crate) mod configuration;
pub(crate) mod objects;
pub(crate) mod patches;
