//! Waiting with a deadline. The only place in this crate that sleeps.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// Short enough not to lengthen a run, long enough not to take processor time from a booting cluster.
const INTERVAL: Duration = Duration::from_millis(100);

/// Tries until it succeeds. An error means "not yet"; the last one is the reason when time is up.
///
/// # Errors
/// When `attempt` still fails after `patience`.
pub fn until<T>(what: &str, patience: Duration, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    loop {
        // Asked before the attempt: what takes long itself is tried once more after the deadline has passed.
        let late = started.elapsed() >= patience;
        match attempt() {
            Ok(value) => return Ok(value),
            Err(reason) if late => {
                return Err(anyhow!("{what}: not within {} s; last reason: {reason:#}", patience.as_secs()));
            }
            Err(_) => thread::sleep(INTERVAL),
        }
    }
}

/// Checks again and again for a while that something holds: for what an engine may still do after the command that
/// asked for it has ended.
///
/// # Errors
/// The first time that `check` fails.
pub fn throughout(time: Duration, mut check: impl FnMut() -> Result<()>) -> Result<()> {
    let started = Instant::now();
    while started.elapsed() < time {
        check()?;
        thread::sleep(INTERVAL);
    }
    check()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_reason_is_reported() {
        let mut count = 0;
        let error = until("the door opens", Duration::from_millis(150), || -> Result<()> {
            count += 1;
            Err(anyhow!("locked ({count})"))
        })
        .unwrap_err();
        assert!(count >= 2);
        assert_eq!(error.to_string(), format!("the door opens: not within 0 s; last reason: locked ({count})"));
    }
}
