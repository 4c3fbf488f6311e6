//! Mistakes in arguments and in the settings file. The program reports them before it looks at the machine, so these cases
//! need no engine and no image.

use anyhow::{Context, Result, ensure};
use kubake_contract::exit;
use kubake_e2e::PREFIX;
use kubake_e2e::lab::{self, lab};

use crate::Case;
use crate::bad_input::{PATIENCE, refusal};

pub(crate) const CASES: &[Case] = &[
    ("an unknown flag is a usage error", unknown_flag),
    ("a broken settings file is refused with every mistake and its line", broken_settings),
];

fn unknown_flag() -> Result<()> {
    let directory = lab()?.directory()?;
    for arguments in [&["up", "--no-such-flag"][..], &["no-such-command"], &["up", "--api-port", "eighty"]] {
        let output = lab()?.run(directory.path(), PATIENCE, arguments)?;
        refusal(output, exit::USAGE, &arguments[arguments.len() - 1..])?;
    }
    Ok(())
}

fn broken_settings() -> Result<()> {
    let directory = lab()?.directory()?;
    let file = directory.path().join("settings.yaml");
    let name = format!("{PREFIX}-settings");
    lab::write(
        &file,
        format!("version: 1\nname: {name}\nstaticIp: nowhere\npodSubnett: 10.244.0.0/16\nhostPorts:\n  api: 99999\n"),
    )?;
    let settings = file.to_str().context("a path that is no text")?;
    for command in ["up", "bake"] {
        let output = lab()?.run(directory.path(), PATIENCE, [command, "--settings", settings])?;
        let named =
            ["settings.yaml:3 staticIp", "settings.yaml:4 podSubnett", "podSubnet`?", "settings.yaml:6 hostPorts.api"];
        refusal(output, exit::USAGE, &named)?;
    }
    // A named file that does not exist is a mistake, too.
    let output = lab()?.run(directory.path(), PATIENCE, ["up", "--settings", "/no/such/file.yaml"])?;
    refusal(output, exit::USAGE, &["/no/such/file.yaml"])?;
    ensure!(!lab::kubeconfig(directory.path()).exists(), "a kubeconfig was written");
    Ok(())
}
