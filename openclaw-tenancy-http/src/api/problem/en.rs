//! Problems in English.

use openclaw_tenancy::host::Shortage;

use super::BodyFault;
use super::kind::{HeadFault, Kind, Missing};
use super::{Fault, Words, sentence};
use crate::access::csrf::CrossSite;
use crate::api::lang::Lang;
use crate::json::Broken;

pub(super) fn words(kind: &Kind) -> Words {
    let (title, detail, fix) = match kind {
        Kind::InvalidHead(fault) => head(*fault),
        Kind::InvalidBody(fault) => (
            "The body is not acceptable JSON",
            body(fault),
            body_fix(fault),
        ),
        Kind::UnsupportedMediaType { found } => (
            "Unsupported media type",
            match found {
                Some(found) => format!("A body of type `{found}` is not read here."),
                None => "The body has no Content-Type.".into(),
            },
            "send `Content-Type: application/json` without a Content-Encoding".into(),
        ),
        Kind::BodyTooLarge { limit } => (
            "The body is too large",
            format!("At most {limit} bytes are read."),
            format!("send at most {limit} bytes"),
        ),
        Kind::InvalidFields(faults) => match faults.as_slice() {
            [one] => {
                let (detail, fix) = one.words(Lang::En);
                let title = if matches!(one.fault, Fault::Unknown { .. }) {
                    "Unknown field"
                } else {
                    "A field is not valid"
                };
                (title, detail, fix)
            }
            several => (
                "Fields are not valid",
                format!("{} fields are not valid.", several.len()),
                "see `errors`".into(),
            ),
        },
        Kind::InvalidParameter { name, rule, .. } => (
            "A parameter is not valid",
            format!("`{name}` is missing or not valid."),
            (*rule).to_owned(),
        ),
        Kind::Unauthenticated => (
            "Sign in first",
            "The request has no credential, or its session has ended.".into(),
            "send `Authorization: Bearer …` with a token from POST /api/auth/token, or sign in"
                .into(),
        ),
        Kind::BearerRefused { reason } => (
            "The bearer token was refused",
            sentence(reason, Lang::En),
            "get a new token, such as by POST /api/auth/token".into(),
        ),
        Kind::PasswordRefused { reason } => (
            "Sign-in failed",
            sentence(reason, Lang::En),
            "check both and try again".into(),
        ),
        Kind::SignInRefused { reason } => (
            "Sign-in failed",
            sentence(reason, Lang::En),
            "begin the sign-in again".into(),
        ),
        Kind::ClaimRefused => (
            "This link does not work",
            "The link has been used, is older than a day, or there is an administrator already."
                .into(),
            "if there is none, restart the server: it prints a new link".into(),
        ),
        Kind::AdministratorsOnly => (
            "For administrators",
            "This account does not administer the deployment.".into(),
            "ask an administrator".into(),
        ),
        Kind::CrossSite(fault) => (
            "Cross-site request",
            match fault {
                CrossSite::NoOrigin => "A write with a session cookie needs an Origin header.",
                CrossSite::ForeignOrigin => "The request comes from another origin.",
                CrossSite::FetchSite => "The browser says that another site made the request.",
                CrossSite::Token => "The CSRF token is missing or of another session.",
            }
            .into(),
            "use our own pages, or send a bearer token instead of the cookie".into(),
        ),
        Kind::ForeignHost { host } => (
            "Not a host of this server",
            format!("This server does not answer for the host `{host}`."),
            "use the address in `server.public_url`, or, if the name is this server's, add it to the setting `server.host_names`".into(),
        ),
        Kind::NotFound(missing) => (
            "Not found",
            match missing {
                Missing::Path => "There is nothing at this path.",
                Missing::OwnInstance => "You have no instance.",
                Missing::Instance => "There is no such instance.",
                Missing::Host => "There is no such host.",
                Missing::Provider => "There is no such identity provider.",
            }
            .into(),
            match missing {
                Missing::Path => "check the address",
                Missing::OwnInstance => "create one by POST /api/tenants",
                Missing::Instance => {
                    "check the id or host name, and which account you are signed in as"
                }
                Missing::Host => "GET /api/hosts lists them",
                Missing::Provider => "begin the sign-in again",
            }
            .into(),
        ),
        Kind::MethodNotAllowed => (
            "Method not allowed",
            "The path does not have this method.".into(),
            "see the Allow header".into(),
        ),
        Kind::AlreadyHasInstance { existing } => (
            "You have an instance already",
            format!("The account has instance {existing}, and can have one."),
            "use it (GET /api/tenants/me), or delete it first and wait until it is gone".into(),
        ),
        Kind::NameTaken { name } => (
            "The name is taken",
            format!("The name `{name}` is in use, or was until less than 30 days ago."),
            "choose another name, or leave it out to be given one".into(),
        ),
        Kind::SeatsTaken { seats } => (
            "The plan is full",
            format!("Every seat of the plan is taken ({seats})."),
            "choose another plan".into(),
        ),
        Kind::Deleting => (
            "The instance is being deleted",
            "What is being deleted cannot be changed.".into(),
            "wait until it is gone, then create a new one".into(),
        ),
        Kind::HostInUse { host, instances } => (
            "The host is in use",
            format!("Host `{host}` holds instances ({instances})."),
            "cordon it (POST /api/hosts/{id}/cordon), delete its instances or have their owners do it, and repeat when \
             they are gone"
                .into(),
        ),
        Kind::HostConfigured { host } => (
            "The host is configured",
            format!("Host `{host}` is in this server's configuration, which would make it known again."),
            "take it out of [[hosts]], restart the server, and repeat; to keep new instances off it, cordon it".into(),
        ),
        Kind::Changed => (
            "Changed meanwhile",
            "Somebody else has changed the instance meanwhile.".into(),
            "look again and repeat".into(),
        ),
        Kind::IdempotencyMismatch => (
            "The idempotency key was used before",
            "The key was used for a request with another body.".into(),
            "use a new key for a new request".into(),
        ),
        Kind::PlanUnknown { plan, known } => (
            "There is no such plan",
            format!("There is no plan `{plan}`."),
            format!("the plans are: {known}"),
        ),
        Kind::PlanNotEntitled { plan, allowed } => (
            "The plan is above your entitlement",
            format!("Plan `{plan}` is above what this account may have."),
            match &**allowed {
                "" => "ask an administrator for a plan".into(),
                allowed => format!("choose one of: {allowed}; or ask an administrator"),
            },
        ),
        Kind::PlanDoesNotFit { plan, shortages } => (
            "The plan fits no host",
            format!("Plan `{plan}` fits no host: {}.", join(shortages)),
            "choose a smaller plan".into(),
        ),
        Kind::PlanBelowImageFloor {
            plan,
            needed,
            available,
        } => (
            "The plan is too small for the image",
            format!(
                "The image needs {needed} of memory and swap together; plan `{plan}` gives {available} here."
            ),
            "choose a larger plan, or ask an administrator for swap on the hosts".into(),
        ),
        Kind::TooManyRequests { retry_after } => (
            "Too many requests",
            "This was tried too often.".into(),
            format!("wait {} s", retry_after.as_secs().max(1)),
        ),
        Kind::ProviderUnavailable => (
            "The identity provider does not answer",
            "The identity provider does not answer, or not as it must.".into(),
            "try again in a moment".into(),
        ),
        Kind::ProviderMisconfigured => (
            "Sign-in is misconfigured",
            "The identity provider refused this server, not you.".into(),
            "give the operator the request's number: the server's log says under it which setting to change".into(),
        ),
        Kind::StoreUnavailable => (
            "The database is not available",
            "The database does not answer or takes no writes. A write may have happened.".into(),
            "look, then try again in a moment, with the same Idempotency-Key if there was one"
                .into(),
        ),
        Kind::TimedOut => (
            "It took too long",
            "The request was given up. A write may have happened.".into(),
            "look, then try again in a moment, with the same Idempotency-Key if there was one"
                .into(),
        ),
        Kind::Internal => (
            "A fault of the server",
            "The server has made a mistake.".into(),
            "give the request id to an administrator".into(),
        ),
    };
    Words {
        title,
        detail,
        fix: Some(fix),
    }
}

fn head(fault: HeadFault) -> (&'static str, String, String) {
    match fault {
        HeadFault::Malformed { what } => (
            "Malformed request",
            format!("The request was refused: {what}."),
            "send HTTP/1.1 with CR LF after each line and one Content-Length or one `Transfer-Encoding: chunked`"
                .into(),
        ),
        HeadFault::TooLarge => (
            "Request headers too large",
            "The request's headers are larger than 16 KiB or more than 100.".into(),
            "in a browser, reload the page, and if that does not help, remove this site's cookies; in a program, send fewer or shorter headers".into(),
        ),
        HeadFault::Late => (
            "Request timeout",
            "The request's headers did not arrive within 10 seconds.".into(),
            "try again".into(),
        ),
    }
}

const SEND_JSON: &str =
    "send one JSON object in UTF-8, each key once, such as {\"plan\": \"basic\"}";

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
            "it ends there",
            r#"write it to its end: `"` after a text, `]` after a list, `}` after an object"#,
        ),
        Broken::Value => (
            "there is no value where one must be",
            "write text in double quotes, a number, true, false, null, a list or an object",
        ),
        Broken::Key => (
            "a key is not in double quotes",
            r#"write each key in double quotes, such as "plan""#,
        ),
        Broken::Colon => (
            "there is no `:` after a key",
            "write `:` between a key and its value",
        ),
        Broken::Comma => (
            "there is no `,`, `]` or `}`",
            "write `,` between two entries, and close each list and object",
        ),
        Broken::TrailingComma => (
            "a comma stands before the end of a list or an object",
            "remove the comma",
        ),
        Broken::Escape => (
            "a text has an escape that stands for no character",
            r#"write the character itself, or `\\`, `\"`, `\n` or a whole `\uXXXX`"#,
        ),
        Broken::Control => (
            "a text contains a line break or another control character",
            r"write `\n`, `\t` or `\uXXXX` for it",
        ),
        Broken::Number => (
            "a number is not written as JSON has it",
            "write it in decimal without leading zero and `+`, such as 10 or 0.5",
        ),
        Broken::Other => ("what stands there cannot stand in JSON", SEND_JSON),
    }
}

fn body(fault: &BodyFault) -> String {
    match fault {
        BodyFault::Empty => "The body is empty.".into(),
        BodyFault::NotUtf8 { offset } => format!("The body is not UTF-8 at byte {offset}."),
        BodyFault::Syntax(at) => format!(
            "The body is not JSON at line {}, column {}: {}.",
            at.line,
            at.column,
            broken(at.what).0
        ),
        BodyFault::TrailingData => "Something follows the JSON object.".into(),
        BodyFault::NotAnObject => "The body is not a JSON object.".into(),
        BodyFault::DuplicateKey { key } => format!("The key `{key}` stands twice in one object."),
        BodyFault::Nul => "A key or a text contains NUL.".into(),
        BodyFault::TooDeep { limit } => format!("The body is nested deeper than {limit} levels."),
        BodyFault::Number => "A number is too large to be kept exactly.".into(),
    }
}

fn join(shortages: &[Shortage]) -> String {
    let mut texts: Vec<String> = shortages.iter().map(ToString::to_string).collect();
    texts.sort();
    texts.dedup();
    if texts.is_empty() {
        return "no host is ready".into();
    }
    texts.join("; ")
}
