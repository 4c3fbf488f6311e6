//! First half of a bake: every archive of the inbox goes into containerd, control-plane images get the names that
//! kubeadm expects, all are pinned, and the unpacked store is frozen into the image's own file system.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kubake_contract::{CONTROL_PLANE_ARCHIVE, ImageReference, names, paths};

use super::bake_run::Bake;
use super::flatten;
use super::inbox::{ctr, expected_images, remove, request};
use crate::configuration;
use crate::events::Events;
use crate::node_runtime::SANDBOX_IMAGE;
use crate::phases::BoxError;

/// Time limit for one archive; gigabytes on a slow disk take minutes.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(1800);

/// Prefix of the names that containerd gives to images without a name; the day of the import follows.
const NAMELESS: &str = "import-20";
/// Prefix of the names of images that dockerd keeps without a name.
const DANGLING: &str = "moby-dangling";

impl Bake {
    /// Starts containerd on the store of a baked image, if the build container started from one.
    pub(super) async fn start_containerd_for_import(&mut self) -> Result<(), BoxError> {
        let expected = self.expected_images().await?;
        let sandbox = expected
            .iter()
            .find(|name| ImageReference::parse(name).is_some_and(|image| image.base_name() == "pause"))
            .ok_or_else(|| BoxError::from("kubeadm names no pause image for this version of Kubernetes"))?;
        configuration::write(Path::new(SANDBOX_IMAGE), sandbox)?;
        if Path::new(paths::FROZEN_STORE).join("id").exists() {
            self.runtime.attach_store().await?;
        }
        self.start_containerd().await
    }

    /// Imports the archives of the inbox.
    pub(super) async fn import(&mut self) -> Result<(), BoxError> {
        import_all(&self.expected_images().await?, self.events).await
    }

    /// A bake on a baked image may bring no images.
    pub(super) async fn import_if_any(&mut self) -> Result<(), BoxError> {
        if Path::new(paths::INBOX_IMAGES).exists() { self.import().await } else { Ok(()) }
    }

    async fn expected_images(&self) -> Result<Vec<String>, BoxError> {
        Ok(expected_images(&self.runtime.settings.kubernetes_version).await?)
    }
}

/// Imports every archive of the inbox; `expected` are the control plane's images.
async fn import_all(expected: &[String], events: Events) -> Result<(), BoxError> {
    let request = request()?;
    for archive in archives(Path::new(paths::INBOX_IMAGES))? {
        let shown = archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Pods run from unpacked layers, and without packed ones an image takes half the space. Only `docker build` on the
        // image, `docker save` and `docker push` need packed layers, and the control plane's images need none of these.
        let is_discarded = shown == CONTROL_PLANE_ARCHIVE || !request.keeps_packed_layers;
        let output = ctr()
            .args(["images", "import", "--local", "--snapshotter", "overlayfs"])
            .args(if is_discarded { &["--discard-unpacked-layers"][..] } else { &[] })
            .arg(&archive)
            .timeout(IMPORT_TIMEOUT)
            .capture()
            .await
            .map_err(|error| BoxError::from(format!("{shown} cannot be imported: {error}")))?;
        if let Some(tag) = nameless(&output) {
            return Err(format!(
                "{shown} cannot be imported: it names an image only `{tag}`, and pods would not find it; create the \
                 archive again with a full name such as `docker.io/me/app:{tag}`"
            )
            .into());
        }
        events.note(format!("imported {shown}"));
        // The unpacked image is enough; the archive only takes space that the next one needs.
        remove(&archive)?;
    }
    name_control_plane(expected).await?;
    name_others(&request.names).await?;
    pin_all().await?;
    flatten::flatten_whiteouts(events).await
}

/// Pins all images, from archives and from hooks through Docker, so that no garbage collection (kubelet's or containerd's)
/// removes them. Each gets a name by digest as well, as a pull gives it: pods may name it so.
pub(super) async fn pin_all() -> Result<(), BoxError> {
    let listing = ctr().args(["images", "ls"]).capture().await?;
    for (name, by_digest) in absent_digests(&listing) {
        ctr().args(["images", "tag", "--force", &name, &by_digest]).capture().await?;
    }
    for image in image_names().await? {
        // A later build of Docker replaced this image; nothing uses it.
        if image.starts_with(DANGLING) {
            continue;
        }
        ctr()
            .args(["images", "label", &image, "io.cri-containerd.image=managed", "io.cri-containerd.pinned=pinned"])
            .capture()
            .await?;
    }
    Ok(())
}

/// Returns a name of each image beside the one by digest that it lacks, from `ctr images ls`, whose columns are the name, the
/// type and the digest.
fn absent_digests(listing: &str) -> BTreeMap<String, String> {
    let images: Vec<(&str, &str)> = listing
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?, words.nth(1).filter(|digest| digest.starts_with("sha256:"))?))
        })
        .collect();
    let names = images.iter().filter(|(name, _)| !name.starts_with("sha256:") && !name.starts_with(DANGLING));
    let absent = names.filter_map(|(name, digest)| {
        let by_digest = ImageReference::parse(name).filter(|name| !name.has_digest())?;
        let by_digest = ImageReference::parse(&format!("{}@{digest}", by_digest.canonical()))?.by_digest()?;
        (!images.iter().any(|(name, _)| *name == by_digest)).then(|| ((*name).to_owned(), by_digest))
    });
    absent.collect()
}

/// Gives `docker.io/kubake/NAME:TAG`, as built on the host, the name that kubeadm expects.
async fn name_control_plane(expected: &[String]) -> Result<(), BoxError> {
    let present = image_names().await?;
    for image in &present {
        let Some(image_built) = ImageReference::parse(image).filter(|_| is_built(image)) else { continue };
        let is_wanted = |name: &&String| {
            ImageReference::parse(name).is_some_and(|wanted| {
                (wanted.base_name(), wanted.tag()) == (image_built.base_name(), image_built.tag())
            })
        };
        if let Some(name) = expected.iter().find(is_wanted) {
            ctr().args(["images", "tag", "--force", image, name]).capture().await?;
            // Synchronously, because that also collects the layers that the import discarded.
            ctr().args(["images", "rm", "--sync", image]).capture().await?;
        }
    }
    let present = image_names().await?;
    let absent: Vec<&str> = expected.iter().filter(|name| !present.contains(name)).map(String::as_str).collect();
    if absent.is_empty() {
        Ok(())
    } else {
        Err(format!("no archive holds the control-plane image {}; build them again", absent.join(", ")).into())
    }
}

/// Whether the host built an image: docker saves its names without a registry, and podman puts `localhost/` before them.
fn is_built(image: &str) -> bool {
    ["docker.io", "localhost"]
        .iter()
        .any(|registry| image.starts_with(&format!("{registry}/{}/", names::BUILD_REPOSITORY)))
}

/// Returns the tag of an image whose archive gives no other name, from the import's output.
fn nameless(output: &str) -> Option<&str> {
    let names = output.lines().filter_map(|line| line.trim().strip_prefix("unpacking ")?.split_whitespace().next());
    names.into_iter().find(|name| name.starts_with(NAMELESS)).and_then(|name| Some(name.split_once(':')?.1))
}

/// Gives images the names that pods use: the requested ones, and full names instead of short ones (containerd takes
/// `nginx:1.29` from an OCI archive as it is, and kubelet then does not find it).
async fn name_others(wanted: &BTreeMap<String, String>) -> Result<(), BoxError> {
    let present = image_names().await?;
    for (from, to) in renamings(&present, wanted)? {
        ctr().args(["images", "tag", "--force", &from, &to]).capture().await?;
        ctr().args(["images", "rm", &from]).capture().await?;
    }
    Ok(())
}

/// Returns old and new names, in the order in which the images are renamed.
fn renamings(present: &[String], wanted: &BTreeMap<String, String>) -> Result<Vec<(String, String)>, BoxError> {
    let mut renamings = Vec::new();
    let mut absent = Vec::new();
    for (from, to) in wanted {
        // Podman adds another registry to a name without one.
        let known = [full_name(from), format!("localhost/{from}")];
        match present.iter().find(|name| known.contains(name)) {
            Some(name) => renamings.push((name.clone(), to.clone())),
            None => absent.push(to.as_str()),
        }
    }
    if !absent.is_empty() {
        return Err(format!("no archive holds {}; bake again", absent.join(", ")).into());
    }
    let is_short = |name: &&String| full_name(name) != **name;
    renamings.extend(present.iter().filter(is_short).map(|name| (name.clone(), full_name(name))));
    Ok(renamings)
}

/// Returns the name with registry and tag, by which kubelet looks for it. A name that is not a reference stays as it is.
fn full_name(name: &str) -> String {
    ImageReference::parse(name).map_or_else(|| name.to_owned(), |reference| reference.canonical())
}

pub(super) async fn image_names() -> Result<Vec<String>, BoxError> {
    let list = ctr().args(["images", "ls", "--quiet"]).capture().await?;
    // CRI itself adds names by digest (`sha256:…`), and removes them with the image.
    Ok(list
        .lines()
        .map(str::trim)
        .filter(|name| !name.is_empty() && !name.starts_with("sha256:"))
        .map(str::to_owned)
        .collect())
}

fn archives(inbox: &Path) -> Result<Vec<PathBuf>, BoxError> {
    let unreadable = |error: std::io::Error| BoxError::from(format!("cannot read {}: {error}", inbox.display()));
    let mut archives = Vec::new();
    for entry in std::fs::read_dir(inbox).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_file() {
            archives.push(path);
        }
    }
    archives.sort();
    Ok(archives)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_that_docker_or_podman_built_are_recognized() {
        assert!(is_built("docker.io/kubake/bake-1-ab/etcd:3.6.8-0") && is_built("localhost/kubake/etcd:3.6.8-0"));
        assert!(!is_built("registry.k8s.io/etcd:3.6.8-0") && !is_built("docker.io/kubakes/etcd:1"));
    }

    #[test]
    fn images_get_the_names_that_pods_use() {
        let present =
            ["docker.io/kubake/by-digest:0", "nginx:1.29", "me/tool", "registry.example:5000/x:1", "localhost/y:2"]
                .map(str::to_owned);
        let to = "docker.io/library/redis@sha256:00";
        let wanted = BTreeMap::from([("kubake/by-digest:0".to_owned(), to.to_owned())]);
        let renamings = renamings(&present, &wanted).unwrap();
        let shown: Vec<String> = renamings.iter().map(|(from, to)| format!("{from} {to}")).collect();
        assert_eq!(
            shown,
            [
                "docker.io/kubake/by-digest:0 docker.io/library/redis@sha256:00",
                "nginx:1.29 docker.io/library/nginx:1.29",
                "me/tool docker.io/me/tool:latest",
            ]
        );
        let error = super::renamings(&present[1..], &wanted).unwrap_err().to_string();
        assert!(error.contains("no archive holds docker.io/library/redis@sha256:00"), "{error}");
    }

    #[test]
    fn each_image_gets_a_name_by_digest_once() {
        let [one, two] = ["01", "02"].map(|byte| format!("sha256:{}", byte.repeat(32)));
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let listing = format!(
            "REF TYPE DIGEST SIZE PLATFORMS LABELS\n\
             docker.io/me/app:1 {kind} {one} 1.0 MiB linux/amd64 -\n\
             docker.io/me/app:2 {kind} {two} 1.0 MiB linux/amd64 -\n\
             docker.io/me/app@{two} {kind} {two} 1.0 MiB linux/amd64 -\n\
             reg.example:5000/x:3 {kind} {one} 1.0 MiB linux/amd64 -\n\
             moby-dangling@{one} {kind} {one} 1.0 MiB linux/amd64 -\n\
             {one} {kind} {one} 1.0 MiB linux/amd64 -\n"
        );
        let expected = [("docker.io/me/app:1", "docker.io/me/app"), ("reg.example:5000/x:3", "reg.example:5000/x")];
        let expected = expected.map(|(name, repository)| (name.to_owned(), format!("{repository}@{one}")));
        assert_eq!(absent_digests(&listing), BTreeMap::from(expected));
    }

    #[test]
    fn an_image_named_only_by_a_tag_is_found() {
        let output =
            "unpacking docker.io/me/app:1 (sha256:00)...done\nunpacking import-2026-01-02:1.29 (sha256:01)...done\n";
        assert_eq!(nameless(output), Some("1.29"));
        assert_eq!(nameless("unpacking docker.io/me/import-20:1 (sha256:00)...done\n"), None);
    }
}
