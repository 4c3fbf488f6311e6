//! Whether this process runs in a container of the engine that it drives, as CI jobs with a mounted socket do. Parses; runs
//! nothing.

/// Files that engines mount into each container from a directory with its id.
const MOUNTED: [&str; 3] = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];
const ID_LENGTH: usize = 64;

/// The id of the container in which this process runs, from `/proc/self/mountinfo` (proc(5): the fourth field is the mounted
/// directory or file, the fifth is where).
#[must_use]
pub(super) fn own_container(mountinfo: &str) -> Option<String> {
    let is_id = |part: &&str| part.len() == ID_LENGTH && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    mountinfo.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(3);
        let (source, target) = (fields.next()?, fields.next()?);
        if !MOUNTED.contains(&target) {
            return None;
        }
        source.split('/').find(is_id).map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_in_the_mounts_of_a_container_and_nowhere_else() {
        let id = "0a".repeat(32);
        let docker = format!(
            "612 600 0:50 / /proc rw - proc proc rw\n\
             630 601 254:1 /var/lib/docker/containers/{id}/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/vda rw\n"
        );
        assert_eq!(own_container(&docker).as_deref(), Some(id.as_str()));
        let podman =
            format!("1 2 0:3 /containers/overlay-containers/{id}/userdata/hosts /etc/hosts rw - tmpfs tmpfs rw\n");
        assert_eq!(own_container(&podman).as_deref(), Some(id.as_str()));
        let host = format!("25 1 8:1 / / rw - ext4 /dev/sda rw\n9 25 8:1 /{id} /data rw - ext4 /dev/sda rw\n");
        assert_eq!(own_container(&host), None);
    }
}
