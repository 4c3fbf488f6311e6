//! The command line: what can be typed, and which setting a flag is. Owns parsing only and runs nothing; `commands` does
//! the work of each subcommand.

mod arguments;
mod command_line;
mod setting_flags;
#[cfg(test)]
mod tests;

pub(crate) use arguments::{
    BakeArgs, BenchArgs, CompletionsArgs, DoctorArgs, DownArgs, EngineAction, EngineArgs, SettingsArgs, UpArgs,
};
pub(crate) use command_line::{Cli, Command, Global};
pub(crate) use setting_flags::{SettingFlags, Subset};
