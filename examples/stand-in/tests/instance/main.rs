//! The binary, started on free ports and looked at from outside.

mod contract;
mod knobs;
mod lifecycle;
mod support;
