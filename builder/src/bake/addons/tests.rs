//! The format of add-ons, and the add-ons of this checkout.

use serde::Deserialize;

use super::definition::{Definition, name_of};
use super::load::{MANIFESTS, load};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::checkout::{ADDON_FILE, Checkout};

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
    assert!(wrong[0].starts_with("`a` is not an image to build: write TARGET:TAG"), "{wrong:?}");
    assert!(Definition::parse("image: [a:1]\n").unwrap_err()[0].contains("unknown field"));
}

#[test]
fn all_mistakes_are_reported_at_once() {
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
    let text: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
    for wanted in
        ["a/addon.yaml`: `a` is not an image", "a/manifests`: has no kustomization.yaml", "c/addon.yaml`: cannot"]
    {
        assert!(text.contains(wanted), "{text}");
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
        // A component of kubake itself has no `tool` line, and a version of its own.
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
