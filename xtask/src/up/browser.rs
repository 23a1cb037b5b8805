//! The little of a browser that the check needs: cookies by host, redirects one by one.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::server::Places;
use crate::http::{Address, Request, Response};

/// One answer of a server that is asked for a page.
const PAGE_LIMIT: Duration = Duration::from_secs(30);

/// More redirects than any sign-in needs.
const MAX_REDIRECTS: usize = 8;

/// A browser with the cookies it was given.
#[derive(Debug)]
pub(super) struct Browser {
    places: Places,
    cookies: BTreeMap<(String, String), String>,
}

/// A page with the address where it was found.
#[derive(Debug)]
pub(super) struct Page {
    /// Its address.
    pub(super) url: String,
    /// The answer.
    pub(super) response: Response,
}

impl Browser {
    /// A browser without any cookie.
    pub(super) fn new(places: &Places) -> Self {
        Self {
            places: places.clone(),
            cookies: BTreeMap::new(),
        }
    }

    /// Sends a request to an address of ours, with that host's cookies, and keeps what it sets.
    pub(super) fn send(
        &mut self,
        url: &str,
        make: impl FnOnce(&str) -> Request,
    ) -> Result<Response> {
        let (authority, path) = split(url)?;
        let mut request = make(path).header("Host", authority);
        if let Some(cookies) = self.cookies_for(url)? {
            request = request.header("Cookie", &cookies);
        }
        let answer = request.send(&self.address(authority)?, PAGE_LIMIT)?;
        for (name, value) in &answer.headers {
            if name.eq_ignore_ascii_case("Set-Cookie") {
                self.keep(authority, value);
            }
        }
        Ok(answer)
    }

    /// Opens a page as a person would who follows a link, through every redirect.
    pub(super) fn open(&mut self, url: &str) -> Result<Page> {
        let mut url = url.to_owned();
        for _ in 0..MAX_REDIRECTS {
            let response = self.send(&url, |path| {
                Request::new("GET", path)
                    .header("Accept", "text/html")
                    .header("Sec-Fetch-Mode", "navigate")
                    .header("Sec-Fetch-Dest", "document")
            })?;
            if !(300..400).contains(&response.status) {
                return Ok(Page { url, response });
            }
            let target = response
                .header("Location")
                .context("a redirect without Location")?;
            url = if target.starts_with('/') {
                format!("http://{}{target}", split(&url)?.0)
            } else {
                target.to_owned()
            };
        }
        bail!("more than {MAX_REDIRECTS} redirects, the last to {url}")
    }

    /// The cookies of an address's host, as a header value.
    pub(super) fn cookies_for(&self, url: &str) -> Result<Option<String>> {
        let (authority, _) = split(url)?;
        let pairs: Vec<_> = self
            .cookies
            .iter()
            .filter(|((host, _), _)| host == authority)
            .map(|((_, name), value)| format!("{name}={value}"))
            .collect();
        Ok((!pairs.is_empty()).then(|| pairs.join("; ")))
    }

    fn keep(&mut self, authority: &str, set_cookie: &str) {
        let pair = set_cookie.split(';').next().unwrap_or_default();
        let Some((name, value)) = pair.split_once('=') else {
            return;
        };
        let key = (authority.to_owned(), name.trim().to_owned());
        if value.is_empty() || set_cookie.to_ascii_lowercase().contains("max-age=0") {
            self.cookies.remove(&key);
        } else {
            self.cookies.insert(key, value.trim().to_owned());
        }
    }

    /// Where an authority is served: every name below `localhost` is this machine, whatever the
    /// system's resolver makes of it.
    fn address(&self, authority: &str) -> Result<Address> {
        let (_, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
        let port = port.parse().ok();
        [&self.places.api, &self.places.edge]
            .into_iter()
            .find(|place| place.port() == port)
            .cloned()
            .with_context(|| format!("a redirect to {authority}, which is not ours"))
    }
}

/// Authority and path of an `http` address.
fn split(url: &str) -> Result<(&str, &str)> {
    let rest = url
        .strip_prefix("http://")
        .with_context(|| format!("{url} is not an http address"))?;
    Ok(rest
        .find('/')
        .map_or((rest, "/"), |slash| rest.split_at(slash)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split_at_the_first_slash() {
        assert_eq!(
            split("http://a.localhost:8080/x?y").unwrap(),
            ("a.localhost:8080", "/x?y")
        );
        assert_eq!(
            split("http://localhost:3000").unwrap(),
            ("localhost:3000", "/")
        );
        assert!(split("https://localhost").is_err());
    }

    #[test]
    fn cookies_go_to_their_own_host_only_and_can_be_taken_back() {
        let mut browser = Browser::new(&Places {
            public_url: "http://localhost:3000".to_owned(),
            api: Address::Tcp("127.0.0.1:3000".to_owned()),
            edge: Address::Tcp("127.0.0.1:8080".to_owned()),
        });
        browser.keep("a.localhost:8080", "__Host-x=1; Path=/; Secure; HttpOnly");
        let mine = browser.cookies_for("http://a.localhost:8080/").unwrap();
        assert_eq!(mine.as_deref(), Some("__Host-x=1"));
        assert_eq!(
            browser.cookies_for("http://b.localhost:8080/").unwrap(),
            None
        );
        browser.keep("a.localhost:8080", "__Host-x=; Max-Age=0; Path=/");
        assert_eq!(
            browser.cookies_for("http://a.localhost:8080/").unwrap(),
            None
        );
    }
}
