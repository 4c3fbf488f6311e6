//! Custom images: a bake adds the user's images and workloads to a baked image, as one layer.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kubake_e2e::cluster::Cluster;
use kubake_e2e::engine::{self, Images};
use kubake_e2e::lab::{self, lab};
use kubake_e2e::openssl::{Authority, KeyForm};
use kubake_e2e::probe::{self, Recipe};
use kubake_e2e::{LABEL, PREFIX, http, manifests, process};
use serde_json::Value;

use crate::bake::hook;
use crate::{Case, probe_program, secrets};

pub(crate) const CASES: &[Case] = &[
    (
        "a baked image with more in it is a thin layer on it, boots with that, keeps no proxy or CA, is not made twice",
        thin,
    ),
    ("what a Dockerfile puts on a baked image is baked in by one command", dockerfile),
    ("an image that was not baked, and a bake without a name, are refused", refused),
    ("a workload whose image is nowhere fails the bake and names it", without_image),
];

const THIN: &str = "kubake-e2e/thin:1";
const LARGE: &str = "kubake-e2e/large:1";
const BUILT: &str = "kubake-e2e/built:1";
const FINISHED: &str = "kubake-e2e/finished:1";
/// The proxy of a bake, which no image may keep.
const PROXY: &str = "http://kubake-e2e:hunter22@proxy.kubake-e2e.test:3128";
/// The bundle of CAs that programs trust.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
/// What the user's image has beside the probe.
const LARGE_BYTES: u64 = 50_000_000;
const PATIENCE: Duration = Duration::from_secs(300);

fn thin() -> Result<()> {
    let base = lab()?.image()?;
    let directory = lab()?.directory()?;
    let _images = Images::guard([THIN, LARGE]);
    let images = directory.path().join("images.d");
    std::fs::create_dir_all(&images).context("cannot make a directory")?;
    let ballast = directory.path().join("ballast");
    random(&ballast, LARGE_BYTES)?;
    probe::build_with(probe_program(), &ballast, LARGE, None)?;
    let archive = images.join("large.tar");
    engine::run(["save".as_ref(), "--output".as_ref(), archive.as_os_str(), LARGE.as_ref()])?;
    let hooks = directory.path().join("hooks");
    for (index, object) in
        [manifests::deployment("web", LARGE, "on top", 1), manifests::node_port_service("web")].iter().enumerate()
    {
        lab::write(&hooks.join(format!("after-cluster/object-{index}.json")), object.to_string())?;
    }
    hook(
        &hooks.join("after-cluster/10-web"),
        "for object in object-*.json; do kubectl apply -f \"$object\"; done\n\
         kubectl rollout status deployment/web --timeout=120s\n",
    )?;

    let authority = Authority::make(KeyForm::Pkcs8)?.certificate;
    let pem = directory.path().join("ca.pem");
    lab::write(&pem, &authority)?;
    // A line in the middle of it, as it stands in the bundle.
    let line = authority.lines().nth(2).context("a certificate has lines")?;
    hook(
        &hooks.join("before-cluster/10-environment"),
        &format!("test \"$HTTP_PROXY $https_proxy\" = \"{PROXY} {PROXY}\"\ngrep -q -F '{line}' {BUNDLE}\n"),
    )?;

    let id = |image: &str| engine::run(["image", "inspect", "--format", "{{.Id}}", image]);
    let before = id(base)?;
    let mut arguments = from(base, THIN, &images, &hooks);
    arguments.extend(["--extra-ca-certs".to_owned(), pem.display().to_string()]);
    let bake = || {
        let mut command = lab()?.kubake(directory.path(), &arguments);
        // No proxy listens there, and none needs to: the cluster's own addresses are exceptions.
        command.env("HTTP_PROXY", PROXY).env("https_proxy", PROXY).env_remove("HTTPS_PROXY");
        json(&process::run(&mut command, PATIENCE)?.success()?)
    };
    let first = bake()?;
    ensure!(first["image"] == THIN && first["cached"] == false, "{first}");
    let second = bake()?;
    ensure!(second["cached"] == true && second["id"] == first["id"], "the same again: {second}");
    ensure!(id(base)? == before, "the image it started from is another one now");

    let environment = engine::run(["image", "inspect", "--format", "{{json .Config.Env}}", THIN])?;
    ensure!(!environment.contains("proxy.kubake-e2e.test"), "the image keeps a proxy: {environment}");
    for command in [["cat", BUNDLE], ["ls", "/usr/local/share/ca-certificates"]] {
        let say = |image: &str| {
            let run = ["run", "--rm", "--label", LABEL, "--entrypoint", command[0], image, command[1]];
            engine::run(run)
        };
        ensure!(say(THIN)? == say(base)?, "`{}` says something else than in {base}", command.join(" "));
    }

    let size = |image: &str| -> Result<u64> {
        let size = engine::run(["image", "inspect", "--format", "{{.Size}}", image])?;
        size.parse().with_context(|| format!("the engine says {size:?} for a size"))
    };
    let (added, brought) = (size(THIN)? - size(base)?, std::fs::metadata(&archive)?.len());
    ensure!(added * 10 <= brought * 12, "{added} bytes were added for an image of {brought}");
    let report = secrets::look(THIN)?;
    ensure!(report.findings.is_empty(), "secrets are in the image:\n{}", report.lines());

    let publish = format!("auto:{}", manifests::NODE_PORT);
    let cluster = Cluster::up(lab()?, &format!("{PREFIX}-thin"), &["--image", THIN, "--publish", &publish])?;
    let answer = http::get(engine::published(cluster.container(), manifests::NODE_PORT)?, "/")?.expect(200)?;
    ensure!(answer == "on top\n", "{answer:?}");
    Ok(())
}

fn dockerfile() -> Result<()> {
    let base = lab()?.image()?;
    let directory = lab()?.directory()?;
    let _images = Images::guard([FINISHED, BUILT, LARGE]);
    let context = directory.path().join("context");
    hook(
        &context.join("hooks/after-cluster/10-note"),
        "kubectl create configmap built --from-literal=by=dockerfile\n",
    )?;
    // With `--hook-failure report` below: the bake reports it and makes the image.
    hook(&context.join("hooks/after-cluster/05-broken"), "echo no luck\nexit 3\n")?;
    probe::build(probe_program(), LARGE, Recipe::Plain("copied"), None)?;
    std::fs::create_dir_all(context.join("images.d")).context("cannot make a directory")?;
    let archive = context.join("images.d/mine.tar");
    engine::run(["save".as_ref(), "--output".as_ref(), archive.as_os_str(), LARGE.as_ref()])?;
    lab::write(
        &context.join("Dockerfile"),
        format!("FROM {base}\nCOPY images.d /kubake/inbox/images/\nCOPY hooks /kubake/inbox/hooks/\n"),
    )?;
    let mut build = engine::docker(["build", "--tag", BUILT]);
    process::run(build.arg(&context), PATIENCE)?.success()?;

    let empty = directory.path().join("empty");
    std::fs::create_dir_all(&empty).context("cannot make a directory")?;
    let mut finish = from(BUILT, FINISHED, &empty, &empty);
    finish.extend(["--hook-failure", "report"].map(str::to_owned));
    let output = lab()?.run(directory.path(), PATIENCE, finish)?;
    let expected = "warning: hook after-cluster/05-broken failed";
    ensure!(output.stderr.contains(expected) && output.stderr.contains("no luck"), "{output}");
    output.success()?;
    let cluster = Cluster::up(lab()?, &format!("{PREFIX}-finished"), &["--image", FINISHED])?;
    let kubectl = cluster.kubectl()?;
    let by = kubectl.run(["get", "configmap", "built", "--output", "jsonpath={.data.by}"])?;
    ensure!(by == "dockerfile", "the ConfigMap says {by:?}");
    let namespace = kubectl.namespace("finished")?;
    namespace.apply(manifests::pod("mine", LARGE, &["read", "/version"]))?;
    ensure!(namespace.wait_done("mine")? == "copied");
    cluster.node(&["test", "!", "-e", "/kubake/inbox/images"]).map(drop)
}

fn refused() -> Result<()> {
    lab()?.image()?;
    let directory = lab()?.directory()?;
    let nothing = directory.path().join("nothing");
    std::fs::create_dir_all(&nothing).context("cannot make a directory")?;
    let _images = Images::guard([LARGE]);
    probe::build(probe_program(), LARGE, Recipe::Plain("1"), None)?;
    for (start, expected) in [
        (LARGE, format!("`{LARGE}` was not created by `kubake bake`")),
        ("kubake-e2e-there-is-none:1", "`kubake-e2e-there-is-none:1` does not exist".to_owned()),
    ] {
        let output = lab()?.run(directory.path(), PATIENCE, from(start, THIN, &nothing, &nothing))?;
        ensure!(output.status.code() == Some(1) && output.stderr.contains(&expected), "{output}");
    }
    let output = lab()?.run(directory.path(), PATIENCE, ["bake", "--from", LARGE])?;
    ensure!(output.status.code() == Some(64) && output.stderr.contains("-t NAME"), "{output}");
    Ok(())
}

fn without_image() -> Result<()> {
    let base = lab()?.image()?;
    let directory = lab()?.directory()?;
    let (images, hooks) = (directory.path().join("images.d"), directory.path().join("hooks"));
    std::fs::create_dir_all(&images).context("cannot make a directory")?;
    let mut deployment = manifests::deployment("web", "kubake-e2e/nowhere:1", "never", 1);
    // Fails at once; a pull that fails takes two minutes.
    deployment["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = "Never".into();
    lab::write(&hooks.join("manifests/web.json"), deployment.to_string())?;
    let output = lab()?.run(directory.path(), PATIENCE, from(base, THIN, &images, &hooks))?;
    let expected = "image `kubake-e2e/nowhere:1` cannot be pulled (ErrImageNeverPull: ";
    ensure!(output.status.code() == Some(1) && output.stderr.contains(expected), "{output}");
    let made = engine::output(["image", "inspect", THIN])?;
    ensure!(made.status.code() != Some(0), "there is an image of a bake that failed");
    Ok(())
}

/// The arguments of a bake on top of `base`.
fn from(base: &str, name: &str, images: &Path, hooks: &Path) -> Vec<String> {
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let (images, hooks) = (path(images), path(hooks));
    ["bake", "--json", "--from", base, "--tag", name, "--images-dir", &images, "--hooks-dir", &hooks]
        .map(str::to_owned)
        .to_vec()
}

fn json(text: &str) -> Result<Value> {
    serde_json::from_str(text).with_context(|| format!("no JSON: {text}"))
}

/// A file that cannot be made smaller.
fn random(path: &PathBuf, bytes: u64) -> Result<()> {
    let source = std::fs::File::open("/dev/urandom").context("cannot open /dev/urandom")?;
    let mut target = std::fs::File::create(path).with_context(|| format!("cannot make `{}`", path.display()))?;
    std::io::copy(&mut source.take(bytes), &mut target).context("cannot write random bytes")?;
    Ok(())
}
