//! What a phase looks like, and what its owner can do in it.

use openclaw_tenancy::status::Phase;
use openclaw_tenancy::tenant::{FailureReason, HoldReason};

use super::words::Words;

/// The step at which an instance is ready.
pub(super) const READY: usize = 3;

/// What its owner can do now.
#[derive(Default)]
pub(super) struct Can {
    pub(super) open: bool,
    pub(super) resume: bool,
    pub(super) restart: bool,
    pub(super) suspend: bool,
    pub(super) delete: bool,
}

/// What a phase looks like.
pub(super) struct Look {
    pub(super) tone: &'static str,
    pub(super) badge: &'static str,
    pub(super) title: &'static str,
    /// `{memory}` stands for what its plan gives it.
    pub(super) text: String,
    /// Which step it is at, on the way to running.
    pub(super) step: Option<usize>,
    pub(super) can: Can,
}

/// What `phase` looks like; `failed` is why the attempt before it did not succeed, and `child_killed` whether a process
/// of it was killed for memory since it was started.
pub(super) fn look(
    phase: &Phase,
    failed: Option<FailureReason>,
    child_killed: bool,
    words: &Words,
) -> Look {
    let deletable = Can {
        delete: true,
        ..Can::default()
    };
    let retryable = Can {
        restart: true,
        delete: true,
        ..Can::default()
    };
    match phase {
        Phase::Queued => Look {
            tone: "busy",
            badge: words.queued,
            title: words.queued_title,
            text: words.queued_text.to_owned(),
            step: Some(0),
            can: deletable,
        },
        Phase::Provisioning => Look {
            tone: "busy",
            badge: words.provisioning,
            title: words.provisioning_title,
            text: words.provisioning_text.to_owned(),
            step: Some(1),
            can: deletable,
        },
        Phase::Starting => Look {
            tone: "busy",
            badge: words.starting,
            title: words.starting_title,
            text: match failed {
                Some(reason) => {
                    let (title, _) = failure(reason, words);
                    format!(
                        "{}{}{title}{}",
                        words.failed_before, words.space, words.full_stop
                    )
                }
                None => words.starting_text.to_owned(),
            },
            step: Some(2),
            can: deletable,
        },
        Phase::Running => Look {
            tone: "good",
            badge: words.running,
            title: words.running_title,
            text: if child_killed {
                words.running_killed_text
            } else {
                words.running_text
            }
            .to_owned(),
            step: Some(READY),
            can: Can {
                open: true,
                restart: true,
                suspend: true,
                delete: true,
                ..Can::default()
            },
        },
        Phase::Stopping => Look {
            tone: "busy",
            badge: words.stopping,
            title: words.stopping_title,
            text: words.stopping_text.to_owned(),
            step: None,
            can: deletable,
        },
        Phase::Suspended => Look {
            tone: "calm",
            badge: words.suspended,
            title: words.suspended_title,
            text: words.suspended_text.to_owned(),
            step: None,
            can: Can {
                resume: true,
                delete: true,
                ..Can::default()
            },
        },
        Phase::Deleting => Look {
            tone: "busy",
            badge: words.deleting,
            title: words.deleting_title,
            text: match failed {
                Some(_) => words.deleting_again_text,
                None => words.deleting_text,
            }
            .to_owned(),
            step: None,
            can: Can::default(),
        },
        Phase::Failed { reason, .. } => {
            let (title, text) = failure(*reason, words);
            Look {
                tone: "bad",
                badge: words.failed,
                title,
                text: format!("{text}{}{}", words.space, words.failed_again),
                step: None,
                can: retryable,
            }
        }
        Phase::HostLost { .. } => Look {
            tone: "bad",
            badge: words.host_lost,
            title: words.host_lost_title,
            text: words.host_lost_text.to_owned(),
            step: None,
            can: deletable,
        },
        Phase::Held { reason } => {
            let (title, text) = hold(*reason, words);
            Look {
                tone: "bad",
                badge: words.held,
                title,
                text: text.to_owned(),
                step: None,
                can: match reason {
                    HoldReason::Configuration => retryable,
                    HoldReason::GhostSuspected
                    | HoldReason::HostQuarantined
                    | HoldReason::Conflict => deletable,
                },
            }
        }
    }
}

/// What stands over a failure, and what it means.
const fn failure(reason: FailureReason, words: &Words) -> (&'static str, &'static str) {
    match reason {
        FailureReason::HostUnreachable => (words.host_lost_title, words.host_lost_text),
        FailureReason::Engine => (words.engine_title, words.engine_text),
        FailureReason::Image => (words.image_title, words.image_text),
        FailureReason::Capacity => (words.capacity_title, words.capacity_text),
        FailureReason::Storage => (words.storage_title, words.storage_text),
        FailureReason::OutOfMemory => (words.out_of_memory_title, words.out_of_memory_text),
        FailureReason::Crashed => (words.crashed_title, words.crashed_text),
        FailureReason::StartTimeout => (words.start_timeout_title, words.start_timeout_text),
        FailureReason::Configuration => (words.configuration_title, words.configuration_text),
    }
}

/// What stands over a hold, and what it means.
const fn hold(reason: HoldReason, words: &Words) -> (&'static str, &'static str) {
    match reason {
        HoldReason::GhostSuspected => (words.ghost_title, words.ghost_text),
        HoldReason::HostQuarantined => (words.quarantine_title, words.quarantine_text),
        HoldReason::Conflict => (words.conflict_title, words.conflict_text),
        HoldReason::Configuration => (words.configuration_title, words.held_configuration_text),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::lang::Lang;

    const FAILURES: [FailureReason; 9] = [
        FailureReason::HostUnreachable,
        FailureReason::Engine,
        FailureReason::Image,
        FailureReason::Capacity,
        FailureReason::Storage,
        FailureReason::OutOfMemory,
        FailureReason::Crashed,
        FailureReason::StartTimeout,
        FailureReason::Configuration,
    ];

    const HOLDS: [HoldReason; 4] = [
        HoldReason::GhostSuspected,
        HoldReason::HostQuarantined,
        HoldReason::Conflict,
        HoldReason::Configuration,
    ];

    #[test]
    fn every_reason_has_words_of_its_own_in_each_language() {
        for lang in [Lang::En, Lang::ZhCn] {
            let words = Words::of(lang);
            let failures = FAILURES.map(|reason| failure(reason, words));
            let holds = HOLDS.map(|reason| hold(reason, words));
            for all in [&failures[..], &holds[..]] {
                let different: BTreeSet<_> = all.iter().collect();
                assert_eq!(different.len(), all.len(), "{lang:?}");
            }
            for (title, text) in failures.into_iter().chain(holds) {
                let chinese = !title.is_ascii() && !text.is_ascii();
                assert_eq!(chinese, lang == Lang::ZhCn, "{title}: {text}");
            }
        }
    }

    #[test]
    fn the_attempt_after_a_failure_says_what_the_failure_was() {
        let starting = |lang, failed| look(&Phase::Starting, failed, false, Words::of(lang)).text;
        let failed = Some(FailureReason::OutOfMemory);
        assert_eq!(
            starting(Lang::En, failed),
            "The attempt before failed: It ran out of memory."
        );
        assert_eq!(starting(Lang::ZhCn, failed), "上一次尝试失败：内存不足。");
        assert_eq!(
            starting(Lang::ZhCn, None),
            "大约需要一分钟，最小的套餐需要两分钟。"
        );
    }
}
