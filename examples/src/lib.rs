//! Examples of openclaw-tenancy, run by the tests.
