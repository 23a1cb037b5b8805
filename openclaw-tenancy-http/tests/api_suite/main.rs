//! The API over its in-process router: each row of the fault and attack tables that it has to hold, by name.
#![cfg(feature = "api")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod a04_open_redirect;
mod a06_bad_id_token;
mod a09_token_confusion;
mod a10_cookies_and_csrf;
mod a11_idor;
mod a12_escalation;
mod a14_host_confusion;
mod a26_exhaustion;
mod a27_log_injection;
mod a28_secret_leak;
mod a33_json;
mod bad_input;
mod bodies;
mod edge_authorize;
mod every_bad_input;
#[cfg(feature = "edge")]
mod f25_clock;
mod forgotten_hosts;
mod idempotency;
mod log_levels;
mod logs;
mod page_reasons;
mod pages;
mod quarantine;
mod sign_in;
mod sign_in_local;
mod sign_in_rights;
mod support;
