//! What stands around every page: mark, language, account.

use openclaw_tenancy::access::Account;

use super::assets::LINKS;
use super::words::Words;
use crate::access::caller::{Caller, Credential};
use crate::access::csrf;
use crate::api::lang::Lang;

/// The frame of a page.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) lang: Lang,
    pub(super) words: &'static Words,
    pub(super) css: &'static str,
    pub(super) js: &'static str,
    pub(super) logo: &'static str,
    /// To the other languages.
    pub(super) switches: Vec<Switch>,
    /// Whoever is signed in.
    pub(super) person: Option<Person>,
}

/// A link to this page in another language.
#[derive(Debug)]
pub(super) struct Switch {
    pub(super) tag: &'static str,
    pub(super) name: &'static str,
    pub(super) href: String,
}

/// Whoever is signed in, as the frame shows them.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) initial: String,
    pub(super) email: Option<String>,
    pub(super) admin: bool,
    pub(super) csrf: String,
}

impl Frame {
    /// The frame in `lang`; `parameters` of the page's own are kept when the language is switched.
    pub(super) fn new(lang: Lang, parameters: &[(&str, &str)]) -> Self {
        let links = &*LINKS;
        let others = Lang::ALL.into_iter().filter(|other| *other != lang);
        Self {
            lang,
            words: Words::of(lang),
            css: &links.css,
            js: &links.js,
            logo: &links.mark,
            switches: others.map(|other| switch(other, parameters)).collect(),
            person: None,
        }
    }

    /// With whoever is signed in.
    pub(super) fn of_caller(lang: Lang, caller: &Caller) -> Self {
        Self {
            person: Some(Person::new(caller)),
            ..Self::new(lang, &[])
        }
    }
}

impl Person {
    fn new(caller: &Caller) -> Self {
        let Account {
            who,
            email,
            name,
            rights,
            ..
        } = &caller.account;
        let shown = name.as_ref().or(email.as_ref()).unwrap_or(&who.subject);
        Self {
            name: shown.clone(),
            initial: shown.chars().take(1).flat_map(char::to_uppercase).collect(),
            email: email.clone().filter(|email| email != shown),
            admin: rights.admin,
            csrf: match &caller.credential {
                Credential::Cookie { secret, .. } => csrf::token(secret),
                Credential::Token { .. } | Credential::Provider => String::new(),
            },
        }
    }
}

fn switch(lang: Lang, parameters: &[(&str, &str)]) -> Switch {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parameters)
        .append_pair("lang", lang.tag())
        .finish();
    Switch {
        tag: lang.tag(),
        name: match lang {
            Lang::En => "English",
            Lang::ZhCn => "中文",
        },
        href: format!("?{query}"),
    }
}
