//! What instances can reach: set up on each host by its operator, since no engine can, and not to be seen from here.

use ipnet::Ipv4Net;

use super::Check;

/// Private networks and what is treated like them: a cloud's metadata address is in the last.
const PRIVATE: &str = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,169.254.0.0/16";

/// Says what is open, and the rules that close it for the instances' `pool`.
pub(super) fn reach_note(subject: &str, pool: Ipv4Net) -> Check {
    Check::note(
        subject,
        "instances are kept from each other; whether its firewall keeps them from the host's own services, from \
         private networks and from the cloud's metadata address cannot be seen from here: the engine leaves all \
         of it open",
        format!(
            "run this on the host after each boot, and let through what instances need there, such as a \
             nameserver with a private address; README.md (Isolation) says how:\n{}",
            rules(pool)
        ),
    )
}

/// NEW alone: by the source alone the answers to whoever asks an instance would be refused as well.
fn rules(pool: Ipv4Net) -> String {
    format!(
        "iptables -I DOCKER-USER -s {pool} \\\n  -d {PRIVATE} \\\n  -m conntrack --ctstate NEW -j REJECT\n\
         iptables -I INPUT -s {pool} -m conntrack --ctstate NEW -j REJECT"
    )
}

#[cfg(test)]
mod tests {
    use super::super::{Outcome, Report};
    use super::*;

    #[test]
    fn the_rules_can_be_copied_from_the_table() {
        let pool: Ipv4Net = "10.213.0.0/16".parse().unwrap();
        let check = reach_note("engine worker-1.internal", pool);
        assert_eq!(check.outcome, Outcome::Note);
        let report = Report {
            outcome: Outcome::Ok,
            checks: vec![check],
        };
        let table = report.table();
        for line in rules(pool).lines() {
            let whole = table.lines().any(|shown| shown.trim() == line.trim());
            assert!(whole, "{line}\n{table}");
        }
        assert!(table.contains("All 0 checks passed."), "{table}");
    }

    #[test]
    fn the_readmes_have_the_rules_of_the_default_pool() {
        let pool = crate::server::config::Config::default()
            .reconcile
            .subnet_pool;
        for name in ["README.md", "README.zh-CN.md"] {
            // Of the repository: a package of this crate alone has none.
            let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("..")
                .join(name);
            let readme = std::fs::read_to_string(file).unwrap();
            assert!(readme.contains(&rules(pool)), "{name}: {}", rules(pool));
        }
    }
}
