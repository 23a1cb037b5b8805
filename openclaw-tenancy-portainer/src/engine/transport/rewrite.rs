//! Turning the Docker client's request into one for this engine: authority, prefix, version, headers.

use http::header::{CONTENT_TYPE, HeaderMap};
use http::uri::{Authority, InvalidUri, InvalidUriParts, PathAndQuery, Scheme};
use http::{Request, Uri};

use super::version::ApiVersion;

/// What every request to one engine gets.
#[derive(Debug, Clone)]
pub(crate) struct Rewrite {
    authority: Authority,
    /// What stands before the engine's own paths where it is reached through a proxy; no trailing slash.
    prefix: String,
    /// A proxy's credential. Values are marked sensitive by whoever makes them.
    headers: HeaderMap,
}

impl Rewrite {
    /// For an engine that is spoken to directly.
    pub(crate) fn direct(authority: Authority) -> Self {
        Self {
            authority,
            prefix: String::new(),
            headers: HeaderMap::new(),
        }
    }

    /// For an engine behind a proxy that serves it under `prefix` and wants `headers`.
    #[must_use]
    pub(crate) fn behind(mut self, prefix: &str, headers: HeaderMap) -> Self {
        self.prefix = prefix.trim_end_matches('/').to_owned();
        self.headers = headers;
        self
    }

    /// The engine's own path of a request, without any version: what the client library asks for.
    ///
    /// The library at hand sends no version, the next one may: one that is there is taken off, so that
    /// the negotiated one never stands beside it.
    pub(super) fn bare_path(path: &str) -> &str {
        let Some((version, _)) = path
            .strip_prefix("/v")
            .and_then(|rest| rest.split_once('/'))
        else {
            return path;
        };
        if version.parse::<ApiVersion>().is_ok() {
            // "/v" and the version; the slash after it stays.
            path.get(2 + version.len()..).unwrap_or(path)
        } else {
            path
        }
    }

    /// Rewrites `request` in place. `version` is `None` for what is asked before one is agreed.
    pub(super) fn apply<B>(
        &self,
        request: &mut Request<B>,
        version: Option<ApiVersion>,
    ) -> Result<(), RewriteError> {
        let path = Self::bare_path(request.uri().path());
        let mut target = match version {
            Some(version) => format!("{}/v{version}{path}", self.prefix),
            None => format!("{}{path}", self.prefix),
        };
        if let Some(query) = request.uri().query() {
            target.push('?');
            target.push_str(query);
        }
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(PathAndQuery::try_from(target)?);
        *request.uri_mut() = Uri::from_parts(parts)?;

        // The library appends its JSON type to an archive's own; two types in one request are one too many.
        if let Some(first) = request.headers().get(CONTENT_TYPE).cloned() {
            request.headers_mut().insert(CONTENT_TYPE, first);
        }
        request.headers_mut().extend(self.headers.clone());
        Ok(())
    }
}

/// A path that makes no address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RewriteError {
    #[error("the path is not valid in an address")]
    Path(#[from] InvalidUri),
    #[error("the parts make no address")]
    Parts(#[from] InvalidUriParts),
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn rewritten(rewrite: &Rewrite, uri: &str, version: Option<ApiVersion>) -> Request<()> {
        let mut request = Request::get(uri).body(()).unwrap();
        rewrite.apply(&mut request, version).unwrap();
        request
    }

    #[test]
    fn prefix_version_and_query() {
        let direct = Rewrite::direct(Authority::from_static("engine"));
        let proxied = direct
            .clone()
            .behind("/api/endpoints/7/docker/", HeaderMap::new());
        let v = Some(ApiVersion::OLDEST);
        for (rewrite, uri, version, expected) in [
            (&direct, "http://x/_ping", None, "http://engine/_ping"),
            (
                &direct,
                "http://x/containers/json?all=true",
                v,
                "http://engine/v1.41/containers/json?all=true",
            ),
            (
                &direct,
                "http://x/v1.53/info",
                v,
                "http://engine/v1.41/info",
            ),
            (
                &direct,
                "http://x/volumes/v1.2",
                v,
                "http://engine/v1.41/volumes/v1.2",
            ),
            (
                &direct,
                "http://x/vx/info",
                v,
                "http://engine/v1.41/vx/info",
            ),
            (
                &proxied,
                "http://x/_ping",
                None,
                "http://engine/api/endpoints/7/docker/_ping",
            ),
            (
                &proxied,
                "http://x/v1.44/info?a=b%2Fc",
                v,
                "http://engine/api/endpoints/7/docker/v1.41/info?a=b%2Fc",
            ),
        ] {
            assert_eq!(rewritten(rewrite, uri, version).uri(), expected);
        }
    }

    #[test]
    fn the_first_content_type_stands_and_the_credential_is_added() {
        let mut headers = HeaderMap::new();
        let mut key = HeaderValue::from_static("canary");
        key.set_sensitive(true);
        headers.insert("x-api-key", key);
        let rewrite = Rewrite::direct(Authority::from_static("engine")).behind("/p", headers);
        let mut request = Request::put("http://x/containers/0f/archive")
            .header(CONTENT_TYPE, "application/x-tar")
            .header(CONTENT_TYPE, "application/json")
            .body(())
            .unwrap();
        rewrite.apply(&mut request, None).unwrap();
        let types: Vec<_> = request.headers().get_all(CONTENT_TYPE).iter().collect();
        assert_eq!(types, ["application/x-tar"]);
        assert_eq!(request.headers()["x-api-key"], "canary");
        assert!(!format!("{rewrite:?}").contains("canary"));
    }

    proptest! {
        #[test]
        fn a_version_never_stands_twice(minor in 0_u16..200, path in "(/[a-z0-9.]{1,12}){1,4}") {
            let rewrite = Rewrite::direct(Authority::from_static("engine"));
            let plain = rewritten(&rewrite, &format!("http://x{path}"), Some(ApiVersion::NEWEST));
            let versioned = rewritten(&rewrite, &format!("http://x/v1.{minor}{path}"), Some(ApiVersion::NEWEST));
            // A path whose own first segment looks like a version is none of the engine's.
            prop_assume!(Rewrite::bare_path(&path) == path);
            prop_assert_eq!(plain.uri(), versioned.uri());
        }
    }
}
