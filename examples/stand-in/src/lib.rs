//! What a stand-in for OpenClaw claims, as a test that the real one must pass too.
//!
//! The package builds two things.
//! The binary `openclaw-stand-in` imitates one OpenClaw instance in a few megabytes, for fast tests and benches.
//! This library is the shared test: [`contract::check`] dials an instance and returns one [`contract::Claim`] per thing
//! that the control plane and the edge rely on. Whatever the stand-in answers there, OpenClaw 2026.9.6 answered the
//! same; where the two differ, the stand-in is wrong.

pub mod contract;
