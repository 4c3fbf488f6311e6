//! Plug-ins that add-ons chained to the node's own list, as istio-cni and linkerd-cni do: they stay when the list is written
//! again. Pure.

use serde_json::Value;

/// Returns the node's own list with the plug-ins that `existing`, the list of an earlier boot, has beyond it.
///
/// # Errors
/// When `existing` is no list of plug-ins.
pub(crate) fn keep_chained(own: &str, existing: &str) -> Result<String, serde_json::Error> {
    let mut list: Value = serde_json::from_str(own)?;
    let existing: Existing = serde_json::from_str(existing)?;
    let Some(plugins) = list["plugins"].as_array_mut() else { return Ok(own.to_owned()) };
    let kinds: Vec<Value> = plugins.iter().map(|plugin| plugin["type"].clone()).collect();
    plugins.extend(existing.plugins.into_iter().filter(|plugin| !kinds.contains(&plugin["type"])));
    Ok(format!("{list:#}\n"))
}

#[derive(serde::Deserialize)]
struct Existing {
    plugins: Vec<Value>,
}

#[cfg(test)]
mod tests {
    use kubake_contract::{ClusterSettings, Node};

    use super::*;
    use crate::cni::ptp;

    #[test]
    fn what_a_mesh_chained_stays_and_the_rest_is_new() {
        let node = Node::control_plane(&ClusterSettings::default());
        let (old, new) = (ptp::conflist(&node, 1500), ptp::conflist(&node, 1360));
        let mut chained: Value = serde_json::from_str(&old).unwrap();
        chained["plugins"]
            .as_array_mut()
            .unwrap()
            .push(serde_json::json!({ "type": "istio-cni", "log_level": "info" }));
        let kept: Value = serde_json::from_str(&keep_chained(&new, &chained.to_string()).unwrap()).unwrap();
        let kinds: Vec<&Value> = kept["plugins"].as_array().unwrap().iter().map(|plugin| &plugin["type"]).collect();
        assert_eq!(kinds, ["ptp", "portmap", "istio-cni"]);
        assert_eq!((&kept["plugins"][0]["mtu"], &kept["plugins"][2]["log_level"]), (&1360.into(), &"info".into()));
        assert_eq!(keep_chained(&new, &old).unwrap(), new);
        assert!(keep_chained(&new, "{}").is_err() && keep_chained(&new, "").is_err());
    }
}
