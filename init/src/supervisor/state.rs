//! The state of a supervised daemon, and the one function that changes it. Pure: no process, no clock, no board.

use kubake_contract::status::{Component, ComponentState};

/// Unexpected ends before the first readiness after which the supervisor gives up, or waits longer.
pub(super) const FATAL_FAILURES: u32 = 5;

/// What the supervisor knows about a daemon. Holds the last end only, so it does not grow with restarts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) component: ComponentState,
    /// Whether the daemon ever reported readiness.
    pub(super) has_served: bool,
    /// Unexpected ends so far.
    pub(super) restarts: u32,
    pub(super) last_exit: Option<String>,
    failures_before_ready: u32,
    is_given_up: bool,
}

/// What happens to a daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// Its process was started.
    Started,
    /// It reported that it serves.
    Ready,
    /// Its process ended unexpectedly or could not be started again.
    Ended(String),
    /// The supervisor stopped it on request.
    Stopped,
}

impl State {
    /// Returns the state of a daemon whose process was started for the first time.
    pub(super) fn first(is_given_up: bool) -> Self {
        Self {
            component: ComponentState::Starting,
            has_served: false,
            restarts: 0,
            last_exit: None,
            failures_before_ready: 0,
            is_given_up,
        }
    }

    /// Returns the state after an event. `Failed` and `Stopped` are final.
    #[must_use]
    pub(super) fn after(mut self, event: Event) -> Self {
        if self.is_final() {
            return self;
        }
        self.component = match event {
            Event::Started => ComponentState::Starting,
            Event::Ready => {
                self.has_served = true;
                self.failures_before_ready = 0;
                ComponentState::Running
            }
            Event::Ended(exit) => {
                self.restarts += 1;
                self.last_exit = Some(exit);
                self.failures_before_ready += u32::from(!self.has_served);
                if self.is_hopeless() && self.is_given_up { ComponentState::Failed } else { ComponentState::BackingOff }
            }
            Event::Stopped => ComponentState::Stopped,
        };
        self
    }

    /// Whether it ended too often before it ever served.
    pub(super) fn is_hopeless(&self) -> bool {
        self.failures_before_ready >= FATAL_FAILURES
    }

    /// Whether the daemon will not be started again.
    pub(super) fn is_final(&self) -> bool {
        matches!(self.component, ComponentState::Failed | ComponentState::Stopped)
    }

    /// Copies the state to the daemon's entry on the board.
    pub(super) fn show(&self, component: &mut Component) {
        component.state = self.component;
        component.restarts = self.restarts;
        component.last_exit.clone_from(&self.last_exit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended() -> Event {
        Event::Ended("exit code 1".to_owned())
    }

    fn state_after(events: impl IntoIterator<Item = Event>) -> State {
        events.into_iter().fold(State::first(true), State::after)
    }

    #[test]
    fn a_daemon_starts_serves_and_stops() {
        for (events, component) in [
            (vec![], ComponentState::Starting),
            (vec![Event::Ready], ComponentState::Running),
            (vec![Event::Ready, ended()], ComponentState::BackingOff),
            (vec![Event::Ready, ended(), Event::Started], ComponentState::Starting),
            (vec![Event::Ready, Event::Stopped], ComponentState::Stopped),
            (vec![ended(), Event::Stopped], ComponentState::Stopped),
        ] {
            assert_eq!(state_after(events.clone()).component, component, "{events:?}");
        }
    }

    #[test]
    fn a_daemon_that_never_served_is_given_up() {
        let failures = |count: u32| (0..count).flat_map(|_| [ended(), Event::Started]);
        assert_eq!(state_after(failures(FATAL_FAILURES - 1)).component, ComponentState::Starting);
        let given_up = state_after(failures(FATAL_FAILURES));
        assert_eq!((given_up.component, given_up.restarts), (ComponentState::Failed, FATAL_FAILURES));
        assert_eq!(given_up.last_exit.as_deref(), Some("exit code 1"));
    }

    #[test]
    fn a_daemon_that_served_once_is_restarted_for_ever() {
        let events = std::iter::once(Event::Ready).chain((0..100).flat_map(|_| [Event::Started, ended()]));
        let state = state_after(events);
        assert_eq!((state.component, state.restarts, state.has_served), (ComponentState::BackingOff, 100, true));
    }

    #[test]
    fn a_daemon_that_is_not_given_up_is_started_again_although_it_is_hopeless() {
        let events = (0..FATAL_FAILURES).flat_map(|_| [ended(), Event::Started]);
        let state = events.fold(State::first(false), State::after);
        assert_eq!((state.component, state.is_hopeless()), (ComponentState::Starting, true));
        let state = state.after(Event::Ready);
        assert_eq!((state.component, state.is_hopeless()), (ComponentState::Running, false));
    }

    #[test]
    fn final_states_stay() {
        for last in [Event::Started, Event::Ready, ended()] {
            let stopped = state_after([Event::Stopped]);
            assert_eq!(stopped.clone().after(last), stopped);
        }
    }
}
