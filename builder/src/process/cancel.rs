//! The token that Ctrl-C sets: everything that waits shares it. Knows no processes.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere must not keep the clean-up from running, and no state here can be left half-changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A token that says "stop": shared by everything that waits. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Cancel {
    inner: Arc<CancelInner>,
}

#[derive(Default)]
struct CancelInner {
    cancelled: AtomicBool,
    listeners: Mutex<Listeners>,
    changed: Condvar,
}

type Callback = Box<dyn Fn() + Send>;

#[derive(Default)]
struct Listeners {
    next: u64,
    callbacks: BTreeMap<u64, Callback>,
}

impl fmt::Debug for Cancel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Cancel").field("cancelled", &self.is_cancelled()).finish()
    }
}

impl Cancel {
    /// A token that nothing has set yet.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A token that SIGINT, SIGTERM and SIGHUP set. To be called once, by `main`.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub(crate) fn on_signals() -> io::Result<Self> {
        let cancel = Self::new();
        let token = cancel.clone();
        let (ready, installed) = mpsc::channel();
        // A thread with its own small runtime: tokio's handlers need no unsafe code, and, unlike a blocked signal
        // mask with sigwait, leave nothing behind in the children.
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let outcome = watch_signals(&token, &ready);
            if let Err(error) = outcome {
                // The receiver is gone only when the handlers were installed before.
                drop(ready.send(Err(error)));
            }
        })?;
        installed.recv().map_err(io::Error::other)??;
        Ok(cancel)
    }

    /// Sets the token. A second call makes the runner kill its child at once.
    pub(crate) fn cancel(&self) {
        let listeners = lock(&self.inner.listeners);
        self.inner.cancelled.store(true, Ordering::SeqCst);
        for callback in listeners.callbacks.values() {
            callback();
        }
        self.inner.changed.notify_all();
    }

    /// Whether the token is set.
    #[must_use]
    pub(crate) fn is_cancelled(&self) -> bool {
        self.inner.cancelled.load(Ordering::SeqCst)
    }

    /// Sleeps for `duration`, or until the token is set: then the answer is false.
    #[must_use]
    pub(crate) fn sleep(&self, duration: Duration) -> bool {
        let deadline = Instant::now() + duration;
        let mut guard = lock(&self.inner.listeners);
        loop {
            if self.is_cancelled() {
                return false;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            guard = self.inner.changed.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Calls `callback` at each [`Self::cancel`] until the subscription is dropped; at once where the token is set already.
    /// `callback` must neither block nor use the token.
    pub(super) fn subscribe(&self, callback: impl Fn() + Send + 'static) -> Subscription {
        let mut listeners = lock(&self.inner.listeners);
        let id = listeners.next;
        listeners.next += 1;
        if self.is_cancelled() {
            callback();
        }
        listeners.callbacks.insert(id, Box::new(callback));
        Subscription { cancel: self.clone(), id }
    }
}

fn watch_signals(cancel: &Cancel, ready: &Sender<io::Result<()>>) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let ignored = ignored_signals(&std::fs::read_to_string("/proc/self/status").unwrap_or_default());
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let keeps_running = is_in(ignored, SignalKind::hangup());
        let mut hangup = if keeps_running { None } else { Some(signal(SignalKind::hangup())?) };
        drop(ready.send(Ok(())));
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = received(&mut hangup) => {}
            }
            cancel.cancel();
        }
    })
}

/// Waits for the signal; for ever if it stays ignored.
async fn received(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// The mask of signals that this process ignores (proc(5): `SigIgn`). `nohup` starts programs with SIGHUP ignored, which must
/// stay so: the work has to outlive the terminal. SIGINT counts in any case, although shells start background commands with
/// it ignored: a signal that asks for an end must end the work in order.
fn ignored_signals(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn is_in(mask: u64, signal: tokio::signal::unix::SignalKind) -> bool {
    mask >> (signal.as_raw_value() - 1) & 1 == 1
}

pub(super) struct Subscription {
    cancel: Cancel,
    id: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        lock(&self.cancel.inner.listeners).callbacks.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use tokio::signal::unix::SignalKind;

    use super::*;

    #[test]
    fn signals_of_nohup_are_recognized() {
        let mask = ignored_signals("Name:\tkubake\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n");
        assert!(is_in(mask, SignalKind::hangup()) && is_in(mask, SignalKind::pipe()));
        assert!(!is_in(mask, SignalKind::interrupt()));
        assert_eq!(ignored_signals(""), 0);
    }
}
