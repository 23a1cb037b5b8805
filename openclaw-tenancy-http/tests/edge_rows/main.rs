//! The edge against the attack and fault table: a test of its name for each row.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::future_not_send,
    reason = "all of it is test code; wall time bounds what must end in time"
)]

mod a10_cookie_theft;
mod a11_administrators;
mod a14_host_confusion;
mod a15_cookies_and_hand_over;
mod a16_cookie_tossing;
mod a17_hostile_content;
mod a18_smuggling;
mod a19_header_spoofing;
mod a20_cross_site_websocket;
mod a26_exhaustion;
mod a26_floods;
mod a27_a28_logs;
mod connections;
mod f08_routes;
mod f16_store_down;
mod flow;
mod probe;
mod stand_in;
mod support;
mod waiting;
