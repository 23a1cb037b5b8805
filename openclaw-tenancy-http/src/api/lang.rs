//! The languages that people read: English and Simplified Chinese.

use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;

/// A language of titles, details and pages. Types, field names and logs are English always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Simplified Chinese.
    ZhCn,
}

impl Lang {
    /// Every language.
    pub const ALL: [Self; 2] = [Self::En, Self::ZhCn];

    /// The language tag (RFC 5646).
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::ZhCn => "zh-CN",
        }
    }

    /// The language that serves a reader of `tag`; every Chinese is nearer to ours than English is.
    #[must_use]
    pub fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next()?;
        if primary.eq_ignore_ascii_case("en") {
            Some(Self::En)
        } else if primary.eq_ignore_ascii_case("zh") {
            Some(Self::ZhCn)
        } else {
            None
        }
    }

    /// The language that `Accept-Language` (RFC 9110 §12.5.4) weighs most; English if it names none of ours.
    #[must_use]
    pub fn accepted(headers: &HeaderMap) -> Self {
        headers
            .get_all(ACCEPT_LANGUAGE)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
            .filter_map(|range| {
                let (tag, parameter) = range.split_once(';').unwrap_or((range, "q=1"));
                let weight = parameter.trim().strip_prefix("q=")?.parse::<f32>().ok()?;
                let lang = Self::of_tag(tag.trim())?;
                (weight > 0.0).then_some((lang, weight))
            })
            // Of equal weights the first counts, so only a greater one takes its place.
            .fold(None, |best: Option<(Self, f32)>, next| match best {
                Some((_, weight)) if next.1 <= weight => best,
                Some(_) | None => Some(next),
            })
            .map_or(Self::default(), |(lang, _)| lang)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_language_decides_by_weight_then_order() {
        for (header, lang) in [
            ("", Lang::En),
            ("de, fr;q=0.9", Lang::En),
            ("zh-CN,zh;q=0.9,en;q=0.8", Lang::ZhCn),
            ("en;q=0.8, zh-Hans;q=0.9", Lang::ZhCn),
            ("zh-TW", Lang::ZhCn),
            ("en, zh", Lang::En),
            ("zh;q=0, en;q=0.1", Lang::En),
            ("ZH-cn;q=nonsense", Lang::En),
            ("zho", Lang::En),
        ] {
            let headers = [(ACCEPT_LANGUAGE, header.parse().unwrap())]
                .into_iter()
                .collect();
            assert_eq!(Lang::accepted(&headers), lang, "{header}");
        }
    }
}
