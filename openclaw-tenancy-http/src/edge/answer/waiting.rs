//! What a person reads while an instance is not ready.

use openclaw_tenancy::status::{Phase, Status};
use openclaw_tenancy::tenant::{FailureReason, HoldReason};
use serde::Serialize;

use crate::api::lang::Lang;

/// Where a start has got to: what the page draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::edge) enum Mood {
    /// It goes on by itself.
    Working,
    /// It stands still until somebody acts.
    Resting,
    /// Something is wrong.
    Trouble,
}

impl Mood {
    /// Its name in the page's style.
    pub(in crate::edge) const fn name(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Resting => "resting",
            Self::Trouble => "trouble",
        }
    }
}

/// The answer to a page that asks how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::edge) struct Report {
    /// Requests pass now.
    pub(in crate::edge) ready: bool,
    /// The phase's stable name.
    pub(in crate::edge) phase: &'static str,
    pub(in crate::edge) mood: Mood,
    pub(in crate::edge) title: &'static str,
    pub(in crate::edge) detail: String,
    /// What the reconciler says of it.
    pub(in crate::edge) message: Option<String>,
    /// How far a start is, 0 to 3, while it is one.
    pub(in crate::edge) step: Option<u8>,
}

impl Report {
    pub(in crate::edge) fn of(
        status: &Status,
        ready: bool,
        position: Option<u64>,
        lang: Lang,
    ) -> Self {
        let phase = &status.phase;
        let (title, detail) = words(phase, lang);
        Self {
            ready,
            phase: phase.name(),
            mood: mood(phase),
            title,
            detail: match position {
                Some(position) => format!("{detail}{}", queue(position, lang)),
                None => detail.to_owned(),
            },
            message: status.message.clone(),
            step: step(phase),
        }
    }
}

/// How far a start is, in a phase that is part of one.
const fn step(phase: &Phase) -> Option<u8> {
    match phase {
        Phase::Queued => Some(0),
        Phase::Provisioning => Some(1),
        Phase::Starting => Some(2),
        Phase::Running => Some(3),
        Phase::Stopping
        | Phase::Suspended
        | Phase::Deleting
        | Phase::Failed { .. }
        | Phase::HostLost { .. }
        | Phase::Held { .. } => None,
    }
}

const fn mood(phase: &Phase) -> Mood {
    match phase {
        Phase::Queued
        | Phase::Provisioning
        | Phase::Starting
        | Phase::Running
        | Phase::Stopping => Mood::Working,
        Phase::Suspended | Phase::Deleting => Mood::Resting,
        Phase::Failed { .. } | Phase::HostLost { .. } | Phase::Held { .. } => Mood::Trouble,
    }
}

fn queue(position: u64, lang: Lang) -> String {
    match (lang, position) {
        (Lang::En, 0) => " It is next in the queue.".to_owned(),
        (Lang::En, 1) => " One instance is before it.".to_owned(),
        (Lang::En, _) => format!(" {position} instances are before it."),
        (Lang::ZhCn, 0) => "队列中的下一个就是它。".to_owned(),
        (Lang::ZhCn, _) => format!("前面还有 {position} 个实例。"),
    }
}

const fn words(phase: &Phase, lang: Lang) -> (&'static str, &'static str) {
    match lang {
        Lang::En => english(phase),
        Lang::ZhCn => chinese(phase),
    }
}

const fn english(phase: &Phase) -> (&'static str, &'static str) {
    match phase {
        Phase::Queued => (
            "Finding a place for your instance",
            "It starts as soon as a host has room.",
        ),
        Phase::Provisioning => (
            "Setting up your instance",
            "Its storage, network and container are being made.",
        ),
        Phase::Starting => (
            "Your instance is starting",
            "This takes about a minute, with the smallest plan two. The page opens by itself.",
        ),
        Phase::Running => (
            "Almost there",
            "Your instance is ready; the page opens in a moment.",
        ),
        Phase::Stopping => ("Your instance is stopping", "It is finishing its work."),
        Phase::Suspended => (
            "Your instance is suspended",
            "Its data is kept. Resume it from the console.",
        ),
        Phase::Deleting => (
            "Your instance is being deleted",
            "Nothing of it will be left.",
        ),
        Phase::Failed { reason, .. } => ("Your instance could not start", failure_english(*reason)),
        Phase::HostLost { .. } => (
            "The host does not answer",
            "Your data is safe there. Your instance comes back with its host.",
        ),
        Phase::Held { reason } => ("Your instance is on hold", hold_english(*reason)),
    }
}

const fn failure_english(reason: FailureReason) -> &'static str {
    match reason {
        FailureReason::HostUnreachable => "Its host does not answer. It is tried again.",
        FailureReason::Engine => "The container engine failed. It is tried again.",
        FailureReason::Image => "Its image cannot be had. It is tried again.",
        FailureReason::Capacity => "The host is full. It is tried again.",
        FailureReason::Storage => {
            "Its storage is not what it should be. An operator has to look at it."
        }
        FailureReason::OutOfMemory => {
            "It needed more memory than its plan has. It is tried again; a larger plan helps."
        }
        FailureReason::Crashed => "It ended by itself. It is tried again.",
        FailureReason::StartTimeout => "It was not ready in time. It is tried again.",
        FailureReason::Configuration => {
            "OpenClaw does not start with its configuration. Repair it, then restart."
        }
    }
}

const fn hold_english(reason: HoldReason) -> &'static str {
    match reason {
        HoldReason::GhostSuspected => {
            "A process of it may still run unseen. An operator has to release it."
        }
        HoldReason::HostQuarantined => {
            "Its host is not the one it was. An operator has to release it."
        }
        HoldReason::Conflict => {
            "Something else has its name on the host. An operator has to release it."
        }
        HoldReason::Configuration => {
            "OpenClaw does not start with its configuration. Repair it, then restart."
        }
    }
}

const fn chinese(phase: &Phase) -> (&'static str, &'static str) {
    match phase {
        Phase::Queued => ("正在为您的实例寻找主机", "一旦主机有空位即会启动。"),
        Phase::Provisioning => ("正在准备您的实例", "正在创建存储、网络和容器。"),
        Phase::Starting => (
            "您的实例正在启动",
            "大约需要一分钟，最小的套餐需要两分钟；完成后页面会自动打开。",
        ),
        Phase::Running => ("马上就好", "您的实例已就绪，页面即将打开。"),
        Phase::Stopping => ("您的实例正在停止", "它正在完成手头的工作。"),
        Phase::Suspended => ("您的实例已暂停", "数据已保留。请在控制台中恢复运行。"),
        Phase::Deleting => ("您的实例正在删除", "不会留下任何内容。"),
        Phase::Failed { reason, .. } => ("您的实例未能启动", failure_chinese(*reason)),
        Phase::HostLost { .. } => (
            "主机没有响应",
            "您的数据仍在主机上，主机恢复后实例会随之恢复。",
        ),
        Phase::Held { reason } => ("您的实例已被搁置", hold_chinese(*reason)),
    }
}

const fn failure_chinese(reason: FailureReason) -> &'static str {
    match reason {
        FailureReason::HostUnreachable => "主机没有响应，将自动重试。",
        FailureReason::Engine => "容器引擎出错，将自动重试。",
        FailureReason::Image => "无法获取镜像，将自动重试。",
        FailureReason::Capacity => "主机已满，将自动重试。",
        FailureReason::Storage => "存储与预期不符，需要运维人员处理。",
        FailureReason::OutOfMemory => "内存需求超出套餐上限。将自动重试，升级套餐会有帮助。",
        FailureReason::Crashed => "实例自行退出，将自动重试。",
        FailureReason::StartTimeout => "未能及时就绪，将自动重试。",
        FailureReason::Configuration => "OpenClaw 无法使用当前配置启动。请修复配置后重启。",
    }
}

const fn hold_chinese(reason: HoldReason) -> &'static str {
    match reason {
        HoldReason::GhostSuspected => "可能仍有未知进程在运行，需要运维人员放行。",
        HoldReason::HostQuarantined => "主机与原先不符，需要运维人员放行。",
        HoldReason::Conflict => "主机上有同名的其他对象，需要运维人员放行。",
        HoldReason::Configuration => "OpenClaw 无法使用当前配置启动。请修复配置后重启。",
    }
}
