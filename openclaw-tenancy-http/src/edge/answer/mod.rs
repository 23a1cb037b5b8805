//! Answers of the edge's own: pages for people, problems (RFC 9457) for programs, and the ways to sign in.

mod body;
mod notice;
mod waiting;

use std::cmp::Ordering;

use askama::Template;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use serde_json::json;

pub(super) use self::body::AnswerBody;
pub(super) use self::notice::Notice;
pub(super) use self::waiting::Report;
use super::origin::is_navigation;
use crate::api::lang::Lang;

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// When a page or a program should ask again, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");

/// How a request wants its answer.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// A person looks at it.
    navigation: bool,
    /// Read only when something is said: most answers are an instance's.
    languages: Option<HeaderValue>,
    /// Ours, in the log and in the answer.
    pub(super) id: HeaderValue,
}

impl Asked {
    pub(super) fn of(method: &Method, headers: &HeaderMap, id: HeaderValue) -> Self {
        Self {
            navigation: is_navigation(method, headers),
            languages: headers.get(header::ACCEPT_LANGUAGE).cloned(),
            id,
        }
    }

    pub(super) const fn is_navigation(&self) -> bool {
        self.navigation
    }

    pub(super) fn lang(&self) -> Lang {
        let languages = self.languages.iter().cloned();
        Lang::accepted(
            &languages
                .map(|value| (header::ACCEPT_LANGUAGE, value))
                .collect(),
        )
    }
}

#[derive(Template)]
#[template(path = "edge/page.html")]
struct Page<'a> {
    lang: &'a str,
    nonce: &'a str,
    title: &'a str,
    detail: &'a str,
    message: Option<&'a str>,
    /// `working`, `resting` or `trouble`.
    mood: &'a str,
    /// The page asks by itself how it stands.
    watching: bool,
    /// The parts of a start with how far each is, while it is one.
    steps: Option<[(&'a str, &'a str); 4]>,
    console: &'a str,
    console_label: &'a str,
    again_label: &'a str,
    reference: &'a str,
}

/// Makes the answers.
#[derive(Debug)]
pub(super) struct Answers {
    console: String,
}

impl Answers {
    /// `console` is where people go when an instance cannot help them.
    pub(super) const fn new(console: String) -> Self {
        Self { console }
    }

    /// Says what happened.
    pub(super) fn notice(
        &self,
        notice: Notice,
        asked: &Asked,
        nonce: &str,
    ) -> Response<AnswerBody> {
        let words = notice.words(asked.lang());
        let mut response = if asked.navigation {
            let mood = if notice.passes() {
                "working"
            } else {
                "trouble"
            };
            self.page(
                notice.status(),
                asked,
                nonce,
                &PageWords {
                    title: words.title,
                    detail: &words.detail,
                    message: None,
                    mood,
                    watching: notice.passes(),
                    step: None,
                },
            )
        } else {
            problem(
                notice.status(),
                notice.slug(),
                words.title,
                &words.detail,
                asked,
            )
        };
        if notice.passes() || notice == Notice::TooManyTries {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }

    /// Says what happens while an instance is not ready.
    pub(super) fn waiting(
        &self,
        report: &Report,
        asked: &Asked,
        nonce: &str,
    ) -> Response<AnswerBody> {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let mut response = if asked.navigation {
            self.page(
                status,
                asked,
                nonce,
                &PageWords {
                    title: report.title,
                    detail: &report.detail,
                    message: report.message.as_deref(),
                    mood: report.mood.name(),
                    watching: true,
                    step: report.step,
                },
            )
        } else {
            problem(
                status,
                "instance-not-ready",
                report.title,
                &report.detail,
                asked,
            )
        };
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, RETRY_AFTER);
        response
    }

    fn page(
        &self,
        status: StatusCode,
        asked: &Asked,
        nonce: &str,
        words: &PageWords<'_>,
    ) -> Response<AnswerBody> {
        let lang = asked.lang();
        let labels = Labels::of(lang);
        let page = Page {
            lang: lang.tag(),
            nonce,
            title: words.title,
            detail: words.detail,
            message: words.message,
            mood: words.mood,
            watching: words.watching,
            steps: words.step.map(|step| labels.steps_at(usize::from(step))),
            console: &self.console,
            console_label: labels.console,
            again_label: labels.again,
            reference: asked.id.to_str().unwrap_or_default(),
        };
        // Rendering into a string fails only where a value's `Display` does; none of ours can.
        let html = page.render().unwrap_or_else(|_| words.title.to_owned());
        let mut response = own(status, "text/html; charset=utf-8", Bytes::from(html), asked);
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        if let Ok(policy) = HeaderValue::try_from(policy) {
            response
                .headers_mut()
                .insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    }
}

struct PageWords<'a> {
    title: &'a str,
    detail: &'a str,
    message: Option<&'a str>,
    mood: &'a str,
    watching: bool,
    step: Option<u8>,
}

struct Labels {
    steps: [&'static str; 4],
    console: &'static str,
    again: &'static str,
}

impl Labels {
    const fn of(lang: Lang) -> Self {
        match lang {
            Lang::En => Self {
                steps: ["Place", "Set up", "Start", "Ready"],
                console: "Open the console",
                again: "Try again",
            },
            Lang::ZhCn => Self {
                steps: ["分配", "准备", "启动", "就绪"],
                console: "打开控制台",
                again: "重试",
            },
        }
    }
}

impl Labels {
    /// Each part with its class in the page's style.
    fn steps_at(&self, step: usize) -> [(&'static str, &'static str); 4] {
        std::array::from_fn(|part| {
            let class = match part.cmp(&step) {
                Ordering::Less => "done",
                Ordering::Equal => "now",
                Ordering::Greater => "",
            };
            (self.steps[part], class)
        })
    }
}

/// What a waiting page asks for.
pub(super) fn report(report: &Report, asked: &Asked) -> Response<AnswerBody> {
    // A struct of strings and numbers always serialises.
    let body = serde_json::to_vec(report).unwrap_or_default();
    own(StatusCode::OK, "application/json", Bytes::from(body), asked)
}

/// A problem (RFC 9457).
fn problem(
    status: StatusCode,
    slug: &str,
    title: &str,
    detail: &str,
    asked: &Asked,
) -> Response<AnswerBody> {
    let body = json!({
        "type": format!("urn:openclaw-tenancy:problem:{slug}"),
        "title": title,
        "status": status.as_u16(),
        "detail": detail,
        "request_id": asked.id.to_str().unwrap_or_default(),
    });
    own(
        status,
        "application/problem+json",
        Bytes::from(body.to_string()),
        asked,
    )
}

/// Sends the browser elsewhere (303: whatever it did here, there it only looks).
pub(super) fn see_other(
    location: &str,
    cookies: &[HeaderValue],
    asked: &Asked,
) -> Response<AnswerBody> {
    let mut response = own(StatusCode::SEE_OTHER, "text/plain", Bytes::new(), asked);
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    for cookie in cookies {
        response
            .headers_mut()
            .append(header::SET_COOKIE, cookie.clone());
    }
    response
}

fn own(status: StatusCode, kind: &'static str, body: Bytes, asked: &Asked) -> Response<AnswerBody> {
    let body = if body.is_empty() {
        AnswerBody::empty()
    } else {
        AnswerBody::own(body)
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers.insert(X_REQUEST_ID, asked.id.clone());
    response
}
