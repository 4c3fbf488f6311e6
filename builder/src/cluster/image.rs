//! The image of a cluster: found, pulled or baked, and compared with the settings.

use std::collections::BTreeMap;

use kubake_contract::{ClusterSettings, ImageReference, labels};

use super::error::Error;
use super::options::Options;
use crate::bake;
use crate::engine::command::Pull;
use crate::engine::{Engine, Image};
use crate::printer::Printer;
use crate::process::RunError;
use crate::settings::Settings;

fn image_error(action: impl Into<String>) -> impl FnOnce(RunError) -> Error {
    move |source| Error::Image { action: action.into(), source }
}

pub(super) fn ensure_image(
    engine: &Engine,
    settings: &Settings,
    options: Options<'_>,
    printer: &Printer,
) -> Result<Image, Error> {
    let name = &settings.image;
    let look = || engine.image(name).map_err(image_error(format!("look for the image `{name}`")));
    if let Some(image) = look()? {
        return Ok(image);
    }
    // A name with a slash belongs to a registry or to an account of Docker Hub. Short names are those of local bakes.
    if ImageReference::parse(name).is_some() && name.contains('/') {
        let phase = printer.phase(format!("pull {name}"));
        engine.run(&Pull { image: name.clone(), timeout: None }).map_err(image_error(format!("pull `{name}`")))?;
        phase.done();
    } else {
        printer
            .line(format_args!("there is no image `{name}` yet: baking it, which compiles Kubernetes the first time"));
        let (secrets, host_context) = (options.hook_secrets.clone(), options.host_context.clone());
        bake::bake(engine, settings, bake::Options { secrets, host_context, ..bake::Options::default() }, printer)?;
    }
    look()?.ok_or_else(|| Error::NoImage { image: name.clone() })
}

pub(super) fn compare(settings: &Settings, image: &BTreeMap<String, String>) -> Result<(), Error> {
    if image.get(labels::STAGE).map(String::as_str) != Some(labels::BAKED) {
        return Err(Error::NotBaked { image: settings.image.clone() });
    }
    let Some(baked) = image.get(labels::SETTINGS) else { return Ok(()) };
    let Ok(baked) = serde_json::from_str::<ClusterSettings>(baked) else { return Ok(()) };
    let mut different = settings.differences(&baked);
    different.extend(settings.missing_addons(image.get(labels::ADDONS).map_or("", String::as_str)));
    if different.is_empty() { Ok(()) } else { Err(Error::OtherSettings { image: settings.image.clone(), different }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::create::certificates;
    use crate::cluster::fixtures::settings;
    use crate::settings::{Key, different};

    #[test]
    fn names_in_certificates_are_the_containers_business_and_not_the_images() {
        let baked = serde_json::to_string(&ClusterSettings::default()).unwrap();
        let stage = (labels::STAGE.to_owned(), labels::BAKED.to_owned());
        let image = [(labels::SETTINGS.to_owned(), baked), stage].into();
        let wanted = settings(&[("KUBAKE_CERT_SANS", "a.example, 10.0.0.1"), ("KUBAKE_CERT_VALIDITY", "48h")]);
        compare(&wanted, &image).unwrap();
        assert!(compare(&settings(&[("KUBAKE_POD_SUBNET", "10.1.0.0/16")]), &image).is_err());
        assert!(matches!(compare(&wanted, &BTreeMap::new()), Err(Error::NotBaked { .. })), "any other image");
        let env = certificates(&wanted, "127.0.0.1");
        let env: Vec<String> = env.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(env, ["KUBAKE_CERT_SANS=a.example,10.0.0.1", "KUBAKE_CERT_VALIDITY=2d"]);
        assert!(certificates(&settings(&[]), "127.0.0.1").is_empty());
    }

    #[test]
    fn only_what_was_asked_for_is_compared() {
        let baked = ClusterSettings::default();
        let wanted = ClusterSettings {
            pod_subnet: "10.1.0.0/16".parse().unwrap(),
            cert_sans: vec!["x".to_owned()],
            ..ClusterSettings::default()
        };
        let error = Error::OtherSettings {
            image: "i:1".to_owned(),
            different: different(&wanted, &baked, |key| key == Key::POD_SUBNET),
        };
        assert_eq!(
            error.to_string(),
            "`i:1` was baked with other settings:\n  podSubnet: wanted \"10.1.0.0/16\", baked \"10.244.0.0/16\""
        );
        assert_eq!(different(&wanted, &baked, |_| true).len(), 2);
        assert!(different(&wanted, &baked, |_| false).is_empty());
    }
}
