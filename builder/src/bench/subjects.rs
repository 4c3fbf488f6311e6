//! Looks up the images to measure.

use kubake_contract::labels;

use super::error::Error;
use crate::engine::{Engine, Image};

/// Value of [`labels::STAGE`] on an image that boots a cluster.
const BAKED: &str = "baked";

/// An image to measure, with the name from the command line.
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) image: Image,
}

/// Returns the images if all exist and are baked; otherwise all problems.
pub(super) fn subjects(engine: &Engine, names: &[String]) -> Result<Vec<Subject>, Error> {
    let mut subjects = Vec::new();
    let mut problems = Vec::new();
    for name in names {
        let found = engine.image(name).map_err(|source| Error::Look { image: name.clone(), source })?;
        match found {
            None => problems.push(format!("`{name}`: no such image")),
            Some(image) if image.labels.get(labels::STAGE).map(String::as_str) != Some(BAKED) => {
                problems.push(format!("`{name}`: was not created by `kubake bake`"));
            }
            Some(image) => subjects.push(Subject { name: name.clone(), image }),
        }
    }
    if problems.is_empty() { Ok(subjects) } else { Err(Error::Images(problems)) }
}
