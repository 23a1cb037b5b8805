//! As much of a browser as a sign-in needs: cookies of one host, redirects and forms by hand.

use std::collections::BTreeMap;

use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use url::Url;

pub(super) struct Browser {
    client: reqwest::Client,
    cookies: BTreeMap<String, String>,
}

/// What a browser finds at an address.
pub(super) enum Found {
    /// The way on.
    Redirect(Url),
    /// Something to read, and perhaps to fill in.
    Page(String),
}

impl Browser {
    pub(super) fn new() -> Self {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("a client");
        Self {
            client,
            cookies: BTreeMap::new(),
        }
    }

    /// Opens `url`, or sends `form` there.
    ///
    /// # Panics
    /// When the answer is an error page.
    pub(super) async fn open(&mut self, url: &Url, form: Option<String>) -> Found {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = match form {
            Some(form) => self
                .client
                .post(url.clone())
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form),
            None => self.client.get(url.clone()),
        };
        let response = request
            .header(COOKIE, cookies.join("; "))
            .send()
            .await
            .expect("the provider answers");
        for cookie in response.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().expect("cookies are ASCII");
            let pair = cookie.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        if let Some(to) = response.headers().get(LOCATION) {
            let to = to.to_str().expect("a URL is ASCII");
            return Found::Redirect(url.join(to).expect("a redirect is a URL"));
        }
        let status = response.status();
        let page = response.text().await.expect("a page can be read");
        assert!(status.is_success(), "{status} at {url}: {page}");
        Found::Page(page)
    }
}
