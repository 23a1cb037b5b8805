//! The reference server.

use std::process::ExitCode;

fn main() -> ExitCode {
    openclaw_tenancy_http::server::main()
}
