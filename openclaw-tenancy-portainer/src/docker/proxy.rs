//! An HTTP proxy in front of an engine.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::EndpointError;

/// What a proxy that serves an engine under a path of its own wants of a request.
///
/// ```
/// use openclaw_tenancy_portainer::docker::Proxy;
///
/// let proxy = Proxy::new("/engines/7", [("x-api-key", "secret")])?;
/// assert!(!format!("{proxy:?}").contains("secret"));
/// # Ok::<(), openclaw_tenancy_portainer::docker::EndpointError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Proxy {
    prefix: String,
    headers: HeaderMap,
}

impl Proxy {
    /// The engine's paths stand below `prefix`; `headers` go with each request. Header values are taken
    /// for credentials and never shown.
    ///
    /// # Errors
    /// [`EndpointError::Prefix`] unless `prefix` is an absolute path without query;
    /// [`EndpointError::Header`] for a header that HTTP cannot carry.
    pub fn new<'a>(
        prefix: &str,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, EndpointError> {
        let trimmed = prefix.trim_end_matches('/');
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~".contains(&b);
        if !trimmed.starts_with('/') || !trimmed.bytes().all(plain) {
            return Err(EndpointError::Prefix {
                given: prefix.to_owned(),
            });
        }
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let refused = || EndpointError::Header {
                name: name.to_owned(),
            };
            let mut value = HeaderValue::from_str(value).map_err(|_| refused())?;
            value.set_sensitive(true);
            map.append(HeaderName::try_from(name).map_err(|_| refused())?, value);
        }
        Ok(Self {
            prefix: trimmed.to_owned(),
            headers: map,
        })
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) const fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_request_can_carry_is_refused() {
        for prefix in ["", "/", "engines", "/a?b", "/a b", "/a#b"] {
            assert!(
                matches!(Proxy::new(prefix, []), Err(EndpointError::Prefix { .. })),
                "{prefix}"
            );
        }
        for header in [("a b", "c"), ("a", "b\r\nc: d"), ("", "x")] {
            let refused = Proxy::new("/p", [header]).unwrap_err();
            assert!(
                matches!(refused, EndpointError::Header { .. }),
                "{header:?}"
            );
        }
    }
}
