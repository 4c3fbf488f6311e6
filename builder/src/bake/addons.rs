//! Add-ons: what a bake adds to a cluster by name, each a directory of `builder/addons`. Owns the form of such a directory
//! and what becomes of it: images for the inbox, manifests that are applied before the user's, programs that are laid over
//! the node's files. What the images and programs consist of is the Dockerfile's business.

use std::fs;
use std::path::{Path, PathBuf};

use kubake_init::contract::{ADDON_PREFIX, names, paths};
use serde::Deserialize;

use super::components::{self, Built};
use super::inputs::{self, Packed, Problem};
use super::{Context, Error, directory, relative};
use crate::checkout::ADDON_FILE;
use crate::printer::Phase;

/// The directory of an add-on with its manifests.
const MANIFESTS: &str = "manifests";
/// What `kubectl` needs in there, so that an add-on is applied as a whole.
const KUSTOMIZATION: &str = "kustomization.yaml";

/// What an add-on consists of, beside its manifests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Definition {
    /// Images, as `TARGET:TAG`: a target of the Dockerfile, and the tag that the manifests name.
    images: Vec<String>,
    /// Targets of the Dockerfile whose files become the node's.
    programs: Vec<String>,
}

impl Definition {
    /// Reads `addon.yaml`; or everything that is wrong with it.
    fn parse(text: &str) -> Result<Self, Vec<String>> {
        // An empty file is an add-on of nothing but manifests.
        let read: Option<Self> = serde_yaml::from_str(text).map_err(|error| vec![error.to_string()])?;
        let definition = read.unwrap_or_default();
        let is_target = |target: &str| {
            let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            !target.is_empty() && target.bytes().all(inner)
        };
        let is_image =
            |image: &&String| image.split_once(':').is_some_and(|(target, tag)| is_target(target) && !tag.is_empty());
        let wrong_images = definition.images.iter().filter(|image| !is_image(image));
        let wrong_images = wrong_images.map(|image| {
            format!("`{image}` is no image to build: write TARGET:TAG, a target of the Dockerfile and a version")
        });
        let wrong_programs = definition.programs.iter().filter(|target| !is_target(target));
        let wrong_programs = wrong_programs.map(|target| format!("`{target}` is no target of the Dockerfile"));
        let wrong: Vec<String> = wrong_images.chain(wrong_programs).collect();
        if wrong.is_empty() { Ok(definition) } else { Err(wrong) }
    }
}

/// The name of an image as `TARGET:TAG` says it, on this host and in manifests.
fn name_of(image: &str) -> String {
    format!("{}/{image}", names::BUILD_REPOSITORY)
}

/// One that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Addon {
    definition: Definition,
    manifests: Vec<Packed>,
}

/// All that a bake adds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Addons {
    found: Vec<Addon>,
    /// Their images, once they are built.
    pub(super) images: Vec<Built>,
    /// Tars of their programs, once they are built.
    pub(super) trees: Vec<PathBuf>,
}

impl Addons {
    /// Their manifests, for the inbox.
    pub(super) fn manifests(&self) -> impl Iterator<Item = Packed> {
        self.found.iter().flat_map(|addon| addon.manifests.iter().cloned())
    }
}

/// Reads the add-ons of these names. What is wrong with them joins `problems`.
pub(super) fn load(all: &Path, names: &[String], problems: &mut Vec<Problem>) -> Addons {
    let mut found = Vec::new();
    for name in names {
        let path = all.join(name).join(ADDON_FILE);
        let definition = match fs::read_to_string(&path) {
            Ok(text) => Definition::parse(&text),
            Err(error) => {
                Err(vec![format!("cannot be read: {error}; `builder/addons/README.md` says what an add-on is")])
            }
        };
        let definition = definition.unwrap_or_else(|wrong| {
            problems.extend(wrong.into_iter().map(|what| Problem { path: path.clone(), line: None, what }));
            Definition::default()
        });
        let source = all.join(name).join(MANIFESTS);
        let mut manifests = Vec::new();
        if source.is_dir() {
            if !source.join(KUSTOMIZATION).is_file() {
                let what = format!("holds no {KUSTOMIZATION}; write one that names the manifests in it");
                problems.push(Problem { path: source.clone(), line: None, what });
            }
            let target = relative(paths::INBOX_MANIFESTS).join(format!("{ADDON_PREFIX}{name}"));
            manifests.push(directory(paths::INBOX_MANIFESTS));
            manifests.extend(inputs::tree(&source, &target, problems));
        }
        found.push(Addon { definition, manifests });
    }
    Addons { found, ..Addons::default() }
}

/// Builds all images and programs.
pub(super) fn build(context: &mut Context<'_>, phase: &Phase) -> Result<String, Error> {
    let definitions = || context.addons.found.iter().map(|addon| &addon.definition);
    let mut images: Vec<String> = definitions().flat_map(|one| one.images.iter().cloned()).collect();
    let mut programs: Vec<String> = definitions().flat_map(|one| one.programs.iter().cloned()).collect();
    for list in [&mut images, &mut programs] {
        list.sort();
        list.dedup();
    }
    for image in &images {
        let target = image.split_once(':').map_or(image.as_str(), |(target, _)| target);
        let built = components::build_one(context, phase, target, name_of(image))?;
        context.addons.images.push(built);
    }
    for target in &programs {
        let path = context.directory.path().join(format!("program-{target}.tar"));
        components::build_tree(context, phase, target, &path)?;
        context.addons.trees.push(path);
    }
    Ok(context.settings.addons.join(", "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::checkout::Checkout;

    fn parsed(text: &str) -> Definition {
        Definition::parse(text).unwrap()
    }

    #[test]
    fn a_definition_names_targets() {
        assert_eq!(parsed(""), Definition::default());
        let definition = parsed("images: [metrics-server:v0.9.0]\nprograms: [helm]\n");
        assert_eq!((definition.images.len(), definition.programs.len()), (1, 1));
        let wrong = Definition::parse("images: [a, 'a:', ':b', 'A:1']\nprograms: ['x y']\n").unwrap_err();
        assert_eq!(wrong.len(), 5, "{wrong:?}");
        assert!(wrong[0].starts_with("`a` is no image to build: write TARGET:TAG"), "{wrong:?}");
        assert!(Definition::parse("image: [a:1]\n").unwrap_err()[0].contains("unknown field"));
    }

    #[test]
    fn what_is_wrong_with_addons_is_told_at_once() {
        let all = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = all.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("a/addon.yaml", "images: [a]\n");
        write("a/manifests/a.yaml", "");
        write("b/addon.yaml", "");
        write("b/manifests/kustomization.yaml", "resources: [deep/b.yaml]\n");
        write("b/manifests/deep/b.yaml", "");
        let mut problems = Vec::new();
        load(all.path(), &["a".to_owned(), "c".to_owned()], &mut problems);
        let told: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
        for wanted in
            ["a/addon.yaml`: `a` is no image", "a/manifests`: holds no kustomization.yaml", "c/addon.yaml`: cannot"]
        {
            assert!(told.contains(wanted), "{told}");
        }
        problems.clear();
        let addons = load(all.path(), &["b".to_owned()], &mut problems);
        assert_eq!(problems, []);
        let targets: Vec<_> = addons.manifests().map(|packed| packed.target.display().to_string()).collect();
        assert_eq!(
            targets,
            [
                "kubake/inbox/hooks/manifests",
                "kubake/inbox/hooks/manifests/.addon-b",
                "kubake/inbox/hooks/manifests/.addon-b/deep",
                "kubake/inbox/hooks/manifests/.addon-b/deep/b.yaml",
                "kubake/inbox/hooks/manifests/.addon-b/kustomization.yaml",
            ]
        );
    }

    /// The add-ons of this checkout, by name.
    fn ours() -> Vec<(String, PathBuf, Definition)> {
        let checkout = Checkout::find().unwrap();
        let read = |name: String| {
            let path = checkout.addons_dir().join(&name);
            let definition = parsed(&fs::read_to_string(path.join(ADDON_FILE)).unwrap());
            (name, path, definition)
        };
        checkout.addons().into_iter().map(read).collect()
    }

    #[test]
    fn ours_are_in_order_and_documented() {
        let checkout = Checkout::find().unwrap();
        let names = checkout.addons();
        assert!(names.contains(&"metrics-server".to_owned()), "{names:?}");
        let mut problems = Vec::new();
        load(&checkout.addons_dir(), &names, &mut problems);
        assert_eq!(problems, []);
        let index = fs::read_to_string(checkout.addons_dir().join("README.md")).unwrap();
        for (name, path, _) in ours() {
            assert!(path.join("README.md").is_file(), "{name} has no README.md");
            assert!(index.contains(&format!("]({name}/README.md)")), "builder/addons/README.md does not name {name}");
        }
    }

    #[test]
    fn manifests_of_ours_name_images_that_they_build() {
        for (name, path, definition) in ours() {
            let built: BTreeSet<String> = definition.images.iter().map(|image| name_of(image)).collect();
            let named: BTreeSet<String> = images_below(&path.join(MANIFESTS)).into_iter().collect();
            assert_eq!(named, built, "{name}");
        }
    }

    #[test]
    fn tags_of_ours_are_the_versions_that_are_compiled() {
        let checkout = Checkout::find().unwrap();
        for image in ours().iter().flat_map(|(_, _, definition)| &definition.images) {
            let (target, tag) = image.split_once(':').unwrap();
            let path = checkout.root().join("builder/components").join(target).join("go.mod");
            let module = fs::read_to_string(&path).unwrap();
            // What is our own has the version that we give it.
            let Some(tool) = module.lines().find_map(|line| line.strip_prefix("tool ")) else { continue };
            let pinned = module.lines().find_map(|line| {
                let (module, rest) = line.trim().split_once(' ')?;
                let is_its = tool.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
                is_its.then(|| rest.split(' ').next().unwrap_or_default().to_owned())
            });
            assert_eq!(pinned.as_deref(), Some(tag), "{}", path.display());
        }
    }

    #[test]
    fn targets_of_ours_are_in_the_dockerfile() {
        let dockerfile = fs::read_to_string(Checkout::find().unwrap().root().join("Dockerfile")).unwrap();
        for (name, _, definition) in ours() {
            let images = definition.images.iter().filter_map(|image| Some(image.split_once(':')?.0));
            for target in images.chain(definition.programs.iter().map(String::as_str)) {
                assert!(dockerfile.contains(&format!(" AS {target}\n")), "{name}: {target}");
            }
        }
    }

    /// Every `image:` of the manifests in a directory.
    fn images_below(directory: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in entries {
            if path.is_dir() {
                found.extend(images_below(&path));
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for document in serde_yaml::Deserializer::from_str(&text) {
                collect_images(&serde_yaml::Value::deserialize(document).unwrap(), &mut found);
            }
        }
        found
    }

    fn collect_images(value: &serde_yaml::Value, found: &mut Vec<String>) {
        match value {
            serde_yaml::Value::Mapping(mapping) => {
                for (key, value) in mapping {
                    match (key.as_str(), value.as_str()) {
                        (Some("image"), Some(image)) => found.push(image.to_owned()),
                        _ => collect_images(value, found),
                    }
                }
            }
            serde_yaml::Value::Sequence(items) => items.iter().for_each(|item| collect_images(item, found)),
            _ => {}
        }
    }
}
