//! The first administrator: a password, or a link, printed once.

use std::io::Write;

use anyhow::Context as _;
use secrecy::ExposeSecret as _;

use super::assemble::Assembly;
use super::identity;
use crate::access::claim;

/// Makes the first administrator, or a way to become it, and prints it to `out`. Log lines never hold it.
///
/// With local accounts: `first administrator: NAME PASSWORD`, at the first start alone. Under a provider:
/// `first administrator: open LINK`, at each start while nobody administers; the configuration's `admins` and
/// groups make the link unnecessary, and it does no harm.
///
/// # Errors
/// When the database does not answer; the next start repeats it. When `out` cannot be written.
pub(crate) async fn introduce(assembly: &Assembly, out: &mut impl Write) -> anyhow::Result<()> {
    let line = match &assembly.local {
        Some(local) => {
            let plan = identity::admin_plan(assembly.tenancy.plans());
            let first = local
                .first_administrator(plan)
                .await
                .context("the first administrator cannot be made")?;
            first.map(|first| format!("{} {}", first.username, first.password.expose_secret()))
        }
        None => {
            let code = assembly.api.claims().issue().await;
            let code = code.context("the first administrator's link cannot be made")?;
            code.map(|code| {
                let mut link = assembly.api.public_url().clone();
                link.set_path(claim::PATH);
                link.query_pairs_mut()
                    .append_pair("code", code.expose_secret());
                format!("open {link}")
            })
        }
    };
    if let Some(line) = line {
        writeln!(out, "first administrator: {line}")?;
        out.flush()?;
    }
    Ok(())
}
