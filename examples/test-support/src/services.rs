//! What the environment gives a test, and what it must not be without.

/// Lists the services that tests must have, separated by commas; `all` is all of them.
pub const REQUIRE_VARIABLE: &str = "TENANCY_TEST_REQUIRE";

/// Whether a test must have `service`, so that doing without it is a failure and not a skipped test.
#[must_use]
pub fn is_required(service: &str) -> bool {
    lists(&required(), service)
}

/// The variable `name`, or `None`, with a word about it, where the test may be skipped.
///
/// # Panics
/// When it is not set, or empty, although [`REQUIRE_VARIABLE`] lists `service` or `all`.
#[must_use]
pub fn given(service: &str, name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    assert!(
        value.is_some() || !is_required(service),
        "{REQUIRE_VARIABLE}={}, but {name} is not set",
        required()
    );
    if value.is_none() {
        println!("skipped: {name} is not set");
    }
    value
}

fn required() -> String {
    std::env::var(REQUIRE_VARIABLE).unwrap_or_default()
}

fn lists(required: &str, service: &str) -> bool {
    let mut named = required.split(',').map(str::trim);
    named.any(|name| name == service || name == "all")
}

#[cfg(test)]
mod tests {
    use super::lists;

    #[test]
    fn all_is_every_service() {
        for service in ["docker", "oidc-provider", "postgres", "stand-in"] {
            assert!(lists("all", service));
            assert!(lists("docker, all", service));
            assert!(lists(service, service));
            assert!(!lists("", service));
            assert!(!lists("other", service));
        }
    }
}
