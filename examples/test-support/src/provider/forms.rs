//! The forms of a page, and what a person makes of them.

use std::collections::BTreeMap;

use url::form_urlencoded;

/// What somebody enters: a field by its name, or a button by its name and value.
pub(super) type Entry<'a> = (&'a str, &'a str);

/// A form, as far as a sign-in needs one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Form {
    action: String,
    hidden: Vec<(String, String)>,
    fields: Vec<String>,
    buttons: Vec<(String, String)>,
}

impl Form {
    /// Every form of `page`.
    pub(super) fn all(page: &str) -> Vec<Self> {
        let mut forms: Vec<Self> = Vec::new();
        let mut inside = false;
        for tag in tags(page) {
            match (&*tag.name, forms.last_mut()) {
                ("form", _) => {
                    inside = true;
                    forms.push(Self {
                        action: tag.value("action"),
                        ..Self::default()
                    });
                }
                ("/form", _) => inside = false,
                ("input", Some(form)) if inside => form.take_input(&tag),
                ("button", Some(form)) if inside => {
                    form.buttons.push((tag.value("name"), tag.value("value")));
                }
                _ => {}
            }
        }
        forms
    }

    /// Where it is sent to, against the page's own address.
    pub(super) fn action(&self) -> &str {
        &self.action
    }

    /// Whether `entry` can be made in it.
    pub(super) fn offers(&self, (name, value): Entry<'_>) -> bool {
        let pressed = |button: &(String, String)| (&*button.0, &*button.1) == (name, value);
        self.fields.iter().any(|field| field == name) || self.buttons.iter().any(pressed)
    }

    /// The body of the request that sends it with those of `entries` that it offers; of two for one name, the first.
    pub(super) fn filled(&self, entries: &[Entry<'_>]) -> String {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(&self.hidden);
        let mut named = Vec::new();
        for &(name, value) in entries.iter().filter(|entry| self.offers(**entry)) {
            if !named.contains(&name) {
                named.push(name);
                body.append_pair(name, value);
            }
        }
        body.finish()
    }

    fn take_input(&mut self, tag: &Tag) {
        let name = tag.value("name");
        if tag.value("type") == "hidden" {
            self.hidden.push((name, tag.value("value")));
        } else {
            self.fields.push(name);
        }
    }
}

struct Tag {
    name: String,
    attributes: BTreeMap<String, String>,
}

impl Tag {
    fn value(&self, attribute: &str) -> String {
        self.attributes.get(attribute).cloned().unwrap_or_default()
    }
}

/// The tags of `page`. Enough for what providers write: comments and scripts come out as tags of no name that matters.
fn tags(page: &str) -> Vec<Tag> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        let (name, mut after) = until(&rest[at + 1..], |c| c.is_whitespace() || c == '>');
        let mut attributes = BTreeMap::new();
        loop {
            after = after.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
            if after.is_empty() || after.starts_with('>') {
                break;
            }
            let (attribute, next) = until(after, |c| c.is_whitespace() || matches!(c, '=' | '>'));
            let (value, next) = match next.trim_start().strip_prefix('=') {
                Some(next) => quoted(next.trim_start()),
                None => ("", next),
            };
            attributes.insert(attribute.to_ascii_lowercase(), text(value));
            after = next;
        }
        found.push(Tag {
            name: name.to_ascii_lowercase(),
            attributes,
        });
        rest = after;
    }
    found
}

/// `text` up to the first character that `ends` it, and the rest.
fn until(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

/// The value that `text` begins with, without its quotes, and the rest.
fn quoted(text: &str) -> (&str, &str) {
    match text.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let inner = &text[1..];
            inner.split_once(quote).unwrap_or((inner, ""))
        }
        _ => until(text, |c| c.is_whitespace() || c == '>'),
    }
}

/// `value` with its character references resolved, as far as template engines write any.
fn text(value: &str) -> String {
    let references = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ];
    let mut value = value.to_owned();
    for (reference, character) in references {
        value = value.replace(reference, character);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::Form;

    const PAGE: &str = r#"<!-- <p> --><p>Who?<form action="/in?a=1&amp;b=2" method=post>
        <input type="hidden" name="token" value="a b"><input name="login" required>
        <input type='password' name='password' value=""/>
        <button type="submit" name="answer" value="no">No</button>
        <button type="submit" name="answer" value="yes" data-x="1 > 0">Yes</button></form>
        <input name="outside"><form><button>On</button></form>"#;

    #[test]
    fn a_form_is_sent_as_a_person_fills_it_in() {
        let forms = Form::all(PAGE);
        assert_eq!(forms.len(), 2, "{forms:?}");
        let form = &forms[0];
        assert_eq!(form.action(), "/in?a=1&b=2");
        let entries = [
            ("answer", "yes"),
            ("login", "ann"),
            ("login", "bob"),
            ("password", "p&w"),
            ("token", "mine"),
            ("outside", "x"),
        ];
        assert_eq!(
            form.filled(&entries),
            "token=a+b&answer=yes&login=ann&password=p%26w"
        );
        assert!(!form.offers(("answer", "perhaps")));
        assert_eq!(forms[1].action(), "");
        assert_eq!(forms[1].filled(&entries), "");
    }
}
