//! What the edge itself has to say, in the two languages that people read.

use http::StatusCode;

use crate::api::lang::Lang;
use crate::api::problem::phrase;

/// An answer of the edge's own. Types and slugs are English and stable; words are for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::edge) enum Notice {
    /// The request is not HTTP/1.1 as it must be.
    Malformed(&'static str),
    /// Its head is too long.
    HeadTooLarge,
    /// Its head took too long.
    HeadTimeout,
    /// It names a host that is not an instance's.
    ForeignHost,
    /// Its method is not for instances.
    MethodNotAllowed,
    /// There is nothing of the edge's own at this path.
    NoSuchPage,
    /// Nobody is signed in at this instance.
    SignInNeeded,
    /// Another site's page made the request.
    CrossSite,
    /// It asks for a tunnel in a way that is not a WebSocket's.
    NotWebSocket,
    /// A hand-over link that is used up, too old or of another browser.
    HandOverRefused,
    /// A hand-over without the cookie that the sign-in began with.
    HandOverWithoutCookie,
    /// Too many hand-over links of its address were nobody's.
    TooManyTries,
    /// The upload is too large, with the limit in bytes.
    UploadTooLarge(u64),
    /// Sessions cannot be looked up.
    StoreUnavailable,
    /// The edge has only just started.
    Syncing,
    /// The instance does not accept a connection.
    Unreachable,
    /// It has as many requests under way as it may.
    Busy,
    /// It answered with something that is no HTTP, or broke off.
    BadAnswer,
    /// It did not answer in time.
    Slow,
}

/// Title and detail.
pub(in crate::edge) struct Words {
    pub(in crate::edge) title: &'static str,
    pub(in crate::edge) detail: String,
}

impl Notice {
    pub(in crate::edge) const fn status(self) -> StatusCode {
        match self {
            Self::Malformed(_)
            | Self::NotWebSocket
            | Self::HandOverRefused
            | Self::HandOverWithoutCookie => StatusCode::BAD_REQUEST,
            Self::SignInNeeded => StatusCode::UNAUTHORIZED,
            Self::CrossSite => StatusCode::FORBIDDEN,
            Self::NoSuchPage => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::HeadTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::UploadTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooManyTries => StatusCode::TOO_MANY_REQUESTS,
            Self::ForeignHost => StatusCode::MISDIRECTED_REQUEST,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::BadAnswer => StatusCode::BAD_GATEWAY,
            Self::StoreUnavailable | Self::Syncing | Self::Unreachable | Self::Busy => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Slow => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The last part of the problem's type.
    pub(in crate::edge) const fn slug(self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed-request",
            Self::HeadTooLarge => "head-too-large",
            Self::HeadTimeout => "head-timeout",
            Self::ForeignHost => "foreign-host",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::NoSuchPage => "not-found",
            Self::SignInNeeded => "sign-in-needed",
            Self::CrossSite => "cross-site",
            Self::NotWebSocket => "not-a-websocket",
            Self::HandOverRefused => "hand-over-refused",
            Self::HandOverWithoutCookie => "hand-over-without-cookie",
            Self::TooManyTries => "too-many-requests",
            Self::UploadTooLarge(_) => "upload-too-large",
            Self::StoreUnavailable => "store-unavailable",
            Self::Syncing => "edge-starting",
            Self::Unreachable => "instance-unreachable",
            Self::Busy => "instance-busy",
            Self::BadAnswer => "instance-answer",
            Self::Slow => "instance-slow",
        }
    }

    /// Whether the same request may do better in a moment.
    pub(in crate::edge) const fn passes(self) -> bool {
        matches!(
            self,
            Self::StoreUnavailable | Self::Syncing | Self::Unreachable | Self::Busy
        )
    }

    pub(in crate::edge) fn words(self, lang: Lang) -> Words {
        match lang {
            Lang::En => self.english(),
            Lang::ZhCn => self.chinese(),
        }
    }

    fn english(self) -> Words {
        let (title, detail) = match self {
            Self::Malformed(what) => {
                return Words {
                    title: "Malformed request",
                    detail: format!("The request was refused: {what}."),
                };
            }
            Self::HeadTooLarge => (
                "Request headers too large",
                "The request's headers are larger than 16 KB or more than 100, usually because of cookies. Those that were seen have been removed; reload the page.",
            ),
            Self::HeadTimeout => (
                "Request timeout",
                "The request's headers did not arrive within 10 seconds.",
            ),
            Self::ForeignHost => (
                "No instance has this address",
                "This address is not an instance's. Open your instance from the console.",
            ),
            Self::MethodNotAllowed => (
                "Method not allowed",
                "Instances do not take requests with this method.",
            ),
            Self::NoSuchPage => ("Page not found", "There is no such page."),
            Self::SignInNeeded => (
                "Sign-in needed",
                "Nobody is signed in at this address. Open it in a browser to sign in.",
            ),
            Self::CrossSite => (
                "Refused: another site's request",
                "A page of another site made this request. Open the instance itself.",
            ),
            Self::NotWebSocket => (
                "Not a WebSocket request",
                "The connection can only be upgraded to a WebSocket (version 13).",
            ),
            Self::HandOverRefused => (
                "This link does not work any more",
                "A sign-in link works once, within a minute, in the browser that asked for it. Open the instance again to get a new one.",
            ),
            Self::HandOverWithoutCookie => (
                "Your browser sent no cookie",
                "Opening an instance needs cookies for its address. Allow them, then open the instance again.",
            ),
            Self::TooManyTries => (
                "Too many tries",
                "Too many sign-in links that do not work came from your network. Wait a moment, then open the instance again.",
            ),
            Self::UploadTooLarge(limit) => {
                return Words {
                    title: "Upload too large",
                    detail: format!("An upload may have at most {limit} bytes."),
                };
            }
            Self::StoreUnavailable => (
                "Please try again",
                "Sign-ins cannot be checked at the moment. Your instance keeps running.",
            ),
            Self::Syncing => (
                "Just a moment",
                "The service has just started and is finding its instances.",
            ),
            Self::Unreachable => (
                "Your instance does not answer",
                "It may be restarting. This page tries again by itself.",
            ),
            Self::Busy => (
                "Your instance is busy",
                "It has as many requests under way as it may. Try again in a moment.",
            ),
            Self::BadAnswer => (
                "Your instance gave no proper answer",
                "The connection broke before the answer was complete. The request may have had its effect.",
            ),
            Self::Slow => (
                "Your instance took too long",
                "No answer came in time. The request may have had its effect.",
            ),
        };
        Words {
            title,
            detail: detail.to_owned(),
        }
    }

    fn chinese(self) -> Words {
        let (title, detail) = match self {
            Self::Malformed(what) => {
                return Words {
                    title: "请求格式有误",
                    detail: format!("请求已被拒绝：{}。", phrase(what)),
                };
            }
            Self::HeadTooLarge => (
                "请求头过大",
                "请求头超过 16 KB 或多于 100 个，通常是 Cookie 过多所致。已清除所见的 Cookie，请刷新页面。",
            ),
            Self::HeadTimeout => ("请求超时", "请求头未在 10 秒内到达。"),
            Self::ForeignHost => (
                "此地址没有实例",
                "此地址不属于任何实例。请从控制台打开您的实例。",
            ),
            Self::MethodNotAllowed => ("不支持的方法", "实例不接受此方法的请求。"),
            Self::NoSuchPage => ("页面不存在", "没有这个页面。"),
            Self::SignInNeeded => ("需要登录", "此地址尚未登录。请在浏览器中打开以登录。"),
            Self::CrossSite => (
                "已拒绝来自其他网站的请求",
                "该请求由其他网站的页面发起。请直接打开实例。",
            ),
            Self::NotWebSocket => (
                "不是 WebSocket 请求",
                "连接只能升级为 WebSocket（版本 13）。",
            ),
            Self::HandOverRefused => (
                "此链接已失效",
                "登录链接只能在发起它的浏览器中使用一次，且一分钟内有效。请重新打开实例以获取新链接。",
            ),
            Self::HandOverWithoutCookie => (
                "浏览器未发送 Cookie",
                "打开实例需要允许其地址使用 Cookie。请允许后重新打开实例。",
            ),
            Self::TooManyTries => (
                "尝试次数过多",
                "您所在的网络发来了过多无效的登录链接。请稍候片刻，再重新打开实例。",
            ),
            Self::UploadTooLarge(limit) => {
                return Words {
                    title: "上传内容过大",
                    detail: format!("单次上传最多 {limit} 字节。"),
                };
            }
            Self::StoreUnavailable => ("请稍后再试", "暂时无法验证登录状态。您的实例仍在运行。"),
            Self::Syncing => ("请稍候", "服务刚刚启动，正在查找实例。"),
            Self::Unreachable => ("实例没有响应", "它可能正在重启。本页会自动重试。"),
            Self::Busy => ("实例繁忙", "正在处理的请求已达上限，请稍后再试。"),
            Self::BadAnswer => (
                "实例的响应不完整",
                "连接在响应完成前中断。该请求可能已经生效。",
            ),
            Self::Slow => ("实例响应超时", "未能及时收到响应。该请求可能已经生效。"),
        };
        Words {
            title,
            detail: detail.to_owned(),
        }
    }
}
