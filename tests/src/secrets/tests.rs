//! Every kind of secret in small images: found where it was planted, and not where something only looks like it.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::plant::{kubeconfig, pem, pem_of, structure, token};
use super::{Authorities, Finding, Kind, Origin, Report, scan};

type Files<'a> = &'a [(&'a str, &'a [u8])];

fn tar_of(files: Files<'_>) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        builder.append_data(&mut header, path, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// What `docker save` writes for these layers. The manifest comes last, as it does there.
fn saved(layers: &[Vec<u8>], configuration: &Value) -> Vec<u8> {
    let names: Vec<String> = (1..=layers.len()).map(|number| format!("blobs/sha256/layer{number}")).collect();
    let configuration = configuration.to_string();
    let manifest = json!([{ "Config": "blobs/sha256/config", "RepoTags": [], "Layers": names }]).to_string();
    let mut files: Vec<(&str, &[u8])> = vec![("blobs/sha256/config", configuration.as_bytes())];
    files.extend(names.iter().zip(layers).map(|(name, layer)| (name.as_str(), layer.as_slice())));
    files.push(("manifest.json", manifest.as_bytes()));
    tar_of(&files)
}

fn report(layers: &[Files<'_>], host: &Authorities) -> Report {
    let layers: Vec<Vec<u8>> = layers.iter().map(|files| tar_of(files)).collect();
    scan(saved(&layers, &json!({})).as_slice(), host).unwrap()
}

/// The kinds that are found in one file, each once.
fn kinds(path: &str, content: impl AsRef<[u8]>) -> Vec<Kind> {
    let report = report(&[&[(path, content.as_ref())]], &Authorities::default());
    let mut kinds: Vec<Kind> = report.findings.iter().map(|finding| finding.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

const NOTHING: [Kind; 0] = [];

#[test]
fn each_kind_is_found_in_a_layer_whose_file_a_later_layer_deletes() {
    let host = pem_of("CERTIFICATE", &[&[0x30, 0x76][..], &[7; 0x76]].concat());
    let authority = format!("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n{host}");
    let planted = [
        ("usr/share/thing/server.pem", pem("RSA PRIVATE KEY"), Kind::PrivateKey),
        ("etc/kubernetes/pki/ca.crt", pem("CERTIFICATE"), Kind::ClusterTrust),
        ("home/user/config", kubeconfig(), Kind::Kubeconfig),
        ("var/log/pods.log", format!("got {} today\n", token()), Kind::Token),
        ("etc/kubernetes/join.yaml", "token: a1b2c3.0123456789abcdef\n".to_owned(), Kind::BootstrapToken),
        (
            "root/.docker/config.json",
            json!({"auths": {"r.example": {"auth": "dTpw"}}}).to_string(),
            Kind::RegistryCredential,
        ),
        ("etc/ssl/certs/ca-certificates.crt", authority, Kind::HostAuthority),
        ("etc/ssh/ssh_host_ed25519_key", "anything".to_owned(), Kind::SshHostKey),
        ("root/.bash_history", "ls\n".to_owned(), Kind::ShellHistory),
        ("etc/machine-id", "0123456789abcdef0123456789abcdef\n".to_owned(), Kind::MachineId),
    ];
    for (path, content, kind) in &planted {
        let directory = path.rsplit_once('/').unwrap();
        let whiteout = format!("{}/.wh.{}", directory.0, directory.1);
        let layers: [Files<'_>; 3] = [&[("etc/hostname", b"x\n")], &[(path, content.as_bytes())], &[(&whiteout, b"")]];
        let report = report(&layers, &Authorities::parse(host.as_bytes()));
        let found = report.findings.iter().find(|finding| finding.kind == *kind);
        let found = found.unwrap_or_else(|| panic!("{path}: {}", report.lines()));
        assert_eq!(found.origin, Origin::Layer(2, "blobs/sha256/layer2".to_owned()));
        assert_eq!(found.path, *path);
        assert_eq!(report.layers, 3);
        // The report says where, and not what.
        let text = report.lines();
        assert!(!content.trim().lines().any(|line| line.len() > 12 && text.contains(line.trim())), "{text}");
    }
}

#[test]
fn an_image_without_secrets_has_no_finding() {
    let files: Files<'_> = &[
        ("etc/hostname", b"kind\n"),
        ("etc/machine-id", b""),
        ("var/lib/dbus/machine-id", b"uninitialized\n"),
        ("root/.bash_history", b""),
        ("root/.bashrc", b"export HISTFILE=.bash_history\n"),
        ("etc/ssh/ssh_host_ed25519_key.pub", b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI host\n"),
    ];
    assert_eq!(report(&[files], &Authorities::default()).findings, []);
}

#[test]
fn private_keys_of_all_labels_are_found() {
    for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
        assert_eq!(kinds("srv/key", pem(label)), [Kind::PrivateKey], "{label}");
    }
    let openssh = [b"openssh-key-v1\0".as_slice(), &[9; 60]].concat();
    assert_eq!(kinds("srv/key", pem_of("OPENSSH PRIVATE KEY", &openssh)), [Kind::PrivateKey]);
    assert_eq!(kinds("srv/key", pem_of("PGP PRIVATE KEY BLOCK", &[0x95; 80])), [Kind::PrivateKey]);
    let old = pem_of("RSA PRIVATE KEY", &[0xa7; 80]);
    let old = old.replacen('\n', "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00FF\n\n", 1);
    assert_eq!(kinds("srv/key", old), [Kind::PrivateKey]);
}

#[test]
fn a_private_key_is_found_however_it_is_wrapped() {
    let key = pem("PRIVATE KEY");
    assert_eq!(kinds("srv/a", json!({"key": key}).to_string()), [Kind::PrivateKey]);
    assert_eq!(kinds("srv/a", json!({"text": json!({"key": key}).to_string()}).to_string()), [Kind::PrivateKey]);
    assert_eq!(kinds("srv/a", key.replace('\n', "\r\n")), [Kind::PrivateKey]);
    assert_eq!(kinds("srv/a", format!("key: |\n  {}", key.replace('\n', "\n  "))), [Kind::PrivateKey]);
    // In the middle of other bytes, and in base64 wherever it lies in a group of three.
    assert_eq!(kinds("srv/a", [&[0xff, 0, b'a'], key.as_bytes(), &[0xfe]].concat()), [Kind::PrivateKey]);
    for before in ["", "x", "xy", "xyz"] {
        let encoded = STANDARD.encode(format!("{before}{key}"));
        assert_eq!(kinds("srv/a", format!("tls.key: {encoded}\nother: 1\n")), [Kind::PrivateKey], "{before:?}");
    }
    assert_eq!(kinds("srv/a.gz", gzip(key.as_bytes())), [Kind::PrivateKey]);
}

#[test]
fn what_only_speaks_of_a_private_key_is_none() {
    let lookalikes = [
        "-----BEGIN RSA PRIVATE KEY-----\0-----END RSA PRIVATE KEY-----\0".to_owned(),
        "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n".to_owned(),
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC...\n-----END PRIVATE KEY-----\n".to_owned(),
        "-----BEGIN PRIVATE KEY-----\n<base64 of your key>\n-----END PRIVATE KEY-----\n".to_owned(),
        // No structure in it, and one that ends as something else.
        pem_of("PRIVATE KEY", &[0; 120]),
        pem("PRIVATE KEY").replace("END PRIVATE KEY", "END CERTIFICATE"),
        pem_of("PRIVATE KEY", &[0x30, 3, 2, 1, 0]),
        pem("PUBLIC KEY"),
        pem("CERTIFICATE"),
        STANDARD.encode("-----BEGIN PRIVATE KEY-----\nhere\n-----END PRIVATE KEY-----\n"),
    ];
    for lookalike in lookalikes {
        assert_eq!(kinds("usr/bin/program", &lookalike), NOTHING, "{lookalike}");
    }
}

#[test]
fn trust_is_found_where_a_cluster_lies_and_nowhere_else() {
    let certificate = pem("CERTIFICATE");
    let encoded = format!("certificate-authority-data: {}\n", STANDARD.encode(&certificate));
    let paths = [
        "etc/kubernetes/x",
        "etc/kubake/docker/ca.pem",
        "var/lib/kubelet/pki/x",
        "var/lib/etcd/member/snap/db",
        "root/x",
    ];
    for path in paths {
        assert_eq!(kinds(path, &certificate), [Kind::ClusterTrust], "{path}");
        assert_eq!(kinds(path, &encoded), [Kind::ClusterTrust], "{path}");
        assert_eq!(kinds(path, pem("PUBLIC KEY")), [Kind::ClusterTrust], "{path}");
    }
    for path in ["usr/share/ca-certificates/mozilla/X.crt", "etc/kubernetes-not/x", "srv/etc/kubernetes/x", "rootfs/x"]
    {
        assert_eq!(kinds(path, &certificate), NOTHING, "{path}");
    }
    // What is filled in at the first boot.
    let placeholder = pem_of("CERTIFICATE", &[0; 400]);
    for path in paths {
        assert_eq!(kinds(path, &placeholder), NOTHING, "{path}");
    }
}

#[test]
fn what_a_database_has_not_overwritten_is_found() {
    let db = "var/lib/etcd/member/snap/db";
    let certificate = pem("CERTIFICATE");
    let (head, tail) = certificate.split_at(certificate.len() / 2);
    assert_eq!(kinds(db, format!("{head}\0\0\0")), [Kind::ClusterTrust]);
    assert_eq!(kinds(db, format!("\0\0\0{tail}")), [Kind::ClusterTrust]);
    let key = pem("EC PRIVATE KEY");
    let (head, tail) = key.split_at(key.len() / 2);
    assert_eq!(kinds(db, format!("{head}\0\0\0")), [Kind::PrivateKey]);
    assert_eq!(kinds(db, format!("\0\0\0{tail}")), [Kind::PrivateKey]);
    assert_eq!(kinds(db, format!("\0ca.crt\0{}", json!({"ca": certificate}))), [Kind::ClusterTrust]);
    for text in ["\0-----END CERTIFICATE-----\n", "the line is -----END CERTIFICATE----- and no other"] {
        assert_eq!(kinds(db, text), NOTHING, "{text}");
    }
    // Elsewhere half a key is what documentation shows.
    assert_eq!(kinds("usr/share/x", head), NOTHING);
}

#[test]
fn bootstrap_tokens_are_found() {
    let db = "var/lib/etcd/member/snap/db";
    for text in
        ["\0/registry/secrets/kube-system/bootstrap-token-a1b2c3\0", "bootstrap-token-a1b2c3", "jws-kubeconfig-a1b2c3"]
    {
        assert_eq!(kinds(db, text), [Kind::BootstrapToken], "{text}");
    }
    for text in ["bootstrap-token-", "bootstrap-token-%s", "system:bootstrappers:kubeadm:default-node-token"] {
        assert_eq!(kinds(db, text), NOTHING, "{text}");
    }
    for text in ["a1b2c3.0123456789abcdef", "token: \"a1b2c3.0123456789abcdef\"\n", "--token a1b2c3.0123456789abcdef "]
    {
        assert_eq!(kinds("etc/kubernetes/x", text), [Kind::BootstrapToken], "{text}");
        assert_eq!(kinds("opt/kubeadm.yaml", text), [Kind::BootstrapToken], "{text}");
    }
    // Events are named like this, and files.
    for text in
        ["x-a1b2c3.0123456789abcdef", "a1b2c3.0123456789abcdef0", "a1b2c3.0123456789abcde", "A1b2c3.0123456789abcdef"]
    {
        assert_eq!(kinds("etc/kubernetes/x", text), NOTHING, "{text}");
    }
}

#[test]
fn kubeconfigs_with_credentials_are_found() {
    let with = |user: &str| format!("apiVersion: v1\nkind: Config\nusers:\n- name: x\n  user:\n{user}");
    assert_eq!(kinds("srv/config", with("    token: abc123\n")), [Kind::Kubeconfig]);
    assert_eq!(kinds("srv/config", with("    username: x\n    password: y\n")), [Kind::Kubeconfig]);
    let json = json!({"kind": "Config", "users": [{"name": "x", "user": {"token": "abc123"}}]});
    assert_eq!(kinds("srv/config", json.to_string()), [Kind::Kubeconfig]);
    assert_eq!(kinds("srv/config", serde_json::to_string_pretty(&json).unwrap()), [Kind::Kubeconfig]);
    let data = STANDARD.encode(structure());
    assert_eq!(kinds("srv/config", json!({"client-key-data": data}).to_string()), [Kind::Kubeconfig]);

    let without = [
        with("    client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem\n"),
        with("    token: \"\"\n    # token: abc123\n    client-key-data: \"\"\n"),
        with("    tokenFile: /var/run/token\n"),
        "kind: ConfigMap\nusers: 1\ntoken: abc123\n".to_owned(),
        "client-key-data,omitempty client-certificate-data: not set".to_owned(),
    ];
    for text in without {
        assert_eq!(kinds("srv/config", &text), NOTHING, "{text}");
    }
}

#[test]
fn tokens_are_found() {
    let token = token();
    assert_eq!(kinds("srv/x", [b"\x02R", token.as_bytes(), b"\0"].concat()), [Kind::Token]);
    assert_eq!(kinds("srv/x", format!("  token: {}\n", STANDARD.encode(&token))), [Kind::Token]);
    let (rest, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = rest.split_once('.').unwrap();
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    for text in [
        rest.to_owned(),
        format!("{header}.{payload}."),
        format!("{}.{payload}.{signature}", part(r#"{"typ":"none"}"#)),
        format!("{header}.{}.{signature}", part("not an object")),
        // What kubeadm has as an example of a signature.
        format!("{header}..{signature}"),
        "eyJhbGciOi is how they begin".to_owned(),
    ] {
        assert_eq!(kinds("srv/x", &text), NOTHING, "{text}");
    }
    assert_eq!(kinds("var/lib/etcd/member/snap/db", format!("{header}..{signature}")), [Kind::Token]);
}

#[test]
fn credentials_of_registries_are_found() {
    let auths = |entry: Value| json!({"auths": {"registry.example": entry}}).to_string();
    let identity = auths(json!({"identitytoken": "abc"}));
    let cases = [
        ("var/lib/kubelet/config.json", auths(json!({"auth": "dTpw"}))),
        ("root/.docker/config.json", identity.clone()),
        ("srv/manifest.json", json!({"text": identity}).to_string().replace("\\\"", "\"")),
        ("srv/secret.yaml", format!(".dockerconfigjson: {}\n", STANDARD.encode(&identity))),
        ("root/.dockercfg", json!({"registry.example": {"auth": "dTpw"}}).to_string()),
        ("root/.netrc", "machine registry.example login u password p\n".to_owned()),
        ("etc/apt/auth.conf.d/x.conf", "machine x login u password p\n".to_owned()),
        ("etc/apt/sources.list.d/x.list", "deb https://u:p@packages.example/ x main\n".to_owned()),
        ("etc/containerd/config.toml", "[a.auth]\n  password = \"p\"\n".to_owned()),
        ("etc/containerd/certs.d/x/hosts.toml", "[header]\n  authorization = [\"Basic dTpw\"]\n".to_owned()),
    ];
    for (path, content) in cases {
        assert_eq!(kinds(path, &content), [Kind::RegistryCredential], "{path}");
    }
    let lookalikes = [
        ("root/.docker/config.json", json!({"auths": {}}).to_string()),
        ("root/.docker/config.json", auths(json!({}))),
        ("root/.docker/config.json", auths(json!({"auth": ""}))),
        ("usr/bin/docker", "\0\"auths\"\0\"auth\": \"x\"\0".to_owned()),
        ("root/.netrc", "# password\n".to_owned()),
        ("etc/containerd/config.toml", "  # password = \"p\"\n  password = \"\"\n  auth_type = \"x\"\n".to_owned()),
        ("etc/apt/sources.list", "deb https://packages.example/a@b:c x main\n".to_owned()),
    ];
    for (path, content) in lookalikes {
        assert_eq!(kinds(path, &content), NOTHING, "{path}: {content}");
    }
}

#[test]
fn authorities_of_the_build_host_are_found_unless_debian_brings_them_along() {
    let certificate = |filler: u8| pem_of("CERTIFICATE", &[&[0x30, 0x76][..], &[filler; 0x76]].concat());
    let (public, own, strange) = (certificate(1), certificate(2), certificate(3));
    let host = Authorities::parse(format!("{public}{own}").as_bytes());
    let bundle = format!("{public}{own}{strange}");
    // The package comes after the bundle, and so it is only known at the end.
    let layers: [Files<'_>; 2] = [
        &[("etc/ssl/certs/ca-certificates.crt", bundle.as_bytes())],
        &[("usr/share/ca-certificates/mozilla/Public.crt", public.as_bytes())],
    ];
    let expected = Finding {
        origin: Origin::Layer(1, "blobs/sha256/layer1".to_owned()),
        path: "etc/ssl/certs/ca-certificates.crt".to_owned(),
        offset: public.len(),
        kind: Kind::HostAuthority,
    };
    assert_eq!(report(&layers, &host).findings, [expected]);
    assert_eq!(report(&layers[1..], &host).findings, []);
}

#[test]
fn the_configuration_is_looked_at() {
    let configuration = json!({
        "config": {
            "Env": ["PATH=/bin", format!("KEY={}", pem("PRIVATE KEY")), "GOPROXY=https://u:p@proxy.example,direct"],
            "Labels": { "token": token(), "home": "https://kubake.example/a@b" },
        },
        "history": [{ "created_by": format!("RUN echo '{}'", json!({"auths": {"x": {"auth": "dTpw"}}})) }],
    });
    let layers = [tar_of(&[("etc/hostname", b"x\n")])];
    let report = scan(saved(&layers, &configuration).as_slice(), &Authorities::default()).unwrap();
    let found: Vec<(&str, Kind)> =
        report.findings.iter().map(|finding| (finding.path.as_str(), finding.kind)).collect();
    assert!(report.findings.iter().all(|finding| finding.origin == Origin::Configuration));
    let expected = [
        ("config.Env[1]", Kind::PrivateKey),
        ("config.Env[2]", Kind::RegistryCredential),
        ("config.Labels.token", Kind::Token),
        ("history[0].created_by", Kind::RegistryCredential),
    ];
    assert_eq!(found, expected);
}

#[test]
fn packed_layers_are_unpacked_and_what_is_no_image_is_an_error() {
    let key = pem("PRIVATE KEY");
    let layer = tar_of(&[("srv/key", key.as_bytes())]);
    let report = scan(saved(&[gzip(&layer)], &json!({})).as_slice(), &Authorities::default()).unwrap();
    assert_eq!(report.findings.len(), 1, "{}", report.lines());
    // An empty layer is one, too.
    let empty = scan(saved(&[tar_of(&[])], &json!({})).as_slice(), &Authorities::default()).unwrap();
    assert_eq!((empty.layers, empty.findings.len()), (1, 0));

    let error = |archive: &[u8]| format!("{:#}", scan(archive, &Authorities::default()).unwrap_err());
    assert!(error(&tar_of(&[])).contains("manifest.json"));
    // In an unknown form (zstd), nothing is known about a layer.
    assert!(error(&saved(&[b"\x28\xb5\x2f\xfd and so on".to_vec()], &json!({}))).contains("layer1"));
    let archive = saved(&[layer], &json!({}));
    error(&archive[..archive.len() / 2]);
}
