//! Builds the appliance and the control plane's images with the Dockerfile of the checkout. Owns the list of targets and how
//! one is built; what they consist of is the Dockerfile's business.

use std::ffi::OsString;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kubake_init::contract::{labels, names};
use kubake_init::proxies::UNDERSTOOD;

use super::buildkit::Progress;
use super::{Context, Error, doing};
use crate::engine::command::{Build, ContainerSpec, EngineCommand, Run, SecretSource};
use crate::printer::Phase;
use crate::versions;

/// Targets of the Dockerfile that are images of the control plane.
const TARGETS: [&str; 7] =
    ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "etcd", "coredns", "pause"];
/// The target with everything installed.
const APPLIANCE: &str = "appliance";
/// Where distributions keep the certificate authorities that a host trusts, its own ones included.
const CA_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// An image that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Built {
    /// Its name.
    pub(super) name: String,
    /// Its id.
    pub(super) id: String,
}

/// A build without attestations: they turn an image into an index of two, which `save` and `import` then carry along.
struct Plain(Build);

impl EngineCommand for Plain {
    fn args(&self) -> Vec<OsString> {
        self.0.args()
    }

    fn env(&self) -> Vec<(OsString, OsString)> {
        let mut env = self.0.env();
        env.push(("BUILDX_NO_DEFAULT_ATTESTATIONS".into(), "1".into()));
        env
    }

    fn timeout(&self) -> Option<Duration> {
        self.0.timeout()
    }
}

/// Builds all of them. The appliance comes first: it says, through its kubeadm, how the others are called.
pub(super) fn build(context: &mut Context<'_>, phase: &Phase) -> Result<String, Error> {
    let version = context.settings.cluster.kubernetes_version.clone();
    let appliance = build_one(context, phase, APPLIANCE, format!("{}/{APPLIANCE}:{version}", names::BUILD_REPOSITORY))?;
    phase.message("asking kubeadm for its images");
    let list = Run {
        spec: ContainerSpec {
            entrypoint: Some("kubeadm".to_owned()),
            command: ["config", "images", "list", "--kubernetes-version", &version].map(str::to_owned).to_vec(),
            network: Some("none".to_owned()),
            pull: Some("never".to_owned()),
            ..ContainerSpec::new(&appliance.name)
        },
        detach: false,
        remove: true,
    };
    let wanted = context.engine.run_captured(&list).map_err(doing("ask kubeadm for the names of its images"))?;
    let wanted = targets(&wanted, &version)?;
    let source = context.source()?;
    for (target, tag) in &wanted {
        versions::check_tag(&source, &version, target, tag)?;
    }
    context.appliance = Some(appliance);
    context.control_plane.clear();
    for (target, tag) in &wanted {
        let built = build_one(context, phase, target, format!("{}/{target}:{tag}", names::BUILD_REPOSITORY))?;
        context.control_plane.push(built);
    }
    Ok(format!("Kubernetes {version}, {} images", wanted.len() + 1))
}

/// Targets and tags of what `kubeadm config images list` prints.
fn targets(list: &str, version: &str) -> Result<Vec<(&'static str, String)>, Error> {
    let mut found = Vec::new();
    for image in list.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let last = image.rsplit('/').next().unwrap_or(image);
        let known = last.split_once(':').and_then(|(name, tag)| {
            let target = TARGETS.iter().find(|target| **target == name)?;
            Some((*target, tag.to_owned()))
        });
        match known {
            Some(pair) => found.push(pair),
            None => return Err(Error::UnknownImage { version: version.to_owned(), image: image.to_owned() }),
        }
    }
    Ok(found)
}

/// Builds the image of a target and calls it `name`.
pub(super) fn build_one(context: &Context<'_>, phase: &Phase, target: &str, name: String) -> Result<Built, Error> {
    let command = Build { tags: vec![name.clone()], ..command(context, target)? };
    let look = || context.engine.image(&name).map_err(doing(format!("look for the image `{name}`")));
    let before = look()?;
    run(context, phase, target, command)?;
    let id = look()?.map(|image| image.id).unwrap_or_default();
    if let Some(before) = before.filter(|before| before.id != id) {
        super::drop_untagged(context.engine, &before.id, &name, &[]);
    }
    Ok(Built { name, id })
}

/// Builds a target and writes its files into a tar, instead of making an image of them.
pub(super) fn build_tree(context: &Context<'_>, phase: &Phase, target: &str, file: &Path) -> Result<(), Error> {
    run(context, phase, target, Build { tree: Some(file.to_owned()), ..command(context, target)? })
}

fn command(context: &Context<'_>, target: &str) -> Result<Build, Error> {
    let version = context.settings.cluster.kubernetes_version.clone();
    let mut args =
        vec![("BASE_IMAGE".to_owned(), context.base.clone()), ("KUBERNETES_VERSION".to_owned(), version.clone())];
    args.extend(context.settings.go_proxy.iter().map(|proxy| ("GOPROXY".to_owned(), proxy.clone())));
    Ok(Build {
        target: Some(target.to_owned()),
        args,
        // BuildKit knows them without a line in the Dockerfile, and keeps them out of its cache keys.
        args_of_environment: UNDERSTOOD
            .as_flattened()
            .iter()
            .filter(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
            .map(|name| (*name).to_owned())
            .collect(),
        secrets: ca_bundle().map(|path| ("ca".to_owned(), SecretSource::File(path))).into_iter().collect(),
        labels: labels_of(target, version),
        ..Build::new(context.engine.builder()?, context.source()?.root().to_owned())
    })
}

fn run(context: &Context<'_>, phase: &Phase, target: &str, command: Build) -> Result<(), Error> {
    let mut progress = Progress::default();
    phase.message(target);
    context
        .engine
        .stream(&Plain(command), |line| {
            phase.detail(line.text);
            if let Some(step) = progress.line(line.text) {
                phase.message(format_args!("{target} {step}"));
            }
            ControlFlow::Continue(())
        })
        .map(drop)
        .map_err(|source| Error::Build { target: target.to_owned(), source })
}

/// Only the appliance is labelled: what goes into the cluster has nobody to look for it, and stays as upstream's.
fn labels_of(target: &str, version: String) -> Vec<(String, String)> {
    if target != APPLIANCE {
        return Vec::new();
    }
    vec![(labels::STAGE.to_owned(), APPLIANCE.to_owned()), (labels::KUBERNETES_VERSION.to_owned(), version)]
}

/// The host's own bundle, so that a build behind a proxy that intercepts TLS works; a secret is in no layer.
fn ca_bundle() -> Option<PathBuf> {
    std::env::var_os("SSL_CERT_FILE")
        .map(PathBuf::from)
        .into_iter()
        .chain(CA_BUNDLES.iter().map(PathBuf::from))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubeadms_images_are_targets() {
        let list = "registry.k8s.io/kube-apiserver:v1.36.3\nregistry.k8s.io/kube-controller-manager:v1.36.3\n\
                    registry.k8s.io/kube-scheduler:v1.36.3\nregistry.k8s.io/kube-proxy:v1.36.3\n\
                    registry.k8s.io/coredns/coredns:v1.14.1\nregistry.k8s.io/pause:3.10.2\nregistry.k8s.io/etcd:3.6.8-0\n";
        let found = targets(list, "v1.36.3").unwrap();
        assert_eq!(found.len(), TARGETS.len());
        assert!(found.contains(&("coredns", "v1.14.1".to_owned())) && found.contains(&("etcd", "3.6.8-0".to_owned())));
        let error = targets("registry.k8s.io/new-thing:v1\n", "v1.99.0").unwrap_err();
        assert_eq!(
            error.to_string(),
            "kubeadm v1.99.0 wants the image `registry.k8s.io/new-thing:v1`, which kubake does not build"
        );
    }
}
