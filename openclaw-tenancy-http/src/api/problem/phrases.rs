//! Stable English phrases that are told as reasons and rules, in Simplified Chinese: the core's, of the sign-in, and of
//! requests that are none.

/// The Chinese of a stable phrase; the phrase itself if it is none.
pub(crate) fn phrase(english: &'static str) -> &'static str {
    PHRASES
        .iter()
        .find(|(known, _)| *known == english)
        .map_or(english, |(_, chinese)| chinese)
}

const PHRASES: &[(&str, &str)] = &[
    (
        "the token is not a signed JWT in compact form",
        "令牌不是紧凑格式的签名 JWT",
    ),
    ("the token's header is not acceptable", "令牌头不可接受"),
    (
        "the token's algorithm is not acceptable",
        "令牌的算法不可接受",
    ),
    (
        "the token requires an extension that is not supported",
        "令牌要求不受支持的扩展",
    ),
    ("the token is of another type", "令牌属于其他类型"),
    ("the token's key is unknown", "令牌的密钥未知"),
    (
        "the token does not say which key signed it",
        "令牌未说明由哪个密钥签名",
    ),
    ("the token's signature is not valid", "令牌签名无效"),
    (
        "the token's claims are not acceptable",
        "令牌的声明不可接受",
    ),
    ("the token is from another issuer", "令牌来自其他签发方"),
    ("the token is for another audience", "令牌面向其他受众"),
    (
        "the token was issued to another client",
        "令牌签发给了其他客户端",
    ),
    ("the token has no usable subject", "令牌没有可用的主体"),
    (
        "the token has no expiry or has expired",
        "令牌没有有效期或已过期",
    ),
    (
        "the token has no issue time or one in the future",
        "令牌没有签发时间，或签发时间在未来",
    ),
    ("the token is not valid yet", "令牌尚未生效"),
    ("the token belongs to another sign-in", "令牌属于另一次登录"),
    (
        "the token belongs to another access token",
        "令牌属于另一个访问令牌",
    ),
    (
        "an ID token is not a bearer token",
        "ID 令牌不能用作访问令牌",
    ),
    ("the token was revoked", "令牌已被撤销"),
    (
        "the Authorization header is not one bearer token",
        "Authorization 请求头不是单个 Bearer 令牌",
    ),
    ("a bearer token does not get another", "令牌不能换取新令牌"),
    (
        "the provider does not offer this way to sign in",
        "提供方不支持这种登录方式",
    ),
    ("the name or the password is wrong", "用户名或密码错误"),
    (
        "the sign-in is unknown, already used or older than ten minutes",
        "此次登录不存在、已被使用或已超过十分钟",
    ),
    (
        "the sign-in was begun by another version of this server",
        "此次登录由服务器的其他版本发起",
    ),
    (
        "the sign-in was begun at another provider",
        "此次登录在其他提供方发起",
    ),
    (
        "the sign-in was begun in another browser",
        "此次登录在其他浏览器发起",
    ),
    (
        "the browser sent no pre-login cookie",
        "浏览器未发送登录前 Cookie",
    ),
    ("the provider's answer is too long", "提供方的响应过长"),
    (
        "the provider's answer repeats a parameter",
        "提供方的响应包含重复参数",
    ),
    (
        "the provider's answer has no state",
        "提供方的响应缺少 state",
    ),
    ("the provider's answer has no code", "提供方的响应缺少 code"),
    ("the answer is from another provider", "响应来自其他提供方"),
    (
        "the answer does not name its provider",
        "响应未注明其提供方",
    ),
    (
        "the sign-in was cancelled at the provider",
        "登录已在提供方取消",
    ),
    ("the provider refused the sign-in", "提供方拒绝了登录"),
    ("the provider refused the code", "提供方拒绝了授权码"),
    (
        "the UserInfo response is about somebody else",
        "UserInfo 响应说的是另一个人",
    ),
    (
        "3 to 40 of a-z, 0-9 and single -, beginning with a letter and not ending with -",
        "3 到 40 个字符，仅限 a-z、0-9 和单个 -，以字母开头且不以 - 结尾",
    ),
    (
        "this name is reserved, choose another",
        "此名称已保留，请换一个",
    ),
    (
        "a UUID such as 0198c6a2-7c3e-7000-8000-000000000001",
        "UUID，例如 0198c6a2-7c3e-7000-8000-000000000001",
    ),
    (
        "an address such as name@example.org, at most 254 bytes",
        "形如 name@example.org 的地址，最多 254 字节",
    ),
    (
        "a name of the tz database such as Asia/Shanghai",
        "tz 数据库中的名称，例如 Asia/Shanghai",
    ),
    (
        "1 to 255 visible ASCII characters",
        "1 到 255 个可见 ASCII 字符",
    ),
    ("a number from 1 to 200", "1 到 200 的数字"),
    (
        "the id that `next` of the page before gave",
        "上一页 `next` 给出的标识",
    ),
    (
        "43 characters of base64url, the SHA-256 of the browser's secret",
        "43 个 base64url 字符，即浏览器密钥的 SHA-256",
    ),
    ("each parameter once", "每个参数只出现一次"),
    (
        "one host name or address, the same as in the request target",
        "一个主机名或地址，且与请求目标中的一致",
    ),
    ("a line does not end with CR LF", "有一行不是以 CR LF 结尾"),
    ("the request line is not three words", "请求行不是三个词"),
    ("the method is not an upper-case word", "方法不是大写单词"),
    (
        "the request target has a byte that no URL has",
        "请求目标含有 URL 中不允许的字节",
    ),
    ("the version is not HTTP/1.1", "版本不是 HTTP/1.1"),
    ("a header line has no colon", "有一行请求头没有冒号"),
    (
        "a header name has a byte that no name has",
        "请求头名称含有不允许的字节",
    ),
    (
        "a header value has a control character",
        "请求头的值含有控制字符",
    ),
    (
        "Content-Length is given more than once",
        "Content-Length 出现了多次",
    ),
    (
        "Content-Length is not one plain number",
        "Content-Length 不是一个普通数字",
    ),
    (
        "Content-Length stands beside Transfer-Encoding",
        "Content-Length 与 Transfer-Encoding 同时出现",
    ),
    (
        "Transfer-Encoding is not `chunked` alone",
        "Transfer-Encoding 不是单独的 `chunked`",
    ),
    ("a chunk size is too long", "某个分块的长度过长"),
    ("the chunked body is not well formed", "分块请求体格式有误"),
    ("the body broke off", "请求体中途中断"),
    ("the request target is not a path", "请求目标不是路径"),
    (
        "the request target has no scheme of the web",
        "请求目标的协议不是 http 或 https",
    ),
    (
        "the request target and Host name different hosts",
        "请求目标与 Host 中的主机名不一致",
    ),
    ("Host is missing", "缺少 Host"),
    ("Host is given more than once", "Host 出现了多次"),
    ("Host is not a host name", "Host 不是主机名"),
    ("the port in Host is not a port", "Host 中的端口无效"),
];

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::identity::jwt::JwtError;

    /// Each text that stands in the source at or below `path` right after one of `openings`, tests left out.
    pub(in super::super) fn reasons_in(path: &str, openings: &[&str]) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for file in files(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)) {
            let source = std::fs::read_to_string(file).unwrap();
            let source = source.split("#[cfg(test)]").next().unwrap();
            for opening in openings {
                let texts = source.split(opening).skip(1);
                let texts = texts.filter_map(|after| after.trim_start().strip_prefix('"'));
                found.extend(texts.filter_map(|text| Some(text.split_once('"')?.0.to_owned())));
            }
        }
        found
    }

    fn files(path: PathBuf) -> Vec<PathBuf> {
        if !path.is_dir() {
            return vec![path];
        }
        let entries = std::fs::read_dir(path).unwrap();
        entries
            .flat_map(|entry| files(entry.unwrap().path()))
            .collect()
    }

    /// One that is not shows its English to people who read Chinese.
    #[test]
    fn every_reason_in_the_source_is_translated() {
        let refused = reasons_in("src/identity/oidc", &["refused("]);
        let malformed = reasons_in("src/edge", &["Malformed("]);
        let body = reasons_in("src/api/body.rs", &["what = "]);
        let listener = reasons_in("src/server/connection.rs", &["what: "]);
        for (reasons, at_least) in [(refused, 10), (malformed, 20), (body, 1), (listener, 1)] {
            assert!(reasons.len() >= at_least, "{reasons:?}");
            for reason in reasons {
                let known = PHRASES.iter().find(|(english, _)| *english == reason);
                let (_, chinese) = known.unwrap_or_else(|| panic!("no Chinese for: {reason}"));
                assert!(!chinese.is_ascii(), "{chinese}");
            }
        }
    }

    #[test]
    fn every_reason_of_the_token_verifier_is_translated() {
        for error in [
            JwtError::Malformed,
            JwtError::Header,
            JwtError::Algorithm,
            JwtError::Critical,
            JwtError::Type,
            JwtError::UnknownKey,
            JwtError::AmbiguousKey,
            JwtError::Signature,
            JwtError::Claims,
            JwtError::Issuer,
            JwtError::Audience,
            JwtError::AuthorizedParty,
            JwtError::Subject,
            JwtError::Expired,
            JwtError::IssuedAt,
            JwtError::NotYetValid,
            JwtError::Nonce,
            JwtError::AccessTokenHash,
            JwtError::IdTokenAsBearer,
        ] {
            assert!(!phrase(error.reason()).is_ascii(), "{error}");
        }
    }
}
