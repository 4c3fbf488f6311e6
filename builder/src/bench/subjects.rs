//! The images that are measured.

use kubake_contract::labels;

use super::error::Error;
use crate::engine::{Engine, Image};

/// What [`labels::STAGE`] says on an image that a cluster can be run from.
const BAKED: &str = "baked";

/// An image that is there: the name it was asked for by, and what the engine says of it.
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) image: Image,
}

/// The images, if each of them is there and baked.
pub(super) fn subjects(engine: &Engine, names: &[String]) -> Result<Vec<Subject>, Error> {
    let mut subjects = Vec::new();
    let mut problems = Vec::new();
    for name in names {
        let found = engine.image(name).map_err(|source| Error::Look { image: name.clone(), source })?;
        match found {
            None => problems.push(format!("`{name}`: there is no such image")),
            Some(image) if image.labels.get(labels::STAGE).map(String::as_str) != Some(BAKED) => {
                problems.push(format!("`{name}`: not an image that kubake baked"));
            }
            Some(image) => subjects.push(Subject { name: name.clone(), image }),
        }
    }
    if problems.is_empty() { Ok(subjects) } else { Err(Error::Images(problems)) }
}
