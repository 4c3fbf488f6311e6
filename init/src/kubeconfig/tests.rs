//! Kubeconfigs as kubeadm writes them, broken ones, and any host in one.

use kubake_contract::names;
use proptest::prelude::*;

use super::address::{Server, split_authority};
use super::*;

const ADMIN: &str = "\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: Q0E=
    server: https://172.30.99.1:8443
  name: kubernetes
contexts:
- context:
    cluster: kubernetes
    user: kubernetes-admin
  name: kubernetes-admin@kubernetes
current-context: kubernetes-admin@kubernetes
kind: Config
preferences: {}
users:
- name: kubernetes-admin
  user:
    client-certificate-data: Q0VSVA==
    client-key-data: S0VZ
";

fn server(text: &str) -> Server {
    Server::parse(text, 8443).unwrap()
}

#[test]
fn every_name_is_ours_and_the_credentials_are_kubeadms() {
    let text = render(ADMIN, &server("docker:32768"), Format::Yaml).unwrap();
    assert_eq!(
        text,
        "\
apiVersion: v1
kind: Config
clusters:
- name: kind
  cluster:
    certificate-authority-data: Q0E=
    server: https://docker:32768
    tls-server-name: kubernetes
contexts:
- name: kind
  context:
    cluster: kind
    user: kind
current-context: kind
users:
- name: kind
  user:
    client-certificate-data: Q0VSVA==
    client-key-data: S0VZ
"
    );
    let json = render(ADMIN, &server("docker:32768"), Format::Json).unwrap();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["clusters"][0]["cluster"]["server"], "https://docker:32768");
}

#[test]
fn a_half_written_file_is_refused() {
    assert!(matches!(render("", &server("a"), Format::Yaml), Err(KubeconfigError::Parse(_))));
    let cut = ADMIN.split_once("users:").unwrap().0;
    assert!(matches!(render(cut, &server("a"), Format::Yaml), Err(KubeconfigError::Parse(_))));
    let other = ADMIN.replace("user: kubernetes-admin", "user: someone-else");
    assert!(matches!(render(&other, &server("a"), Format::Yaml), Err(KubeconfigError::Missing { what: "user", .. })));
}

#[test]
fn keys_never_show_in_debug_output() {
    assert!(!format!("{:?}", Kubeconfig::parse(ADMIN).unwrap()).contains("S0VZ"));
}

#[test]
fn parts_are_taken_out_as_they_are() {
    for (part, expected) in [(Part::Ca, "CA"), (Part::ClientCert, "CERT"), (Part::ClientKey, "KEY")] {
        assert_eq!(pem(ADMIN, part).unwrap(), expected.as_bytes());
    }
    let error = pem(&ADMIN.replace("S0VZ", "S0V"), Part::ClientKey).unwrap_err();
    assert_eq!(error.to_string(), "the kubeconfig's client-key-data is not base64");
    let error = pem(&ADMIN.replace("S0VZ", "''"), Part::ClientKey).unwrap_err();
    assert_eq!(error.to_string(), "the kubeconfig's client-key-data is empty");
}

/// kubeadm's kubeconfig, broken in a few places as a disk or an editor would.
fn mutated() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "\\PC{0,12}",
        "[-:\n {}\\[\\]&*!|>'\"#%@,]{1,6}",
        Just("server: https://evil.example:1\n    ".to_owned()),
        Just("current-context: other\n".to_owned()),
        Just("- *a\n".to_owned()),
    ];
    let edits = prop::collection::vec((any::<prop::sample::Index>(), 0..40_usize, piece), 0..4);
    edits.prop_map(|edits| {
        let mut text: Vec<char> = ADMIN.chars().collect();
        for (at, removed, piece) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + removed).min(text.len());
            text.splice(at..end, piece.chars());
        }
        text.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn a_broken_kubeconfig_never_leads_elsewhere(admin in mutated(), host in "[a-z]{1,8}(:[1-9][0-9]{0,3})?") {
        let wanted = server(&host);
        for format in [Format::Yaml, Format::Json] {
            let Ok(rendered) = render(&admin, &wanted, format) else { continue };
            let read = Kubeconfig::parse(&rendered).unwrap();
            let (cluster, user) = read.current().unwrap();
            prop_assert_eq!(&cluster.server, &wanted.to_string());
            prop_assert_eq!(cluster.tls_server_name.as_deref(), Some(names::TLS_SERVER));
            prop_assert_eq!((read.clusters.len(), read.contexts.len(), read.users.len()), (1, 1, 1));
            // What is handed out is what is there, neither more nor less.
            let source = Kubeconfig::parse(&admin).unwrap();
            prop_assert_eq!(source.current().unwrap().1, user);
        }
        for part in [Part::Ca, Part::ClientCert, Part::ClientKey] {
            let _ = pem(&admin, part);
        }
    }
}

proptest! {
    #[test]
    fn no_host_breaks_the_yaml_or_adds_a_key(text in "\\PC*|[-a-zA-Z0-9._:\\[\\]\n\r\t #'\"{}&*!|>%@,]{0,40}") {
        if let Some((host, port)) = split_authority(&text) {
            let wanted = Server { host, port: port.unwrap_or(8443) };
            for format in [Format::Yaml, Format::Json] {
                let rendered = render(ADMIN, &wanted, format).unwrap();
                let expected = Kubeconfig::parse(ADMIN).unwrap().for_callers(&wanted).unwrap();
                prop_assert_eq!(Kubeconfig::parse(&rendered).unwrap(), expected);
                if format == Format::Yaml {
                    prop_assert_eq!(rendered.lines().count(), 19);
                }
            }
            // What is printed is read back as the same thing, so nothing was smuggled through.
            prop_assert_eq!(Server::parse(&wanted.to_string(), 1).unwrap(), wanted);
        }
    }
}
