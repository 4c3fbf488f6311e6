//! What containers receive of this host, and that no secret is shown on the way.

use std::fs;
use std::io::Read;

use super::*;
use crate::printer::Verbosity;
use crate::settings::Sources;

fn settings(env: &[(&str, &str)]) -> Settings {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Settings::resolve(&Sources { env, ..Sources::default() }).unwrap()
}

fn environment<'a>(variables: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
    |name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
}

fn certificate() -> String {
    // Its key was never written to a file.
    include_str!("../../tests/fixtures/ca.pem").to_owned()
}

/// The entries of a tar stream: path, mode and content.
fn unpacked(archive: &[u8]) -> Vec<(String, u32, String)> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        (format!("/{}", entry.path().unwrap().display()), entry.header().mode().unwrap(), text)
    });
    entries.collect()
}

#[test]
fn the_registries_file_travels_with_the_files_it_names_and_keeps_its_meaning() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    write(
        "registries.yaml",
        "registries:\n- {host: a.example, user: ci, passwordFile: secret, caFile: ca.pem, insecure: true}\n\
         - {host: docker.io, mirrors: [https://m.example]}\n- {host: b.example, user: u, password: hunter23}\n",
    );
    write("secret", "hunter22\n");
    write("ca.pem", &certificate());
    let file = directory.path().join("registries.yaml").display().to_string();
    let settings = settings(&[("KUBAKE_REGISTRIES_FILE", &file)]);
    let host_context = HostContext::for_up(&settings, |_| None).unwrap();

    let variable = ("KUBAKE_REGISTRIES_FILE".to_owned(), "/etc/kubake/handed-on/registries.yaml".to_owned());
    assert_eq!(host_context.variables(), [variable]);
    assert!(host_context.secret_variables().is_empty());
    let files = unpacked(&host_context.pack().unwrap().unwrap());
    let shown: Vec<(&str, u32)> = files.iter().map(|(path, mode, _)| (path.as_str(), *mode)).collect();
    let expected = [
        ("/etc/kubake/handed-on", 0o700),
        ("/etc/kubake/handed-on/registries.yaml", 0o600),
        ("/etc/kubake/handed-on/registry-0.crt", 0o600),
    ];
    assert_eq!(shown, expected);
    // As kubake-init reads it: no path of this machine is left.
    let root = tempfile::tempdir().unwrap();
    for (path, _, text) in &files[1..] {
        let text = text.replace(paths::HOST_CONTEXT, &root.path().display().to_string());
        fs::write(root.path().join(Path::new(path).file_name().unwrap()), text).unwrap();
    }
    let there = request::from_file(&root.path().join("registries.yaml"), None).unwrap();
    assert_eq!(Some(there), host_context.registries);
    assert_eq!(host_context.registries.as_ref().unwrap()[0].login.as_ref().unwrap().password, "hunter22");
    let text = format!("{host_context:?} {:?}", host_context.marks(&settings));
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn every_mistake_is_reported_with_its_origin_and_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("registries.yaml");
    fs::write(&file, "registries:\n- {host: registry, user: ci, password: hunter22}\n- {hosts: a.example}\n").unwrap();
    let file = file.display().to_string();
    let settings = settings(&[("KUBAKE_REGISTRIES_FILE", &file), ("KUBAKE_EXTRA_CA_CERTS", "/dev/null")]);
    let variables =
        [("REGISTRY", "ghcr.io"), ("REGISTRY_PASSWORD", "hunter22"), ("https_proxy", "http://me:hunter22@x:port")];
    let text = HostContext::for_up(&settings, environment(&variables)).unwrap_err().to_string();
    assert_eq!(
        text,
        format!(
            "6 problems with the settings:\
             \n  KUBAKE_EXTRA_CA_CERTS: `/dev/null`: there is no certificate in it; it takes one or more in PEM \
             (-----BEGIN CERTIFICATE-----)\
             \n  the environment: https_proxy: this is not the URL of a proxy; give one such as \
             http://proxy.example:3128, or leave it out\
             \n  KUBAKE_REGISTRIES_FILE: `{file}` registries[0].host: `registry` cannot be the registry of an image; \
             give a host with a dot or a port, such as registry.example:5000\
             \n  KUBAKE_REGISTRIES_FILE: `{file}` registries[1].hosts: is unknown; there are host, user, password, \
             passwordFile, mirrors, insecure, plainHttp, caFile\
             \n  KUBAKE_REGISTRIES_FILE: `{file}` registries[1].host: is missing\
             \n  the environment: REGISTRY and REGISTRY_PASSWORD are set and REGISTRY_USER is not, or empty; set all \
             three or none"
        )
    );
    // A bake does not check what its container does not receive.
    let text = HostContext::for_bake(&settings, environment(&variables[..2])).unwrap_err().to_string();
    assert!(text.starts_with("1 problem ") && text.contains("KUBAKE_EXTRA_CA_CERTS"), "{text}");
}

#[test]
fn a_registry_of_the_environment_travels_as_variables_and_may_not_contradict_the_file() {
    let three = [("REGISTRY", "a.example"), ("REGISTRY_USER", "ci"), ("REGISTRY_PASSWORD", "hunter22")];
    let host_context = HostContext::for_up(&settings(&[]), environment(&three)).unwrap();
    let expected = three.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(host_context.secret_variables(), expected);
    assert!(host_context.variables().is_empty() && host_context.pack().unwrap().is_none());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("registries.yaml");
    fs::write(&file, "registries:\n- {host: a.example, user: u, password: p}\n").unwrap();
    let settings = settings(&[("KUBAKE_REGISTRIES_FILE", &file.display().to_string())]);
    let text = HostContext::for_up(&settings, environment(&three)).unwrap_err().to_string();
    assert!(text.contains("both say how to log in at a.example; do so once"), "{text}");
    assert!(HostContext::for_up(&settings, environment(&[("REGISTRY", ""), ("REGISTRY_USER", " ")])).is_ok());
    let host_context = HostContext::for_up(&settings, environment(&[("REGISTRY", "a.example")])).unwrap();
    assert!(host_context.secret_variables().is_empty(), "REGISTRY alone is no login");
}

#[test]
fn proxies_travel_unless_only_this_machine_reaches_them() {
    let variables = [
        ("http_proxy", "http://127.0.0.1:3128"),
        ("HTTPS_PROXY", "http://me:hunter22@proxy.example:3128"),
        ("https_proxy", "http://other.example:1"),
        ("no_proxy", "localhost"),
    ];
    let host_context = HostContext::for_bake(&settings(&[]), environment(&variables)).unwrap();
    let names: Vec<&str> = host_context.proxies().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"]);
    assert_eq!(host_context.proxies()[1].1, variables[1].1, "of two spellings the first counts");
    let printer = Printer::capturing(Verbosity::Normal);
    host_context.warn(&printer);
    let text = printer.captured();
    assert!(text.contains("http_proxy leads to a loopback address"), "{text}");
    assert!(!format!("{text}{host_context:?}").contains("hunter22"), "{text}");

    let in_the_hosts =
        HostContext::for_bake(&settings(&[("KUBAKE_NETWORK", "host")]), environment(&variables)).unwrap();
    assert_eq!(in_the_hosts.proxies()[0], ("HTTP_PROXY".to_owned(), variables[0].1.to_owned()));
    let printer = Printer::capturing(Verbosity::Normal);
    in_the_hosts.warn(&printer);
    assert_eq!(printer.captured(), "");
}

#[test]
fn marks_distinguish_requests_and_hold_no_password() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (file, pem) = (path("registries.yaml"), path("ca.pem"));
    fs::write(&pem, certificate()).unwrap();
    let variables = [
        ("KUBAKE_REGISTRIES_FILE", file.as_str()),
        ("KUBAKE_EXTRA_CA_CERTS", pem.as_str()),
        ("KUBAKE_CPUS", "2.0"),
        ("KUBAKE_MEMORY", "2048m"),
    ];
    let settings = settings(&variables);
    let outside = [
        ("REGISTRY", "ghcr.io"),
        ("REGISTRY_USER", "ci"),
        ("REGISTRY_PASSWORD", "p"),
        ("HTTP_PROXY", "proxy.example:1"),
    ];
    let marks = |text: &str| {
        fs::write(&file, text).unwrap();
        HostContext::for_up(&settings, environment(&outside)).unwrap().marks(&settings)
    };
    let one = marks("registries:\n- {host: a.example, user: u, password: one}\n");
    let names: Vec<&str> = one.keys().map(String::as_str).collect();
    assert_eq!(names, ["HTTP_PROXY", "REGISTRY", "cpus", "extraCaCerts", "memory", "registriesFile"]);
    assert_eq!((one["cpus"].as_str(), one["memory"].as_str(), one["REGISTRY"].as_str()), ("2", "2g", "ghcr.io"));
    assert_eq!(marks("registries:\n- {host: a.example, user: u, password: other}\n"), one);
    assert_ne!(marks("registries:\n- {host: a.example, user: other, password: one}\n"), one);
}
