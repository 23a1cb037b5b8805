//! Style sheet, script and mark, built into the program.

use std::sync::LazyLock;

use axum::extract::RawQuery;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use sha2::{Digest as _, Sha256};

use crate::api::problem::{Kind, Missing, Problem};
use crate::api::query::PathText;

/// A file with what a browser has to know of it.
#[derive(Debug)]
struct Asset {
    name: &'static str,
    media: &'static str,
    content: &'static str,
}

const ASSETS: [Asset; 3] = [
    Asset {
        name: "app.css",
        media: "text/css; charset=utf-8",
        content: include_str!("../../assets/app.css"),
    },
    Asset {
        name: "app.js",
        media: "text/javascript; charset=utf-8",
        content: include_str!("../../assets/app.js"),
    },
    Asset {
        name: "mark.svg",
        media: "image/svg+xml",
        content: include_str!("../../assets/mark.svg"),
    },
];

/// Where the files are, each with its version in the query.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) css: String,
    pub(super) js: String,
    pub(super) mark: String,
}

pub(super) static LINKS: LazyLock<Links> = LazyLock::new(|| {
    let [css, js, mark] = ASSETS.each_ref().map(link);
    Links { css, js, mark }
});

fn link(asset: &Asset) -> String {
    format!("/assets/{}?{}", asset.name, version(asset))
}

fn version(asset: &Asset) -> String {
    let digest = Sha256::digest(asset.content);
    format!("v={}", hex::encode(&digest[..6]))
}

/// `GET /assets/{name}`: kept for good by the browser that asks for this very version.
pub(crate) async fn serve(
    PathText(name): PathText,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let asset = ASSETS.iter().find(|asset| asset.name == name);
    let asset = asset.ok_or(Kind::NotFound(Missing::Path))?;
    let cache = if query.is_some_and(|query| query == version(asset)) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(asset.media)),
        (CACHE_CONTROL, HeaderValue::from_static(cache)),
    ];
    Ok((headers, asset.content).into_response())
}
