//! Sets the machine's clock and sets it back, also if the test is killed: all programs use this clock. Measures time with a
//! clock that cannot be set.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};

/// The word that makes the helper end without setting the clock.
const RESTORED: &str = "restored";

/// Waits for a word; if this process ends without having said it (killed, interrupted), it sets the clock by the time
/// since the machine was started. Its argument is the time at which that was.
const HELPER: &str = r#"
read -r word
[ "$word" = restored ] && exit 0
read -r uptime rest < /proc/uptime
date --utc --set "@$(awk -v started="$1" -v uptime="$uptime" 'BEGIN { printf "%.2f", started + uptime }')"
"#;

/// A clock that is wrong until this is dropped.
#[derive(Debug)]
pub struct Shift {
    /// The right time when it was set, and a point in time that does not depend on it.
    right: Duration,
    since: Instant,
    helper: Child,
}

impl Shift {
    /// Sets the clock to this time.
    ///
    /// # Errors
    /// When this process may not set it.
    pub fn to(time: SystemTime) -> Result<Self> {
        let uptime = std::fs::read_to_string("/proc/uptime").context("cannot read the time since the start")?;
        let uptime: f64 = uptime.split(' ').next().and_then(|seconds| seconds.parse().ok()).context("/proc/uptime")?;
        let (right, since) = (since_epoch(SystemTime::now())?, Instant::now());
        let helper = Command::new("sh")
            .args(["-c", HELPER, "sh", &format!("{:.2}", right.as_secs_f64() - uptime)])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C ends a whole group.
            .process_group(0)
            .spawn()
            .context("cannot start the helper that sets the clock back")?;
        // From here on dropping it sets the clock back.
        let shift = Self { right, since, helper };
        let wanted = since_epoch(time)?;
        set(wanted).context("this machine's clock cannot be set; this case needs root with CAP_SYS_TIME")?;
        let now = since_epoch(SystemTime::now())?;
        ensure!(now.abs_diff(wanted) < Duration::from_secs(60), "the clock was set and did not follow: {now:?}");
        Ok(shift)
    }
}

impl Drop for Shift {
    fn drop(&mut self) {
        let is_restored = set(self.right + self.since.elapsed()).is_ok();
        if let (true, Some(mut stdin)) = (is_restored, self.helper.stdin.take()) {
            let _ = stdin.write_all(RESTORED.as_bytes()).and_then(|()| stdin.write_all(b"\n"));
        }
        // Its stdin is closed now, so it ends.
        let _ = self.helper.wait();
    }
}

fn since_epoch(time: SystemTime) -> Result<Duration> {
    time.duration_since(SystemTime::UNIX_EPOCH).context("a time before 1970")
}

fn set(time: Duration) -> nix::Result<()> {
    clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::from_duration(time))
}
