//! Log lines in the shape of OpenClaw's, on standard output.

/// Writes one line; a closed pipe is no reason to stop serving.
///
/// Texts quote what clients sent, so control characters do not get through.
pub(crate) fn line(area: &str, text: &str) {
    use std::io::Write as _;
    let text = text.replace(char::is_control, " ");
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "[{area}] {text}").and_then(|()| out.flush());
}
