//! Tests with entries of other tools, broken files and links.

use proptest::prelude::*;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_yaml::{Mapping, Value};

use super::entries::Entries;
use super::error::{Error, Wrong};
use super::file::{add, check, remove};
use super::merge::{find, mapping, merge, strip};

const SERVED: &str = "apiVersion: v1\nkind: Config\ncurrent-context: kind\nclusters:\n- name: kind\n  cluster:\n    server: https://127.0.0.1:8443\n    \
                      certificate-authority-data: Q0E=\n    tls-server-name: kubernetes\nusers:\n- name: kind\n  user:\n    client-certificate-data: QQ==\n    \
                      client-key-data: Qg==\ncontexts:\n- name: kind\n  context: {cluster: kind, user: kind}\n";

const ENGINE: &str = "unix:///var/run/docker.sock";

const FOREIGN: &str = "apiVersion: v1\nkind: Config\nx-unknown: {kept: [1, 2]}\npreferences: {colors: true}\ncurrent-context: work\nclusters:\n\
                       - name: work\n  cluster: {server: 'https://work:6443', x-more: 1}\nusers:\n- name: work\n  user:\n    exec: {command: aws, args: [eks]}\n\
                       contexts:\n- name: work\n  context: {cluster: work, user: work, namespace: team}\n";

fn entries(name: &str) -> Entries {
    Entries::from_served(SERVED, name, Some("https://127.0.0.1:9443"), ENGINE).unwrap()
}

fn tree(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

#[test]
fn merged_beside_foreign_entries() {
    let mut merged = tree(FOREIGN);
    merge(&mut merged, &entries("kubake"), true).unwrap();
    insta::assert_snapshot!(serde_yaml::to_string(&merged).unwrap());
}

#[test]
fn into_nothing_and_out_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new/config");
    add(&path, &entries("kubake"), true).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(remove(&path, "kubake", ENGINE).unwrap());
    assert!(!remove(&path, "kubake", ENGINE).unwrap());
    let left = tree(&fs::read_to_string(&path).unwrap());
    assert_eq!(left.get("current-context").and_then(Value::as_str), Some(""));
    assert!(!remove(&directory.path().join("absent"), "kubake", ENGINE).unwrap());
}

#[test]
fn current_context_is_set_only_where_asked_and_given_back() {
    let mut quiet = tree(FOREIGN);
    merge(&mut quiet, &entries("kubake"), false).unwrap();
    assert_eq!(quiet.get("current-context").and_then(Value::as_str), Some("work"));

    let mut twice = tree(FOREIGN);
    merge(&mut twice, &entries("kubake"), true).unwrap();
    merge(&mut twice, &entries("kubake"), true).unwrap();
    assert_eq!(twice.get("current-context").and_then(Value::as_str), Some("kubake"));
    assert!(strip(&mut twice, "kubake", ENGINE).unwrap());
    assert_eq!(twice, tree(FOREIGN));

    // The user has chosen another context in between, which stays.
    let mut moved = tree(FOREIGN);
    merge(&mut moved, &entries("kubake"), true).unwrap();
    mapping(&mut moved).unwrap().insert("current-context".into(), "work".into());
    strip(&mut moved, "kubake", ENGINE).unwrap();
    assert_eq!(moved, tree(FOREIGN));
}

#[test]
fn a_cluster_of_another_engine_keeps_its_context() {
    let mut merged = tree(FOREIGN);
    merge(&mut merged, &entries("kubake"), true).unwrap();
    let before = merged.clone();
    let wrong = strip(&mut merged, "kubake", "tcp://elsewhere:2376").unwrap_err();
    assert_eq!(wrong, Wrong::OtherEngine { name: "kubake".to_owned(), engine: ENGINE.to_owned() });
    assert_eq!(merged, before);
}

#[test]
fn a_second_up_keeps_the_namespace_of_the_context() {
    let mut twice = tree(FOREIGN);
    merge(&mut twice, &entries("kubake"), true).unwrap();
    for entry in twice["contexts"].as_sequence_mut().unwrap() {
        if entry["name"] == "kubake" {
            entry["context"]["namespace"] = "team".into();
        }
    }
    let once = twice.clone();
    merge(&mut twice, &entries("kubake"), true).unwrap();
    assert_eq!(twice, once);
}

#[test]
fn a_device_is_refused_and_stays() {
    let error = add(std::path::Path::new("/dev/null"), &entries("kubake"), true).unwrap_err();
    assert_eq!(error.to_string(), "the kubeconfig `/dev/null` is not a regular file");
    assert!(matches!(check(std::path::Path::new("/dev/null"), "kubake"), Err(Error::NoFile { .. })));
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn strings_of_older_yaml_stay_strings() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config");
    fs::write(&path, FOREIGN.replace("args: [eks]", "args: ['no', \"on\", '1_000']")).unwrap();
    add(&path, &entries("kubake"), true).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("- \"no\"\n") && text.contains("- \"on\"\n") && text.contains("- \"1_000\"\n"), "{text}");
}

#[test]
#[ignore = "needs root"]
fn the_owner_stays_also_of_a_new_file() {
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(directory.path(), Some(1234), Some(1235)).unwrap();
    let path = directory.path().join("config");
    add(&path, &entries("kubake"), true).unwrap();
    add(&path, &entries("other"), true).unwrap();
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), (1234, 1235));
}

#[test]
#[ignore = "needs root"]
fn a_mounted_file_is_rewritten_in_place() {
    let directory = tempfile::tempdir().unwrap();
    let (real, mounted) = (directory.path().join("real"), directory.path().join("mounted"));
    fs::write(&real, FOREIGN).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&mounted, "").unwrap();
    let flags = nix::mount::MsFlags::MS_BIND;
    nix::mount::mount(Some(&real), &mounted, None::<&str>, flags, None::<&str>).unwrap();
    let added = add(&mounted, &entries("kubake"), true);
    nix::mount::umount(&mounted).unwrap();
    added.unwrap();
    assert!(fs::read_to_string(&real).unwrap().contains("name: kubake"));
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_foreign_entry_is_neither_overwritten_nor_removed() {
    let mut theirs = tree(FOREIGN);
    assert_eq!(
        merge(&mut theirs, &entries("work"), true),
        Err(Wrong::Foreign { kind: "cluster", name: "work".to_owned() })
    );
    assert!(!strip(&mut theirs, "work", ENGINE).unwrap());
    assert_eq!(theirs, tree(FOREIGN));
}

#[test]
fn a_file_that_cannot_be_parsed_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config");
    for broken in ["a: [", "- a\n- b\n", "clusters: 3\n", "contexts: {}\n", "a: 1\na: 2\n", "text"] {
        fs::write(&path, broken).unwrap();
        let error = add(&path, &entries("kubake"), true).unwrap_err();
        assert!(matches!(error, Error::Yaml { .. } | Error::Shape { .. }), "{broken}: {error}");
        assert_eq!(check(&path, "kubake").unwrap_err().to_string(), error.to_string());
        assert_eq!(fs::read_to_string(&path).unwrap(), broken);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}

#[test]
fn a_link_stays_a_link() {
    let directory = tempfile::tempdir().unwrap();
    let real = directory.path().join("dotfiles");
    let link = directory.path().join("config");
    fs::write(&real, FOREIGN).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o644)).unwrap();
    std::os::unix::fs::symlink("dotfiles", &link).unwrap();
    add(&link, &entries("kubake"), true).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    // kubectl locks the name that it was given.
    let lock = link.with_file_name(format!("{}.lock", link.file_name().unwrap().to_str().unwrap()));
    fs::write(&lock, "").unwrap();
    let error = add(&link, &entries("other"), false).unwrap_err();
    assert!(matches!(&error, Error::Locked { path } if *path == lock), "{error}");
    fs::remove_file(&lock).unwrap();
    assert!(fs::read_to_string(&real).unwrap().contains("name: kubake"));
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_the_cluster_serves_is_checked() {
    for text in ["", "oops", "clusters: []", "clusters: [{name: a, cluster: {server: x}}]", "{"] {
        assert!(matches!(Entries::from_served(text, "a", None, ENGINE), Err(Error::Served(_))), "{text}");
    }
    let mut fresh = Value::Null;
    merge(&mut fresh, &entries("b"), true).unwrap();
    assert_eq!(fresh.get("current-context").and_then(Value::as_str), Some("b"));
}

fn foreign_tree() -> impl Strategy<Value = Value> {
    let name = "[a-z]{1,6}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
    ];
    let entry = (name, "[a-z-]{1,8}", leaf.clone()).prop_map(|(name, key, leaf)| {
        let inner = Mapping::from_iter([(Value::from(key), leaf)]);
        Value::Mapping(Mapping::from_iter([
            ("name".into(), Value::from(format!("other-{name}"))),
            ("cluster".into(), Value::Mapping(inner)),
        ]))
    });
    let list = || prop::collection::vec(entry.clone(), 0..4).prop_map(Value::Sequence);
    (list(), list(), list(), leaf, "other-[a-z]{1,6}").prop_map(|(clusters, users, contexts, extra, current)| {
        Value::Mapping(Mapping::from_iter([
            ("x-extra".into(), extra),
            ("clusters".into(), clusters),
            ("users".into(), users),
            ("contexts".into(), contexts),
            ("current-context".into(), Value::from(current)),
        ]))
    })
}

proptest! {
    #[test]
    fn in_and_out_leaves_everything_else(before in foreign_tree(), set_context: bool) {
        let mut after = before.clone();
        merge(&mut after, &entries("kubake"), set_context).unwrap();
        let written = serde_yaml::to_string(&after).unwrap();
        let mut after = tree(&written);
        prop_assert!(strip(&mut after, "kubake", ENGINE).unwrap());
        let mut expected = before.clone();
        let current = before.get("current-context").and_then(Value::as_str).unwrap().to_owned();
        if set_context && find(before.as_mapping().unwrap(), "contexts", &current).unwrap().is_none() {
            // The previous context did not exist, so nothing is restored.
            mapping(&mut expected).unwrap().insert("current-context".into(), "".into());
        }
        prop_assert_eq!(after, expected);
    }
}
