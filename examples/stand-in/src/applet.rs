//! `cat`, for managers that read the kernel's files by a container of the instance's image.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

/// Whether the program was called as `cat`.
pub(crate) fn is_cat() -> bool {
    std::env::args_os()
        .next()
        .is_some_and(|name| Path::new(&name).file_name() == Some("cat".as_ref()))
}

/// Writes the named files to standard output, one after the other.
pub(crate) fn cat(paths: impl Iterator<Item = String>) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for path in paths {
        let written = std::fs::read(&path).and_then(|bytes| {
            let mut out = io::stdout().lock();
            out.write_all(&bytes).and_then(|()| out.flush())
        });
        if let Err(error) = written {
            let _ = writeln!(io::stderr(), "cat: {path}: {error}");
            code = ExitCode::FAILURE;
        }
    }
    code
}
