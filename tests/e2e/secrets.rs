//! No layer of an image and no part of its configuration holds a secret. And the proof that the search finds secrets.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use kubake_contract::paths;
use kubake_e2e::engine::{self, Container, Images};
use kubake_e2e::lab::{self, lab};
use kubake_e2e::secrets::{self, Authorities, Finding, Kind, Origin, Report, plant};
use kubake_e2e::{LABEL, PREFIX};

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    ("no layer of the baked image holds a secret, nor does its configuration", nothing),
    ("what is planted in the image is found, also after a later layer deleted it", planted),
];

const PLANTED: &str = "kubake-e2e/planted:1";
const DELETED: &str = "kubake-e2e/planted:2";
const KEY: &str = "srv/kubake-e2e.key";
const KUBECONFIG: &str = "srv/kubake-e2e.conf";
/// etcd's database, which is in the image and gets a certificate.
const DATABASE: &str = "var/lib/etcd/member/snap/db";
/// A label that gets a token.
const LABELLED: &str = "kubake-e2e-planted";

/// How many layers the engine says an image has.
fn layers(image: &str) -> Result<usize> {
    let count = engine::run(["image", "inspect", "--format", "{{len .RootFS.Layers}}", image])?;
    count.parse().with_context(|| format!("the engine counts {count:?} layers"))
}

/// Searches an image and checks that nothing was skipped.
pub(crate) fn look(image: &str) -> Result<Report> {
    let report = secrets::of_image(image, &Authorities::of_host()?)?;
    let expected = layers(image)?;
    ensure!(report.layers == expected, "{} of {expected} layers of {image} were looked at", report.layers);
    // From the lowest layer, from those in between, and from the highest.
    let inventory = paths::INVENTORY.trim_start_matches('/');
    for path in ["etc/debian_version", "usr/local/bin/kube-node", DATABASE, inventory] {
        ensure!(report.files.contains(path), "`{path}` was not looked at; was {image} walked at all?");
    }
    Ok(report)
}

fn nothing() -> Result<()> {
    let report = look(lab()?.image()?)?;
    ensure!(report.findings.is_empty(), "{} secrets are in the image:\n{}", report.findings.len(), report.lines());
    Ok(())
}

fn planted() -> Result<()> {
    let image = lab()?.image()?;
    let _images = Images::guard([DELETED, PLANTED]);
    let directory = lab()?.directory()?;
    plant_in(image, directory.path())?;
    {
        let name = format!("{PREFIX}-deleting");
        let deleting = Container::guard(name.as_str());
        let key = format!("/{KEY}");
        engine::run(["run", "--name", &name, "--label", LABEL, "--entrypoint", "rm", PLANTED, &key])?;
        engine::run(["commit", deleting.name(), DELETED])?;
    }

    let below = layers(image)?;
    let report = look(DELETED)?;
    ensure!(report.layers == below + 2, "{} layers became {}", below, report.layers);
    let whiteout = KEY.replace("srv/", "srv/.wh.");
    ensure!(report.files.contains(&whiteout), "the key was not deleted again, so nothing would be proved");
    let planted = [(KEY, Kind::PrivateKey), (KUBECONFIG, Kind::Kubeconfig), (DATABASE, Kind::ClusterTrust)];
    for (path, kind) in planted {
        let origin = |finding: &Finding| matches!(finding.origin, Origin::Layer(number, _) if number == below + 1);
        let mut found = report.findings.iter().filter(|finding| finding.path == path && finding.kind == kind);
        ensure!(found.any(origin), "{kind} in `{path}` of layer {} is not found:\n{}", below + 1, report.lines());
    }
    let labelled = format!("config.Labels.{LABELLED}");
    let mut found = report.findings.iter().filter(|finding| finding.path == labelled && finding.kind == Kind::Token);
    ensure!(
        found.any(|finding| finding.origin == Origin::Configuration),
        "the token in a label is not found:\n{}",
        report.lines()
    );
    Ok(())
}

/// Makes [`PLANTED`]: one more layer, with a private key, a kubeconfig and a certificate in etcd's database, and a token in
/// the configuration.
fn plant_in(image: &str, directory: &Path) -> Result<()> {
    let name = format!("{PREFIX}-planting");
    let planting = Container::guard(name.as_str());
    engine::run(["create", "--name", &name, "--label", LABEL, image])?;
    let place = |path: &str| format!("{}:/{path}", planting.name());
    let database = directory.join("db");
    engine::run(["cp".as_ref(), place(DATABASE).as_ref(), database.as_os_str()])?;
    let mut content = std::fs::read(&database).context("the database was not copied")?;
    content.extend(plant::pem("CERTIFICATE").bytes());
    let (key, kubeconfig) = (plant::pem("EC PRIVATE KEY").into_bytes(), plant::kubeconfig().into_bytes());
    for (path, content) in [(KEY, key), (KUBECONFIG, kubeconfig), (DATABASE, content)] {
        let file = directory.join("planted");
        lab::write(&file, content)?;
        engine::run(["cp".as_ref(), file.as_os_str(), place(path).as_ref()])?;
    }
    let label = format!("LABEL {LABELLED}={}", plant::token());
    engine::run(["commit", "--change", &label, planting.name(), PLANTED])?;
    Ok(())
}
