//! The settings as a whole: precedence, problems of all sources at once, and the agreement of everything that names one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kubake_contract::ClusterSettings;

use super::*;

fn sources(file: &str, env: &[(&str, &str)], flags: &[(Key, &str)]) -> Sources {
    Sources {
        file: Some((PathBuf::from("dir/kubake.yaml"), file.to_owned())),
        env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        flags: flags
            .iter()
            .map(|(key, text)| Entry {
                key: *key,
                value: Value::One((*text).to_owned()),
                origin: Origin::Flag(flag(*key)),
            })
            .collect(),
        ..Sources::default()
    }
}

#[test]
fn nothing_given_is_the_defaults() {
    let settings = Settings::resolve(&Sources::default()).unwrap();
    assert_eq!(settings.image, "kubake:latest-1.36");
    assert!(settings.is_default_image());
    assert_eq!(settings.cluster, ClusterSettings::default());
    assert_eq!(settings.origin(Key::NAME), &Origin::Default);
}

#[test]
fn flags_beat_environment_beats_file() {
    let file =
        "version: 1\nname: from-file\nimage: x:1\nimagesDir: more\nhostPorts:\n  api: auto\n  extra: [8080:80]\n";
    let settings = Settings::resolve(&sources(
        file,
        &[("KUBAKE_NAME", "from-env"), ("KUBAKE_IMAGE", "y:2"), ("KUBECONFIG", ":/a:/b"), ("KUBAKE_NETWORK", "")],
        &[(Key::NAME, "from-flag")],
    ))
    .unwrap();
    assert_eq!((settings.name.as_str(), settings.origin(Key::NAME)), ("from-flag", &Origin::Flag("--name")));
    assert_eq!(settings.image, "y:2");
    assert_eq!(settings.bake.images_dir.as_deref(), Some(Path::new("dir/more")));
    assert_eq!(settings.kubeconfig.as_deref(), Some(Path::new("/b")));
    assert_eq!(settings.container.network, None);
    assert_eq!(settings.ports.api.to_string(), "auto");
    assert_eq!(settings.origin(Key::API_PORT).to_string(), "dir/kubake.yaml:6 hostPorts.api");
}

#[test]
fn all_problems_of_all_sources_are_reported_at_once() {
    let file = "version: 1\npodSubnett: 10.0.0.0/8\nstaticIp: nowhere\ncertSans: one\nhostPorts:\n  http: off\n  apii: 3\n\
                serviceSubnet: 10.96.0.1/12\nname: [a]\n";
    let error = Settings::resolve(&sources(
        file,
        &[("KUBAKE_CERT_SANS", "good.example,-bad name!"), ("KUBAKE_API_PORT", "x")],
        &[(Key::READY_TIMEOUT, "soon"), (Key::KUBERNETES_VERSION, "1.20"), (Key::DOCKER_PORT, "99999")],
    ))
    .unwrap_err();
    insta::assert_snapshot!(error);
}

#[test]
fn a_broken_file_is_reported_with_its_position() {
    let mut reported = String::new();
    for text in [
        "name: x\n",
        "version: 2\n",
        "version: 1\nname: [a\n",
        "version: 1\nname: a\nname: b\n",
        "version: 1\nhostPorts:\n  api: 1\n  api: 2\n",
        "- a\n",
        "version: 1\nhostPorts: 3\n",
    ] {
        let error = Settings::resolve(&sources(text, &[], &[])).unwrap_err();
        reported.push_str(&format!("{text:?}\n{error}\n\n"));
    }
    insta::assert_snapshot!(reported);
}

#[test]
fn an_empty_file_is_no_problem() {
    for text in ["", "# nothing\n", "version: 1\nname:\nhostPorts:\n"] {
        Settings::resolve(&sources(text, &[], &[])).unwrap();
    }
}

#[test]
fn a_hook_that_may_take_no_time_is_a_problem() {
    let settings = Settings::resolve(&sources("version: 1\nhookTimeout: 90s\n", &[], &[])).unwrap();
    assert_eq!(settings.bake.hook_timeout, Duration::from_secs(90));
    let error = Settings::resolve(&sources("", &[("KUBAKE_HOOK_TIMEOUT", "0")], &[])).unwrap_err();
    assert!(error.to_string().contains("KUBAKE_HOOK_TIMEOUT: `0` leaves no time"), "{error}");
}

#[test]
fn limits_that_leave_no_room_for_a_cluster_are_problems() {
    let settings = Settings::resolve(&sources("version: 1\ncpus: 2.50\nmemory: 4GiB\n", &[], &[])).unwrap();
    let limits = (settings.container.cpus.unwrap().to_string(), settings.container.memory.unwrap().to_string());
    assert_eq!(limits, ("2.5".to_owned(), "4g".to_owned()));
    let error = Settings::resolve(&sources("version: 1\ncpus: 0.5\n", &[("KUBAKE_MEMORY", "512m")], &[])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "2 problems with the settings:\n  dir/kubake.yaml:2 cpus: `0.5` is too little: the control plane's pods alone ask \
         for 0.75 of a processor\n  KUBAKE_MEMORY: `512m` is too little: Kubernetes needs about 1g to boot"
    );
}

#[test]
fn an_addon_is_one_that_there_is() {
    let there = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    let given = |text| sources("", &[("KUBAKE_ADDONS", text)], &[]);
    let known = Sources { addons: there(&["helm", "metrics-server"]), ..given("metrics-server,helm helm") };
    let settings = Settings::resolve(&known).unwrap();
    assert_eq!(settings.bake.addons, ["helm", "metrics-server"]);
    assert_eq!(settings.missing_addons("helm,ingress,metrics-server"), None);
    assert_eq!(
        settings.missing_addons("helm"),
        Some(("addons".to_owned(), "helm,metrics-server".to_owned(), "helm".to_owned()))
    );
    assert_eq!(Settings::resolve(&given("")).unwrap().missing_addons(""), None);

    let unknown = Sources { addons: there(&["helm", "metrics-server"]), ..given("helm,metrics,../x") };
    let error = Settings::resolve(&unknown).unwrap_err().to_string();
    for reported in [
        "KUBAKE_ADDONS: `metrics` is not an add-on; choose from helm, metrics-server",
        "`../x` is not the name of an add-on",
    ] {
        assert!(error.contains(reported), "{error}");
    }
    // Without a checkout the names are unknown; a bake then reports what it needs.
    assert_eq!(Settings::resolve(&given("metrics")).unwrap().bake.addons, ["metrics"]);
}

#[test]
fn the_same_host_port_twice_is_a_problem() {
    let error = Settings::resolve(&sources("version: 1\nhostPorts: {api: 10080}\n", &[], &[])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "1 problem with the settings:\n  dir/kubake.yaml:2 hostPorts.api: hostPorts.api and hostPorts.http both want host port 10080"
    );
}

#[test]
fn the_reference_names_every_setting() {
    insta::assert_snapshot!(reference());
}

#[test]
fn readme_holds_the_reference() {
    let readme = include_str!("../../README.md");
    assert!(readme.contains(&reference()), "put what `kubake settings --reference` prints into builder/README.md");
}
