//! The node's lines in `/etc/hosts`. `managed_block` keeps them apart from the engine's lines.

use std::net::Ipv4Addr;
use std::path::Path;

use kubake_contract::{Node, names};

use super::managed_block;
use crate::files::{SharedFileError, under};

pub(crate) const HOSTS: &str = "/etc/hosts";

/// The node's own names, and no others. `kubernetes`, `docker` or `localhost` would hide an alias that the user gave a
/// service outside the container. Inside, nothing needs these names: certificates are checked by `tls-server-name`.
#[must_use]
pub(crate) fn entries(node: &Node) -> Vec<(Ipv4Addr, Vec<String>)> {
    vec![(node.addresses.ipv4, vec![names::CONTROL_PLANE_HOST.to_owned(), node.name.to_string()])]
}

fn lines(entries: &[(Ipv4Addr, Vec<String>)]) -> String {
    entries.iter().map(|(ip, names)| format!("{ip}\t{}\n", names.join(" "))).collect()
}

/// Updates the block in `/etc/hosts` below `root` and returns whether the file changed.
///
/// # Errors
/// [`SharedFileError`].
pub(crate) fn apply_at(root: &Path, entries: &[(Ipv4Addr, Vec<String>)]) -> Result<bool, SharedFileError> {
    managed_block::apply(&under(root, HOSTS), &lines(entries))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use kubake_contract::ClusterSettings;

    use super::managed_block::{BEGIN, END};
    use super::*;

    const ENGINES: &str = "127.0.0.1\tlocalhost\n172.17.0.2\tabc";

    fn node(static_ip: Ipv4Addr) -> Node {
        Node::control_plane(&ClusterSettings { static_ip, ..ClusterSettings::default() })
    }

    fn render(existing: &str, entries: &[(Ipv4Addr, Vec<String>)]) -> String {
        managed_block::render(existing, &lines(entries))
    }

    #[test]
    fn the_block_is_added_replaced_and_stays_in_place() {
        let first = render(ENGINES, &entries(&node(Ipv4Addr::new(172, 30, 99, 1))));
        assert_eq!(
            first,
            "127.0.0.1\tlocalhost\n172.17.0.2\tabc\n# kubake: begin\n\
             172.30.99.1\tcontrol-plane.kubake.internal kind\n# kubake: end\n"
        );
        assert_eq!(render(&first, &entries(&node(Ipv4Addr::new(172, 30, 99, 1)))), first);
        let later = format!("{first}10.0.0.9\tadded\n");
        let second = render(&later, &entries(&node(Ipv4Addr::new(10, 9, 8, 7))));
        assert_eq!(second, later.replace("172.30.99.1", "10.9.8.7"));
        // A block without an end marker reaches to the end of the file.
        assert_eq!(render(&format!("a\n{BEGIN}\nold\n"), &[]), "a\n");
        assert_eq!(render("a\nb", &[]), "a\nb", "no block exists or is wanted");
    }

    #[test]
    fn the_file_is_written_in_place_and_only_when_needed() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        let path = root.path().join("etc/hosts");
        fs::write(&path, ENGINES).unwrap();
        let inode = fs::metadata(&path).unwrap().ino();
        let entries = entries(&node(Ipv4Addr::new(172, 30, 99, 1)));
        assert!(apply_at(root.path(), &entries).unwrap());
        assert!(!apply_at(root.path(), &entries).unwrap());
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(BEGIN) && text.ends_with(&format!("{END}\n")), "{text}");
        assert!(apply_at(root.path(), &[]).unwrap(), "shorter than before");
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{ENGINES}\n"));
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
    }
}
