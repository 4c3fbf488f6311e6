//! One registry as users describe it: host, login, mirrors and how its TLS is verified. Data only.

use std::fmt;

use super::Mirror;

/// One registry as the user describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registry {
    /// As in image references: a host with or without a port.
    pub host: String,
    /// None for anonymous access.
    pub login: Option<Login>,
    /// containerd asks these first, in this order, and then the registry itself.
    pub mirrors: Vec<Mirror>,
    /// Certificates of the registry and of its mirrors are not verified.
    pub is_insecure: bool,
    /// The registry serves HTTP without TLS. A mirror's URL has its own scheme.
    pub is_plain_http: bool,
    /// CA certificates for the registry and its mirrors, as PEM.
    pub authorities: Vec<String>,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    /// The password, or a token in its place.
    pub password: String,
}

impl fmt::Debug for Login {
    // Debug output ends up in logs, which must not hold passwords.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_hides_the_password() {
        let login = Login { user: "ci".to_owned(), password: "hunter22".to_owned() };
        assert_eq!(format!("{login:?}"), "Login { user: \"ci\", .. }");
    }
}
