//! `kubake bake`.

use super::{Error, find_engine, resolve};
use crate::bake;
use crate::cli::{Baking, Global, SettingFlags};
use crate::host_context::HostContext;
use crate::printer::Printer;
use crate::settings::{Key, Origin};
use crate::versions;

/// Arguments of `kubake bake`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Install and start a container engine if there is none (Debian and Ubuntu, as root)
    #[arg(short, long)]
    pub yes: bool,
    /// Bake although an image with the same inputs exists
    #[arg(short, long)]
    pub force: bool,
    /// Keep a build container that failed
    #[arg(long)]
    pub retain: bool,
    /// Hand a value to the hooks in the build container, from a file or from the variable NAME; it is in no layer and no log
    #[arg(long, value_name = "NAME[=FILE]")]
    pub hook_secret: Vec<String>,
    /// Start from a baked image and add to it, instead of making one from source; give the new one a name with `-t`
    #[arg(long, value_name = "BAKED")]
    pub from: Option<String>,
    /// Bake every version of Kubernetes that can be built, an image each; it goes by its minor release and by its version
    #[arg(long, conflicts_with_all = ["from", "image", "kubernetes-version"])]
    pub all_versions: bool,
    /// The settings.
    #[command(flatten)]
    pub settings: SettingFlags<Baking>,
}

pub(super) fn run(args: &Args, global: &Global, printer: &Printer) -> Result<(), Error> {
    let settings = resolve(&args.settings, global)?;
    let secrets = bake::HookSecrets::load(&args.hook_secret, |name| std::env::var_os(name))?;
    if let (Some(from), Origin::Default) = (&args.from, settings.origin(Key::Image)) {
        return Err(Error::NoName { from: from.clone() });
    }
    if args.all_versions && *settings.origin(Key::Image) != Origin::Default {
        return Err(Error::OneName { image: settings.image });
    }
    let host_context = HostContext::for_bake(&settings, |name| std::env::var(name).ok())?;
    host_context.warn(printer);
    let engine = find_engine(printer, args.yes)?;
    let options =
        bake::Options { force: args.force, retain: args.retain, secrets, from: args.from.clone(), host_context };
    if args.all_versions {
        let mut baked = Vec::new();
        for version in versions::PINNED {
            printer.line(format_args!("Kubernetes {version}"));
            baked.push(bake::bake(&engine, &settings.with_version(version), options.clone(), printer)?);
        }
        printer.next(&["kubake up --kubernetes-version 1.NN".to_owned()]);
        return if printer.is_json() { printer.json(&baked).map_err(Error::Output) } else { Ok(()) };
    }
    let baked = bake::bake(&engine, &settings, options, printer)?;
    // From the file or the environment `up` reads them, too.
    let flag = |key: Key, value: &str| match settings.origin(key) {
        Origin::Flag(name) => format!(" {name} {value}"),
        _ => String::new(),
    };
    let version = match settings.origin(Key::Image) {
        Origin::Flag(_) => String::new(),
        _ => flag(Key::KubernetesVersion, &settings.cluster.kubernetes_version),
    };
    printer.next(&[format!("kubake up{}{version}", flag(Key::Image, &settings.image))]);
    if printer.is_json() { printer.json(&baked).map_err(Error::Output) } else { Ok(()) }
}
