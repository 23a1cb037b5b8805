//! What a host has: swap, processors, memory and the image.

use openclaw_tenancy::quantity::Bytes;

use super::Check;
use crate::server::config::{Config, HostSection};
use crate::server::survey::{Info, Surveyed};

pub(super) fn swap_check(subject: &str, host: &HostSection, config: &Config, info: &Info) -> Check {
    if !info.swap_limit {
        return Check::warn(
            subject,
            "the kernel does not limit swap, so that no plan's swap allowance is granted",
            "boot with swapaccount=1 (cgroups v1), or give plans enough memory without swap",
        );
    }
    // Only this machine's own swap can be seen from here; the server measures every host by itself.
    let swap = host.address.starts_with("unix://").then(own_swap).flatten();
    let Some(swap) = swap else {
        return Check::ok(
            subject,
            "swap is limited; how much there is, the server measures by itself",
        );
    };
    let Ok(catalog) = config.catalog() else {
        return Check::ok(subject, format!("swap: {}", about(swap)));
    };
    let floor = config.image.floor;
    let needs = |swap: Bytes| {
        let below = catalog.iter().filter(move |plan| {
            plan.limits
                .memory
                .saturating_add(plan.limits.swap.min(swap))
                < floor
        });
        below.map(|plan| plan.name.to_string()).collect::<Vec<_>>()
    };
    match needs(swap).as_slice() {
        [] => Check::ok(
            subject,
            format!(
                "swap: {}, limited; every plan can run the image",
                about(swap)
            ),
        ),
        plans => Check::warn(
            subject,
            format!(
                "swap: {}; plan {} cannot run the image, which needs {floor} of memory and swap \
                 together",
                about(swap),
                plans.join(", ")
            ),
            "add swap (`fallocate -l 4G /swapfile && chmod 600 /swapfile && mkswap /swapfile && \
             swapon /swapfile`), which a running server sees within 5 minutes, or leave the plan out of policy.order",
        ),
    }
}

fn own_swap() -> Option<Bytes> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("SwapTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(Bytes(kib.saturating_mul(1024)))
}

pub(super) fn capacity_check(subject: &str, config: &Config, info: &Info) -> Option<Check> {
    let catalog = config.catalog().ok()?;
    let memory = Bytes(info.mem_total);
    let usable = memory.saturating_sub(config.reconcile.memory_reserve);
    let too_large: Vec<_> = catalog
        .iter()
        .filter(|plan| plan.limits.cpu.0 > info.ncpu * 1000 || plan.limits.memory > usable)
        .map(|plan| plan.name.as_str())
        .collect();
    let has = format!("{} CPUs and {} of memory", info.ncpu, about(memory));
    Some(match too_large.as_slice() {
        [] => Check::ok(subject, format!("{has}: every plan fits")),
        plans if plans.len() == catalog.iter().count() => Check::fail(
            subject,
            format!("{has}: no plan fits"),
            "use a larger host, or smaller plans in [plans]",
        ),
        plans => Check::ok(
            subject,
            format!("{has}: too small for {}", plans.join(", ")),
        ),
    })
}

pub(super) async fn image_check(subject: &str, config: &Config, engine: &Surveyed) -> Check {
    let reference = &config.image.reference;
    match engine.image(reference).await {
        Ok(Some(size)) => Check::ok(
            subject,
            format!("image {reference} is there, {}", about(Bytes(size))),
        ),
        Ok(None) => Check::warn(
            subject,
            format!(
                "image {reference} is not there and is pulled when the first instance needs it"
            ),
            "pull it now with `docker pull`, or bring it with `docker save` and `docker load` where no \
             registry answers",
        ),
        Err(error) => {
            let found = format!("image {reference} cannot be looked for: {error:#}");
            Check::fail(subject, found, "correct image.reference")
        }
    }
}

/// An amount as people read it: an engine's figures are no round ones.
fn about(amount: Bytes) -> String {
    const GIB: u64 = 1 << 30;
    let tenths = amount.0.saturating_mul(10).saturating_add(GIB / 2) / GIB;
    match (amount.0, tenths) {
        (0, _) => "none".to_owned(),
        (_, 0..10) => format!("{} MiB", amount.0 >> 20),
        (_, tenths) if tenths % 10 == 0 => format!("{} GiB", tenths / 10),
        (_, tenths) => format!("{}.{} GiB", tenths / 10, tenths % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    #[test]
    fn what_no_plan_fits_is_a_failure() {
        let config = Config::default();
        assert!(
            capacity_check(
                "e",
                &config,
                &Info {
                    ncpu: 2,
                    mem_total: 8 << 30,
                    ..Info::default()
                }
            )
            .unwrap()
            .found
            .contains("too small for enterprise")
        );
        let tiny = Info {
            mem_total: 1 << 30,
            ..Info {
                ncpu: 2,
                mem_total: 8 << 30,
                ..Info::default()
            }
        };
        assert_eq!(
            capacity_check("e", &config, &tiny).unwrap().outcome,
            Outcome::Fail
        );
    }

    #[test]
    fn amounts_are_shown_as_people_read_them() {
        for (bytes, text) in [
            (0, "none"),
            (512 << 20, "512 MiB"),
            (4_294_963_200, "4 GiB"),
            (25_276_059_648, "23.5 GiB"),
        ] {
            assert_eq!(about(Bytes(bytes)), text);
        }
    }
}
