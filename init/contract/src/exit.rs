//! How `kubake-init` ends (and with it the container).

/// Stopped in order, or the bake is finished.
pub const OK: i32 = 0;
/// The boot or the bake failed; the reason is the last thing on stderr.
pub const FAILED: i32 = 1;
/// Wrong arguments, settings or container flags (no `--privileged`): nothing was touched (`EX_USAGE`).
pub const USAGE: i32 = 64;
