//! Images that lists name: pulls missing ones and saves all of them, with the names under which Kubernetes looks for them.
//! Parses no list; `inputs` does.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use kubake_contract::ImageReference;

use super::context::find_image;
use super::engine_archive::{Saved, own_repository, save};
use super::error::Error;
use super::inputs::{self, Listed, Platform, Problem};
use crate::advice::Advice;
use crate::engine::command::Pull;
use crate::engine::{Engine, Image};
use crate::printer::{Phase, chain};

/// Why the engine's image cannot serve for a listed one; `None` if it can, or if it is going to be pulled.
pub(super) fn unusable(listed: &Listed, image: Option<&Image>, platform: &Platform) -> Option<Problem> {
    let Listed { reference, .. } = listed;
    match image {
        None if listed.is_local => Some(
            listed
                .problem(format!("the engine has no image `{reference}`; build it, or remove `docker://` to pull it")),
        ),
        Some(image) if !platform.runs(&Platform::new("", &image.architecture)) => Some(listed.problem(format!(
            "the engine's image `{reference}` is for {}, and the engine runs {platform}; pull it for that platform",
            image.architecture
        ))),
        _ => None,
    }
}

/// Saves listed images into one archive, each under a name of this bake: an archive holds no names by digest, and engines
/// disagree on the registry of a name without one. Returns the final name by temporary name.
pub(super) fn save_listed(
    engine: &Engine,
    output: &Path,
    listed: &[Listed],
) -> Result<BTreeMap<String, String>, Error> {
    let (mut images, mut names) = (Vec::new(), BTreeMap::new());
    let repository = own_repository();
    for (number, Listed { reference, .. }) in listed.iter().enumerate() {
        let Some(image) = find_image(engine, reference)? else {
            return Err(inputs::Error::Problems(vec![gone(&listed[number])]).into());
        };
        let parsed = ImageReference::parse(reference);
        let name =
            parsed.map_or_else(|| reference.clone(), |name| name.by_digest().unwrap_or_else(|| name.canonical()));
        let ours = format!("{repository}:{number}");
        images.push(Saved { id: image.id, name: ours.clone() });
        names.insert(ours, name);
    }
    save(engine, output, &images)?;
    Ok(names)
}

fn gone(listed: &Listed) -> Problem {
    listed.problem(format!("the engine no longer has `{}`; does another program remove images?", listed.reference))
}

/// Pulls listed images that the engine lacks. Returns `NAME ID` of all as inputs, or one problem for each failed pull.
pub(super) fn pull_listed(engine: &Engine, listed: &[Listed], phase: &Phase) -> Result<Vec<String>, Error> {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    // The name counts: the same image under another name is another input.
    let part = |reference: &str, id: &str| format!("{reference} {id}");
    for image in listed {
        let Listed { reference, .. } = image;
        if let Some(present) = find_image(engine, reference)? {
            found.push(part(reference, &present.id));
            continue;
        }
        phase.message(format_args!("pulling {reference}"));
        let pull = Pull { image: reference.clone(), timeout: Some(Duration::from_secs(1800)) };
        match engine.run(&pull) {
            Ok(()) => {
                let id = find_image(engine, reference)?.map(|image| image.id).unwrap_or_default();
                found.push(part(reference, &id));
            }
            Err(source) if source.is_interrupted() => {
                return Err(Error::Run { action: format!("pull `{reference}`"), source });
            }
            Err(error) => {
                let why = chain(&error);
                problems.push(
                    image.problem(format!(
                        "failed to pull `{reference}`: {why}; check that its registry can be reached"
                    )),
                );
            }
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(inputs::Error::Problems(problems).into()) }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn an_absent_or_unfit_image_is_reported_with_its_line() {
        let platform = Platform::new("linux", "amd64");
        let listed = |is_local| Listed {
            reference: "me/app".to_owned(),
            is_local,
            path: PathBuf::from("images.d/a.txt"),
            line: 3,
        };
        let image: Image = Image {
            id: "sha256:1".to_owned(),
            tags: Vec::new(),
            digests: Vec::new(),
            labels: BTreeMap::new(),
            env: Vec::new(),
            entrypoint: Vec::new(),
            size: 0,
            created: String::new(),
            architecture: "arm64".to_owned(),
            layers: Vec::new(),
        };
        assert_eq!(unusable(&listed(false), None, &platform), None, "it is pulled");
        let text = unusable(&listed(true), None, &platform).unwrap().to_string();
        assert!(text.starts_with("`images.d/a.txt`, line 3: the engine has no image `me/app`; build it"), "{text}");
        let text = unusable(&listed(true), Some(&image), &platform).unwrap().to_string();
        assert!(text.contains("line 3") && text.contains("is for arm64, and the engine runs linux/amd64"), "{text}");
        let image = Image { architecture: "amd64".to_owned(), ..image };
        assert_eq!(unusable(&listed(true), Some(&image), &platform), None);
    }
}
