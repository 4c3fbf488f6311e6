//! What is in the image for whoever gets hold of it: nothing that opens anything, in no layer and not in the
//! configuration. And the proof that the search finds what is there.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use kubake_e2e::engine::{self, Container, Images};
use kubake_e2e::lab::{self, lab};
use kubake_e2e::secrets::{self, Authorities, Kind, Origin, Report, plant};
use kubake_e2e::{LABEL, PREFIX};
use kubake_init::contract::paths;

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    ("no layer of the baked image holds a secret, nor does its configuration", nothing),
    ("what is planted in the image is found, also after a later layer deleted it", planted),
];

const PLANTED: &str = "kubake-e2e/planted:1";
const DELETED: &str = "kubake-e2e/planted:2";
const KEY: &str = "srv/kubake-e2e.key";
const KUBECONFIG: &str = "srv/kubake-e2e.conf";

/// How many layers the engine says an image has.
fn layers(image: &str) -> Result<usize> {
    let count = engine::run(["image", "inspect", "--format", "{{len .RootFS.Layers}}", image])?;
    count.parse().with_context(|| format!("the engine counts {count:?} layers"))
}

/// Looks at an image and makes sure that nothing was passed over.
fn look(image: &str) -> Result<Report> {
    let report = secrets::of_image(image, &Authorities::of_host()?)?;
    let expected = layers(image)?;
    ensure!(report.layers == expected, "{} of {expected} layers of {image} were looked at", report.layers);
    let database = format!("{}/member/snap/db", paths::ETCD);
    // From the lowest layer, from those in between, and from the highest.
    for path in ["/etc/debian_version", "/usr/local/bin/kube-node", &database, paths::INVENTORY] {
        let path = path.trim_start_matches('/');
        ensure!(report.files.contains(path), "`{path}` was not looked at; was {image} walked at all?");
    }
    Ok(report)
}

fn nothing() -> Result<()> {
    let report = look(lab()?.image()?)?;
    ensure!(report.findings.is_empty(), "{} secrets are in the image:\n{}", report.findings.len(), report.told());
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
    for (path, kind) in [(KEY, Kind::PrivateKey), (KUBECONFIG, Kind::Kubeconfig)] {
        let found = report.findings.iter().find(|finding| finding.path == path && finding.kind == kind);
        let found = found.with_context(|| format!("`{path}` is not found as {kind}:\n{}", report.told()))?;
        let is_there = matches!(found.origin, Origin::Layer(number, _) if number == below + 1);
        ensure!(is_there, "it should be in layer {}: {found}", below + 1);
    }
    Ok(())
}

/// Makes [`PLANTED`]: one more layer, with a private key and a kubeconfig.
fn plant_in(image: &str, directory: &Path) -> Result<()> {
    let name = format!("{PREFIX}-planting");
    let planting = Container::guard(name.as_str());
    engine::run(["create", "--name", &name, "--label", LABEL, image])?;
    for (path, content) in [(KEY, plant::pem("EC PRIVATE KEY")), (KUBECONFIG, plant::kubeconfig())] {
        let file = directory.join("planted");
        lab::write(&file, content)?;
        let target = format!("{}:/{path}", planting.name());
        engine::run(["cp".as_ref(), file.as_os_str(), target.as_ref()])?;
    }
    engine::run(["commit", planting.name(), PLANTED])?;
    Ok(())
}
