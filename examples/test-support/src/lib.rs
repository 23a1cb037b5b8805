//! Doubles and service pools for the tests.
