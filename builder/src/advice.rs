//! What an error means for the user beside its text: the hint that follows it, and whether it only says that the user
//! interrupted the command. Owns the trait that every error of this crate with such knowledge implements; formats and
//! prints nothing.

/// Advice that an error gives. An error that only passes another one on names it in [`Advice::cause`] and inherits the
/// rest.
pub(crate) trait Advice {
    /// The error below this one whose advice counts where this one has none of its own.
    fn cause(&self) -> Option<&dyn Advice> {
        None
    }

    /// The action for the user to take, printed as `hint: …`.
    fn hint(&self) -> Option<String> {
        self.cause()?.hint()
    }

    /// What an interruption left behind, printed instead of the assurance that changes were rolled back.
    fn leftover(&self) -> Option<String> {
        self.cause()?.leftover()
    }

    /// Whether the command ended because the user interrupted it: the exit code is 130, and no error is printed.
    fn is_interrupted(&self) -> bool {
        self.cause().is_some_and(Advice::is_interrupted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Interrupted;

    impl Advice for Interrupted {
        fn hint(&self) -> Option<String> {
            Some("try again".to_owned())
        }

        fn is_interrupted(&self) -> bool {
            true
        }
    }

    struct PassedOn(Interrupted);

    impl Advice for PassedOn {
        fn cause(&self) -> Option<&dyn Advice> {
            Some(&self.0)
        }
    }

    struct Silent;

    impl Advice for Silent {}

    #[test]
    fn advice_is_inherited_from_the_cause() {
        let error = PassedOn(Interrupted);
        assert_eq!(error.hint().as_deref(), Some("try again"));
        assert!(error.is_interrupted());
        assert_eq!((Silent.hint(), Silent.is_interrupted()), (None, false));
    }
}
