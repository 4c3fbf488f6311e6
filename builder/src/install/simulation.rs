//! Reads what apt would do from the output of a simulation (`apt-get --simulate`). Runs nothing and changes nothing.

/// Packages that apt would remove, in the order of its output. apt's words for actions are not translated.
#[must_use]
pub(super) fn removals(output: &str) -> Vec<String> {
    let actions = output.lines().filter_map(|line| line.strip_prefix("Remv ").or_else(|| line.strip_prefix("Purg ")));
    actions.filter_map(|rest| rest.split_whitespace().next()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_packages_are_found_among_other_actions() {
        let output = "Reading package lists...\nThe following packages will be REMOVED:\n  docker-ce-cli docker-desktop\n\
            0 upgraded, 3 newly installed, 2 to remove and 1 not upgraded.\n\
            Remv docker-desktop [4.34.3-170107]\nRemv docker-ce-cli [5:27.3.1-1~debian.12~bookworm]\n\
            Inst docker-cli (26.1.5+dfsg1-9 Debian:13/stable [amd64])\nPurg old [1]\nConf docker-cli (26.1.5)\n";
        assert_eq!(removals(output), ["docker-desktop", "docker-ce-cli", "old"]);
        assert_eq!(removals("Inst docker.io (26)\nConf docker.io (26)\n"), [""; 0]);
    }
}
