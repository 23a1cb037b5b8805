//! What the test environment gives.

/// A variable of the test environment, or `None` where the test may be skipped.
///
/// # Panics
/// When it is not set although `TENANCY_TEST_REQUIRE` names `service` or `all`.
pub(crate) fn given(service: &str, name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    let required = std::env::var("TENANCY_TEST_REQUIRE").unwrap_or_default();
    let must = required
        .split(',')
        .any(|part| part == service || part == "all");
    assert!(
        value.is_some() || !must,
        "TENANCY_TEST_REQUIRE={required}, but {name} is not set"
    );
    if value.is_none() {
        println!("skipped: {name} is not set");
    }
    value
}
