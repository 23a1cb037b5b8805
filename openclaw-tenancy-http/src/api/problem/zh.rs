//! Problems in Simplified Chinese.

use openclaw_tenancy::host::Shortage;

use super::BodyFault;
use super::kind::{HeadFault, Kind, Missing};
use super::phrases::phrase;
use super::{Fault, Words, sentence};
use crate::access::csrf::CrossSite;
use crate::api::lang::Lang;
use crate::json::Broken;

pub(super) fn words(kind: &Kind) -> Words {
    let (title, detail, fix) = match kind {
        Kind::InvalidHead(fault) => head(*fault),
        Kind::InvalidBody(fault) => ("请求体不是可接受的 JSON", body(fault), body_fix(fault)),
        Kind::UnsupportedMediaType { found } => (
            "不支持的媒体类型",
            match found {
                Some(found) => format!("此处不接受类型为 `{found}` 的请求体。"),
                None => "请求体没有 Content-Type。".into(),
            },
            "请发送 `Content-Type: application/json`，且不要使用 Content-Encoding".into(),
        ),
        Kind::BodyTooLarge { limit } => (
            "请求体过大",
            format!("最多读取 {limit} 字节。"),
            format!("请最多发送 {limit} 字节"),
        ),
        Kind::InvalidFields(faults) => match faults.as_slice() {
            [one] => {
                let (detail, fix) = one.words(Lang::ZhCn);
                let title = if matches!(one.fault, Fault::Unknown { .. }) {
                    "未知字段"
                } else {
                    "字段无效"
                };
                (title, detail, fix)
            }
            several => (
                "多个字段无效",
                format!("有 {} 个字段无效。", several.len()),
                "请查看 `errors`".into(),
            ),
        },
        Kind::InvalidParameter { name, rule, .. } => (
            "参数无效",
            format!("`{name}` 缺失或无效。"),
            phrase(rule).to_owned(),
        ),
        Kind::Unauthenticated => (
            "请先登录",
            "请求没有凭证，或会话已结束。".into(),
            "请登录，或使用 POST /api/auth/token 取得的令牌发送 `Authorization: Bearer …`".into(),
        ),
        Kind::BearerRefused { reason } => (
            "令牌被拒绝",
            sentence(phrase(reason), Lang::ZhCn),
            "请获取新令牌，例如通过 POST /api/auth/token".into(),
        ),
        Kind::PasswordRefused { reason } => (
            "登录失败",
            sentence(phrase(reason), Lang::ZhCn),
            "请检查后重试".into(),
        ),
        Kind::SignInRefused { reason } => (
            "登录失败",
            sentence(phrase(reason), Lang::ZhCn),
            "请重新开始登录".into(),
        ),
        Kind::ClaimRefused => (
            "此链接无效",
            "链接已被使用、已超过一天，或已经有管理员。".into(),
            "如果还没有管理员，请重启服务器，它会打印新的链接".into(),
        ),
        Kind::AdministratorsOnly => (
            "仅限管理员",
            "此账户不是本部署的管理员。".into(),
            "请联系管理员".into(),
        ),
        Kind::CrossSite(fault) => (
            "跨站请求",
            match fault {
                CrossSite::NoOrigin => "使用会话 Cookie 的写操作需要 Origin 请求头。",
                CrossSite::ForeignOrigin => "请求来自其他源。",
                CrossSite::FetchSite => "浏览器表明请求由其他站点发起。",
                CrossSite::Token => "CSRF 令牌缺失，或属于其他会话。",
            }
            .into(),
            "请使用我们自己的页面，或以令牌代替 Cookie".into(),
        ),
        Kind::ForeignHost { host } => (
            "不是本服务器的主机名",
            format!("本服务器不以主机名 `{host}` 提供服务。"),
            "请使用 `server.public_url` 中的地址访问；若此名称确属本服务器，请将其加入设置 `server.host_names`".into(),
        ),
        Kind::NotFound(missing) => (
            "未找到",
            match missing {
                Missing::Path => "此路径不存在。",
                Missing::OwnInstance => "您还没有实例。",
                Missing::Instance => "没有这个实例。",
                Missing::Host => "没有这台主机。",
                Missing::Provider => "没有这个身份提供方。",
            }
            .into(),
            match missing {
                Missing::Path => "请检查地址",
                Missing::OwnInstance => "请通过 POST /api/tenants 创建",
                Missing::Instance => "请检查标识或主机名，以及当前登录的账户",
                Missing::Host => "GET /api/hosts 可列出所有主机",
                Missing::Provider => "请重新开始登录",
            }
            .into(),
        ),
        Kind::MethodNotAllowed => (
            "不支持的方法",
            "此路径不支持该方法。".into(),
            "请查看 Allow 响应头".into(),
        ),
        Kind::AlreadyHasInstance { existing } => (
            "您已有一个实例",
            format!("此账户已有实例 {existing}，且只能有一个。"),
            "请使用它（GET /api/tenants/me），或先删除并等待删除完成".into(),
        ),
        Kind::NameTaken { name } => (
            "名称已被占用",
            format!("名称 `{name}` 正在使用，或停用不足 30 天。"),
            "请换一个名称，或留空由系统分配".into(),
        ),
        Kind::SeatsTaken { seats } => (
            "套餐名额已满",
            format!("该套餐的全部名额（{seats}）已被占用。"),
            "请选择其他套餐".into(),
        ),
        Kind::Deleting => (
            "实例正在删除",
            "正在删除的实例不能更改。".into(),
            "请等待删除完成后再创建".into(),
        ),
        Kind::HostInUse { host, instances } => (
            "主机正在使用",
            format!("主机 `{host}` 上还有 {instances} 个实例。"),
            "请先停止接收新实例（POST /api/hosts/{id}/cordon），删除其上的实例或请所有者删除，待其消失后重试"
                .into(),
        ),
        Kind::HostConfigured { host } => (
            "主机在配置中",
            format!("主机 `{host}` 在此服务器的配置中，重启后会再次登记。"),
            "请从 [[hosts]] 中移除并重启服务器后重试；若只是不再接收新实例，请使用 cordon".into(),
        ),
        Kind::Changed => (
            "内容已变更",
            "其他人同时更改了此实例。".into(),
            "请刷新后重试".into(),
        ),
        Kind::IdempotencyMismatch => (
            "幂等键已被使用",
            "此键曾用于内容不同的请求。".into(),
            "新请求请使用新的键".into(),
        ),
        Kind::PlanUnknown { plan, known } => (
            "没有这个套餐",
            format!("没有名为 `{plan}` 的套餐。"),
            format!("可用套餐：{known}"),
        ),
        Kind::PlanNotEntitled { plan, allowed } => (
            "套餐超出您的权限",
            format!("套餐 `{plan}` 超出此账户的权限。"),
            match &**allowed {
                "" => "请联系管理员获取套餐".into(),
                allowed => format!("请选择：{allowed}；或联系管理员"),
            },
        ),
        Kind::PlanDoesNotFit { plan, shortages } => (
            "没有主机能容纳该套餐",
            format!("没有主机能容纳套餐 `{plan}`：{}。", join(shortages)),
            "请选择较小的套餐".into(),
        ),
        Kind::PlanBelowImageFloor {
            plan,
            needed,
            available,
        } => (
            "套餐不足以运行镜像",
            format!("镜像共需要 {needed} 内存与交换空间；套餐 `{plan}` 在此提供 {available}。"),
            "请选择更大的套餐，或请管理员为主机启用交换空间".into(),
        ),
        Kind::TooManyRequests { retry_after } => (
            "请求过于频繁",
            "尝试次数过多。".into(),
            format!("请等待 {} 秒", retry_after.as_secs().max(1)),
        ),
        Kind::ProviderUnavailable => (
            "身份提供方无响应",
            "身份提供方无响应，或响应不符合要求。".into(),
            "请稍后重试".into(),
        ),
        Kind::ProviderMisconfigured => (
            "登录功能配置有误",
            "身份提供方拒绝了本服务器，与您的账户无关。".into(),
            "请将请求编号告知运维人员：服务器日志中该编号的记录写明了需要更改的设置".into(),
        ),
        Kind::StoreUnavailable => (
            "数据库不可用",
            "数据库无响应或无法写入。写入可能已经发生。".into(),
            "请先查看，再稍后重试；若使用了 Idempotency-Key，请沿用同一个".into(),
        ),
        Kind::TimedOut => (
            "处理超时",
            "请求已被放弃。写入可能已经发生。".into(),
            "请先查看，再稍后重试；若使用了 Idempotency-Key，请沿用同一个".into(),
        ),
        Kind::Internal => (
            "服务器错误",
            "服务器发生错误。".into(),
            "请将请求编号提供给管理员".into(),
        ),
    };
    Words {
        title,
        detail,
        fix: Some(fix),
    }
}

const SEND_JSON: &str =
    "请以 UTF-8 发送一个 JSON 对象，每个键只出现一次，例如 {\"plan\": \"basic\"}";

fn head(fault: HeadFault) -> (&'static str, String, String) {
    match fault {
        HeadFault::Malformed { what } => (
            "请求格式有误",
            format!("请求已被拒绝：{}。", phrase(what)),
            "请发送 HTTP/1.1，每行以 CR LF 结尾，并且只使用一个 Content-Length 或一个 `Transfer-Encoding: chunked`"
                .into(),
        ),
        HeadFault::TooLarge => (
            "请求头过大",
            "请求头超过 16 KiB 或多于 100 个。".into(),
            "如使用浏览器，请刷新页面，若仍无效请清除本站的 Cookie；如使用程序，请减少或缩短请求头".into(),
        ),
        HeadFault::Late => (
            "请求超时",
            "请求头未在 10 秒内到达。".into(),
            "请重试".into(),
        ),
    }
}

fn body_fix(fault: &BodyFault) -> String {
    match fault {
        BodyFault::Syntax(at) => broken(at.what).1.into(),
        BodyFault::Empty
        | BodyFault::NotUtf8 { .. }
        | BodyFault::TrailingData
        | BodyFault::NotAnObject
        | BodyFault::DuplicateKey { .. }
        | BodyFault::Nul
        | BodyFault::TooDeep { .. }
        | BodyFault::Number => SEND_JSON.into(),
    }
}

/// What is wrong, and what to write instead.
const fn broken(what: Broken) -> (&'static str, &'static str) {
    match what {
        Broken::Ends => (
            "内容在此提前结束",
            r#"请补全末尾：文本用 `"`，列表用 `]`，对象用 `}`"#,
        ),
        Broken::Value => (
            "此处应当是一个值",
            "请写双引号中的文本、数字、true、false、null、列表或对象",
        ),
        Broken::Key => (
            "键没有写在双引号中",
            r#"请将每个键写在双引号中，例如 "plan""#,
        ),
        Broken::Colon => ("键后面缺少 `:`", "请在键和值之间写 `:`"),
        Broken::Comma => (
            "缺少 `,`、`]` 或 `}`",
            "请用 `,` 分隔各项，并在末尾关闭列表或对象",
        ),
        Broken::TrailingComma => ("列表或对象末尾前多了一个逗号", "请删除该逗号"),
        Broken::Escape => (
            "文本中有不代表任何字符的转义",
            r#"请直接写该字符，或写 `\\`、`\"`、`\n` 或完整的 `\uXXXX`"#,
        ),
        Broken::Control => ("文本中有换行或其他控制字符", r"请写 `\n`、`\t` 或 `\uXXXX`"),
        Broken::Number => (
            "数字的写法不符合 JSON",
            "请写十进制数，不带前导零和 `+`，例如 10 或 0.5",
        ),
        Broken::Other => ("此处的内容不能出现在 JSON 中", SEND_JSON),
    }
}

fn body(fault: &BodyFault) -> String {
    match fault {
        BodyFault::Empty => "请求体为空。".into(),
        BodyFault::NotUtf8 { offset } => format!("请求体在第 {offset} 字节处不是 UTF-8。"),
        BodyFault::Syntax(at) => format!(
            "请求体在第 {} 行第 {} 列不是 JSON：{}。",
            at.line,
            at.column,
            broken(at.what).0
        ),
        BodyFault::TrailingData => "JSON 对象之后还有其他内容。".into(),
        BodyFault::NotAnObject => "请求体不是 JSON 对象。".into(),
        BodyFault::DuplicateKey { key } => format!("键 `{key}` 在同一对象中出现了两次。"),
        BodyFault::Nul => "键或文本中包含 NUL。".into(),
        BodyFault::TooDeep { limit } => format!("请求体嵌套超过 {limit} 层。"),
        BodyFault::Number => "数字过大，无法精确保存。".into(),
    }
}

fn join(shortages: &[Shortage]) -> String {
    let mut texts: Vec<String> = shortages.iter().map(shortage).collect();
    texts.sort();
    texts.dedup();
    if texts.is_empty() {
        return "没有就绪的主机".into();
    }
    texts.join("；")
}

fn shortage(shortage: &Shortage) -> String {
    match shortage {
        Shortage::CpuPerInstance { needed, available } => {
            format!("单个实例需要 {needed}，主机共有 {available}")
        }
        Shortage::Cpu { needed, available } => format!("需要 {needed}，剩余 {available}"),
        Shortage::Memory { needed, available } => format!("需要 {needed} 内存，剩余 {available}"),
        Shortage::ImageFloor { needed, available } => {
            format!("镜像共需要 {needed} 内存与交换空间，此处套餐提供 {available}")
        }
        Shortage::NotTaking { .. } => "主机暂不接受新实例".into(),
    }
}
