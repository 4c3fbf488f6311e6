//! Builds one target of the Dockerfile, as an image or as a tar archive of its files.

use std::ffi::OsString;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kubake_contract::labels;
use kubake_contract::proxies::UNDERSTOOD;

use super::buildkit::Progress;
use super::built::Built;
use super::context::{Context, find_image};
use super::error::Error;
use super::image_cleanup::remove_replaced_image;
use super::source_digest;
use crate::digest;
use crate::engine::Image;
use crate::engine::command::{Build, EngineCommand};
use crate::printer::Phase;

/// The target that is the root file system of every cluster.
pub(super) const APPLIANCE: &str = "appliance";
/// Paths of the CA bundle that a host trusts, in various distributions.
const CA_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A build without attestations, which would turn an image into an index that `save` and `import` carry along.
struct WithoutAttestations(Build);

impl EngineCommand for WithoutAttestations {
    fn args(&self) -> Vec<OsString> {
        self.0.args()
    }

    fn env(&self) -> Vec<(OsString, OsString)> {
        let mut env = self.0.env();
        env.push(("BUILDX_NO_DEFAULT_ATTESTATIONS".into(), "1".into()));
        env
    }

    fn secret_env(&self) -> Vec<(OsString, OsString)> {
        self.0.secret_env()
    }

    fn timeout(&self) -> Option<Duration> {
        self.0.timeout()
    }
}

/// Builds the image of a target with this name, and removes the image that had the name before.
pub(super) fn build_one(context: &Context<'_>, phase: &Phase, target: &str, name: String) -> Result<Built, Error> {
    let mut command = Build { tags: vec![name.clone()], ..command(context, target)? };
    let before = find_image(context.engine, &name)?;
    if let Some(inputs) = inputs(context, target)? {
        let is_same = |image: &&Image| image.labels.get(labels::INPUTS) == Some(&inputs);
        if let Some(image) = before.as_ref().filter(is_same).filter(|_| !context.options.force) {
            return Ok(Built { name, id: image.id.clone() });
        }
        command.labels.push((labels::INPUTS.to_owned(), inputs));
    }
    run(context, phase, target, command)?;
    let id = find_image(context.engine, &name)?.map(|image| image.id).unwrap_or_default();
    if let Some(before) = before.filter(|before| before.id != id) {
        remove_replaced_image(context.engine, &before.id, &name, &[]);
    }
    Ok(Built { name, id })
}

/// Builds a target and writes its files into a tar archive instead of an image.
pub(super) fn build_tree(context: &Context<'_>, phase: &Phase, target: &str, file: &Path) -> Result<(), Error> {
    run(context, phase, target, Build { tree: Some(file.to_owned()), ..command(context, target)? })
}

fn command(context: &Context<'_>, target: &str) -> Result<Build, Error> {
    let version = context.settings.cluster.kubernetes_version.clone();
    let args =
        vec![("BASE_IMAGE".to_owned(), context.base.clone()), ("KUBERNETES_VERSION".to_owned(), version.clone())];
    Ok(Build {
        target: Some(target.to_owned()),
        args,
        secret_args: context.settings.bake.go_proxy.iter().map(|proxy| ("GOPROXY".to_owned(), proxy.clone())).collect(),
        // BuildKit predefines these arguments, and keeps them out of its cache keys.
        args_of_environment: UNDERSTOOD
            .as_flattened()
            .iter()
            .filter(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
            .map(|name| (*name).to_owned())
            .collect(),
        secrets: ca_bundle().map(|path| ("ca".to_owned(), path)).into_iter().collect(),
        labels: labels_of(target, version),
        instance: context.engine.builder_instance(),
        ..Build::new(context.engine.builder()?, context.source()?.root().to_owned())
    })
}

fn run(context: &Context<'_>, phase: &Phase, target: &str, command: Build) -> Result<(), Error> {
    let mut progress = Progress::default();
    phase.message(target);
    context
        .engine
        .stream(&WithoutAttestations(command), |line| {
            phase.detail(line.text);
            if let Some(step) = progress.line(line.text) {
                phase.message(format_args!("{target} {step}"));
            }
            ControlFlow::Continue(())
        })
        .map(drop)
        .map_err(|source| Error::Build { target: target.to_owned(), source })
}

/// Digest of what a target is built from. Equal digests mean that the engine would build the same image again, from its
/// cache if it still has one, and else for an hour.
fn inputs(context: &Context<'_>, target: &str) -> Result<Option<String>, Error> {
    let root = context.source()?.root().to_owned();
    let Some(source) = context.source_digest.get_or_init(|| source_digest::of_checkout(&root)) else { return Ok(None) };
    let base = find_image(context.engine, &context.base)?.map(|image| image.id).unwrap_or_default();
    let version = &context.settings.cluster.kubernetes_version;
    Ok(Some(digest::of_parts(&[source, &base, target, version, &context.engine.facts().arch])))
}

/// Labels of a target. Only the appliance has any beside its inputs: kubake never looks for the images of the cluster.
fn labels_of(target: &str, version: String) -> Vec<(String, String)> {
    if target != APPLIANCE {
        return Vec::new();
    }
    vec![(labels::STAGE.to_owned(), APPLIANCE.to_owned()), (labels::KUBERNETES_VERSION.to_owned(), version)]
}

/// The CA bundle of this host, so that builds work behind a proxy that intercepts TLS. A build secret is in no layer.
fn ca_bundle() -> Option<PathBuf> {
    std::env::var_os("SSL_CERT_FILE")
        .map(PathBuf::from)
        .into_iter()
        .chain(CA_BUNDLES.iter().map(PathBuf::from))
        .find(|path| path.is_file())
}
