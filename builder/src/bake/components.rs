//! Builds the appliance and the images of the control plane. Owns the list of targets; the Dockerfile says what each
//! contains.

use kubake_contract::{ImageReference, names};

use super::context::Context;
use super::error::{Error, failed_to};
use super::image_build::{APPLIANCE, build_one};
use crate::base_image::{self, BaseImage};
use crate::engine::command::{ContainerSpec, Run};
use crate::printer::Phase;
use crate::versions;

/// Targets of the Dockerfile that are images of the control plane.
const TARGETS: [&str; 7] =
    ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "etcd", "coredns", "pause"];
/// Makes sure that the engine has the image on which the Dockerfile builds.
pub(super) fn ensure_base(context: &mut Context<'_>, phase: &Phase) -> Result<String, Error> {
    let Ok(choice) = context.settings.bake.base_image.parse::<BaseImage>();
    context.base = base_image::ensure(context.engine, &choice, |line| phase.message(line))?;
    Ok(context.base.clone())
}

/// Builds all of them. The appliance comes first, because its kubeadm lists the names of the others.
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
            ..ContainerSpec::new(&appliance.id)
        },
        detach: false,
        remove: true,
    };
    let wanted = context.engine.run_captured(&list).map_err(failed_to("ask kubeadm for the names of its images"))?;
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
        let known = ImageReference::parse(image).and_then(|reference| {
            let target = TARGETS.iter().find(|target| **target == reference.base_name())?;
            Some((*target, reference.tag()?.to_owned()))
        });
        match known {
            Some(pair) => found.push(pair),
            None => return Err(Error::UnknownImage { version: version.to_owned(), image: image.to_owned() }),
        }
    }
    Ok(found)
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
            "kubeadm v1.99.0 requires the image `registry.k8s.io/new-thing:v1`, which kubake does not build"
        );
    }
}
