//! `kubake bake`: resolves its arguments and settings, bakes, and prints what was baked and what to type next.

use super::Error;
use super::preparation::{find_engine, resolve};
use crate::bake;
use crate::cli::{BakeArgs, Global};
use crate::doctor;
use crate::host_context::HostContext;
use crate::printer::Printer;
use crate::settings::{Key, Origin};
use crate::versions;

pub(super) fn run(args: &BakeArgs, global: &Global, printer: &Printer) -> Result<(), Error> {
    let settings = resolve(&args.settings, global)?;
    let secrets = bake::HookSecrets::load(&args.hook_secret, |name| std::env::var_os(name))?;
    if let (Some(from), Origin::Default) = (&args.from, settings.origin(Key::IMAGE)) {
        return Err(Error::NoName { from: from.clone() });
    }
    if args.all_versions && *settings.origin(Key::IMAGE) != Origin::Default {
        return Err(Error::OneName { image: settings.image });
    }
    let host_context = HostContext::for_bake(&settings, |name| std::env::var(name).ok())?;
    host_context.warn(printer);
    let engine = find_engine(printer, args.yes)?;
    doctor::obstacles(&engine)?;
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
    // `up` reads the file and the environment, too; only flags must be repeated.
    let flag = |key: Key, value: &str| match settings.origin(key) {
        Origin::Flag(name) => format!(" {name} {value}"),
        _ => String::new(),
    };
    let version = match settings.origin(Key::IMAGE) {
        Origin::Flag(_) => String::new(),
        _ => flag(Key::KUBERNETES_VERSION, &settings.cluster.kubernetes_version),
    };
    printer.next(&[format!("kubake up{}{version}", flag(Key::IMAGE, &settings.image))]);
    if printer.is_json() { printer.json(&baked).map_err(Error::Output) } else { Ok(()) }
}
