//! What only one place may name: a crate, a program, a command line, `unsafe`. And what a place may never name.

use proc_macro2::TokenTree;

use crate::checkout::Checkout;
use crate::finding::Finding;
use crate::syntax;

/// What a rule looks for in the tokens outside tests and doc comments.
#[derive(Debug, Clone, Copy)]
enum Name {
    /// An identifier: a crate, a module, a keyword or a function.
    Ident(&'static str),
    /// A string that is the name of this program, alone or at the end of a path.
    Program(&'static str),
    /// A string that is this option, alone or before `=`.
    Flag(&'static str),
}

use Name::{Flag, Ident, Program};

/// Within `scope`, only files whose path begins with one of `homes` may name these.
struct Home {
    scope: &'static str,
    names: &'static [Name],
    homes: &'static [&'static str],
}

const HOMES: [Home; 10] = [
    Home { scope: "", names: &[Ident("unsafe")], homes: &["init/src/pid1"] },
    Home { scope: "init/", names: &[Ident("waitpid")], homes: &["init/src/pid1"] },
    Home { scope: "init/", names: &[Ident("rtnetlink")], homes: &["init/src/net/"] },
    Home { scope: "init/", names: &[Ident("rcgen")], homes: &["init/src/identity/certificates"] },
    Home { scope: "init/", names: &[Program("crictl")], homes: &["init/src/cri/"] },
    Home {
        scope: "builder/src/",
        names: &[Flag("--publish"), Flag("--privileged"), Flag("--volumes-from"), Flag("--label")],
        homes: &["builder/src/engine/command/", "builder/src/install/", "builder/src/settings/"],
    },
    // Data: nothing is started, waited for, read or written.
    Home { scope: "init/src/services/", names: &BEHAVIOUR, homes: &[] },
    Home { scope: "init/src/status/", names: &IO, homes: &[] },
    Home { scope: "init/contract/src/", names: &CONTRACT, homes: &[] },
    // The client of the API server must not need the server of port 10080.
    Home { scope: "init/src/api/", names: &[Ident("http"), Ident("docker_proxy")], homes: &[] },
];

const IO: [Name; 8] = [
    Ident("fs"),
    Ident("process"),
    Ident("nix"),
    Ident("hyper"),
    Ident("File"),
    Ident("TcpStream"),
    Ident("UnixStream"),
    Ident("TcpListener"),
];
const CONTRACT: [Name; 8] = [
    Ident("process"),
    Ident("nix"),
    Ident("tokio"),
    Ident("hyper"),
    Ident("TcpStream"),
    Ident("UnixStream"),
    Ident("TcpListener"),
    Ident("Command"),
];
const BEHAVIOUR: [Name; 6] =
    [Ident("async"), Ident("await"), Ident("tokio"), Ident("process"), Ident("nix"), Ident("spawn")];

/// One finding for each file that names what belongs elsewhere.
pub(crate) fn find(checkout: &Checkout) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, source) in &checkout.sources {
        let rules: Vec<&Home> = HOMES.iter().filter(|rule| applies(rule, path)).collect();
        let tokens = syntax::tokens(source);
        let mut found: Vec<String> = Vec::new();
        for name in rules.iter().flat_map(|rule| rule.names) {
            if tokens.iter().any(|token| matches(*name, token)) {
                found.push(format!("{name:?}"));
            }
        }
        if !found.is_empty() {
            findings.push(Finding::new(path, format!("names what belongs elsewhere: {}", found.join(", "))));
        }
    }
    findings
}

fn applies(rule: &Home, path: &str) -> bool {
    let is_program = path.contains("/src/");
    is_program && path.starts_with(rule.scope) && !rule.homes.iter().any(|home| path.starts_with(home))
}

fn matches(name: Name, token: &TokenTree) -> bool {
    let text = || syntax::string(token).unwrap_or_default();
    match name {
        Ident(name) => matches!(token, TokenTree::Ident(ident) if ident == name),
        Program(name) => text() == name || text().strip_suffix(name).is_some_and(|path| path.ends_with("bin/")),
        Flag(name) => text().strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('=')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        find(&Checkout::of(&[(path, text)])).len()
    }

    #[test]
    fn a_crate_is_named_at_its_home_alone() {
        assert_eq!(found("init/src/boot.rs", "use rtnetlink::Handle;"), 1);
        assert_eq!(found("init/src/net/kernel.rs", "use rtnetlink::Handle;"), 0);
        assert_eq!(found("init/src/identity/given.rs", "fn f() { rcgen::generate() }"), 1);
        assert_eq!(found("init/src/http/guard.rs", "fn f() { unsafe { g() } }"), 1);
    }

    #[test]
    fn a_program_and_a_flag_are_found_in_strings() {
        assert_eq!(found("init/src/pods/stop.rs", "const P: &str = \"/usr/local/bin/crictl\";"), 1);
        assert_eq!(found("init/src/pods/stop.rs", "const P: &str = \"look with crictl ps\";"), 0);
        assert_eq!(found("builder/src/bake/step.rs", "fn f() { g([\"--label=a\"]) }"), 1);
    }

    #[test]
    fn data_does_not_behave() {
        assert_eq!(found("init/src/services/kubelet.rs", "async fn f() {}"), 1);
        assert_eq!(found("init/src/status/board.rs", "use std::fs;"), 1);
        assert_eq!(found("init/contract/src/names.rs", "use tokio::net;"), 1);
        assert_eq!(found("init/contract/src/names.rs", "pub const CLUSTER: &str = \"kind\";"), 0);
    }

    #[test]
    fn tests_and_doc_comments_may_name_everything() {
        assert_eq!(found("init/src/api/mod.rs", "//! Not rcgen.\n#[cfg(test)]\nmod tests { use rcgen::KeyPair; }"), 0);
        let declared =
            [("init/src/api/mod.rs", "#[cfg(test)]\nmod tests;"), ("init/src/api/tests.rs", "use rcgen::KeyPair;")];
        assert_eq!(find(&Checkout::of(&declared)), []);
    }
}
