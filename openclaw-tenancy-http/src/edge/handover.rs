//! From the console's sign-in to a cookie of an instance's host.
//!
//! ```text
//! instance host: no session      -> cookie `pre`, to the console with the slug and a hash of `pre`
//! console: signed in, the owner  -> back with a code that works once, within a minute
//! instance host: code and `pre`  -> cookie `instance`, to the path that was asked for
//! ```
//! The code alone is worth nothing in another browser: it goes with the hash of a cookie that only this one has.
//! Nothing that can be used again stands in a URL.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, Response, Uri};
use openclaw_tenancy::access::{Grant, GrantKind, SecretHash};
use openclaw_tenancy::clock::Timestamp;
use openclaw_tenancy::error::chain;
use openclaw_tenancy::id::{AccountId, Slug, TenantId};
use openclaw_tenancy::store::StoreError;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::Url;

use super::answer::{AnswerBody, Asked, Notice, see_other};
use super::cookies;
use super::gate::Audience;
use super::host::Label;
use super::routes::Site;
use super::{Inner, OWN_PATHS};
use crate::identity::{once, return_path, secret};

/// How long the browser has for signing in at the console.
const PRE_LASTS: Duration = Duration::from_secs(600);
/// A session with an instance ends at the latest then; the console's may end it before.
const SESSION_LASTS: Duration = Duration::from_secs(12 * 3600);
/// Longer paths are not gone back to.
const MAX_RETURN: usize = 2048;

/// What a hand-over is good for: the data of its grant, written by the console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct HandOver {
    tenant: TenantId,
    slug: Slug,
    /// The SHA-256 of the `pre` cookie, in base64url.
    challenge: String,
    /// The hash of the console session it came from, in hexadecimal.
    session: String,
}

/// The hash of `pre` that goes through the console.
fn challenge(pre: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(pre.as_bytes()))
}

impl Inner {
    /// Sends a browser to the console to be signed in. The same for every label, whether anybody's or not.
    pub(super) fn begin_sign_in(
        &self,
        label: &Label,
        uri: &Uri,
        headers: &HeaderMap,
        asked: &Asked,
    ) -> Response<AnswerBody> {
        // Two tabs at once share the cookie; a fresh one would make the first tab's code useless.
        let pre = match cookies::only(headers, cookies::PRE) {
            Some(pre) => SecretString::from(pre),
            None => secret::random(&*self.entropy),
        };
        let asked_for = uri.path_and_query().map_or("/", |path| path.as_str());
        let return_to = if asked_for.len() <= MAX_RETURN {
            asked_for
        } else {
            "/"
        };
        let mut url = self.config.public_url.clone();
        url.set_path(&format!(
            "{}/api/edge/authorize",
            url.path().trim_end_matches('/')
        ));
        url.query_pairs_mut()
            .clear()
            .append_pair("slug", label.as_str())
            .append_pair("challenge", &challenge(pre.expose_secret()))
            .append_pair("return_to", return_to);
        let cookie = cookies::set(cookies::PRE, pre.expose_secret(), Some(PRE_LASTS));
        see_other(url.as_str(), cookie.as_slice(), asked)
    }

    /// Takes a code and gives a session, or says why not.
    pub(super) async fn redeem(
        &self,
        label: &Label,
        uri: &Uri,
        headers: &HeaderMap,
        address: IpAddr,
        asked: &Asked,
    ) -> Result<Response<AnswerBody>, Notice> {
        let query = uri.query().unwrap_or_default();
        let code = single_code(query).ok_or(Notice::HandOverRefused)?;
        let pre = cookies::only(headers, cookies::PRE).ok_or(Notice::HandOverWithoutCookie)?;
        let now = self.clock.now();
        let grant = self.take_code(&code, address, now).await?;
        let (owner, hand_over) = read(&grant).ok_or(Notice::HandOverRefused)?;
        // The console goes by the store, so this does: it may know an instance, or a making of it, that the table has
        // not heard of yet. Only a code that was good comes so far, so nobody can have this done at will.
        self.looks.fresh().await;
        let site = self
            .table
            .get(label.as_str())
            .ok_or(Notice::HandOverRefused)?;
        let same_browser = challenge(pre)
            .as_bytes()
            .ct_eq(hand_over.challenge.as_bytes());
        let fits = bool::from(same_browser)
            && owner == site.route.owner
            && hand_over.tenant == site.route.tenant
            && hand_over.slug == site.route.slug;
        if !fits {
            return Err(Notice::HandOverRefused);
        }
        let ends = self
            .console_session_ends(&hand_over.session, owner, now)
            .await?;
        let session = self
            .put_session(&site, owner, ends.min(now.plus(SESSION_LASTS)), now)
            .await?;
        if let Err(ended) = self
            .console_session_ends(&hand_over.session, owner, now)
            .await
        {
            // Signed out meanwhile: that may have ended what there was before this session was written.
            let hash = SecretHash::of(session.expose_secret());
            let taken = self
                .access
                .take_grant(GrantKind::InstanceSession, hash, now);
            taken.await.map_err(unavailable)?;
            return Err(ended);
        }
        let cookie = cookies::set(cookies::INSTANCE, session.expose_secret(), None);
        let return_to = Url::parse(&site.origin)
            .map(|origin| return_path::from_query(query, "return_to", &origin, &[OWN_PATHS]))
            .unwrap_or_else(|_| return_path::HOME.to_owned());
        Ok(see_other(&return_to, cookie.as_slice(), asked))
    }

    /// The grant of a code, once. Anybody can invent codes, and taking is a write: so it is read first, and those of an
    /// address that are nobody's are counted.
    async fn take_code(
        &self,
        code: &str,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Grant, Notice> {
        let hash = SecretHash::of(code);
        let look = self.codes.look(address, hash);
        let look = look.map_err(|_wait| Notice::TooManyTries)?;
        match self.access.grant(GrantKind::HandOver, hash, now).await {
            Ok(Some(_)) => self.codes.unknown(look),
            Ok(None) => {
                self.codes.missed(look);
                return Err(Notice::HandOverRefused);
            }
            Err(error) => {
                self.codes.unknown(look);
                return Err(unavailable(error));
            }
        }
        let taken = self.access.take_grant(GrantKind::HandOver, hash, now).await;
        let taken = taken.map_err(unavailable)?;
        taken
            .filter(|grant| once::is_dated(grant, now))
            .ok_or(Notice::HandOverRefused)
    }

    /// When the console's session ends that the hand-over came from. One that has ended hands nothing over.
    async fn console_session_ends(
        &self,
        session: &str,
        owner: AccountId,
        now: Timestamp,
    ) -> Result<Timestamp, Notice> {
        let hash = hex::decode(session)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(SecretHash)
            .ok_or(Notice::HandOverRefused)?;
        self.access
            .grant(GrantKind::Session, hash, now)
            .await
            .map_err(unavailable)?
            .filter(|grant| grant.account == Some(owner))
            .map(|grant| grant.expires_at)
            .ok_or(Notice::HandOverRefused)
    }

    async fn put_session(
        &self,
        site: &Site,
        owner: AccountId,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<SecretString, Notice> {
        let session = secret::random(&*self.entropy);
        let audience = Audience {
            tenant: site.route.tenant,
            generation: site.route.generation,
        };
        let grant = Grant {
            kind: GrantKind::InstanceSession,
            secret: SecretHash::of(session.expose_secret()),
            account: Some(owner),
            // Two ids always serialise.
            data: serde_json::to_string(&audience).unwrap_or_default(),
            created_at: now,
            expires_at,
        };
        let hash = grant.secret;
        self.access.put_grant(grant).await.map_err(unavailable)?;
        self.gate.written(hash);
        Ok(session)
    }
}

fn read(grant: &Grant) -> Option<(AccountId, HandOver)> {
    Some((grant.account?, serde_json::from_str(&grant.data).ok()?))
}

fn single_code(query: &str) -> Option<String> {
    let mut codes = url::form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == "code");
    match (codes.next(), codes.next()) {
        (Some((_, code)), None) if code.len() <= 256 => Some(code.into_owned()),
        (Some(_), None | Some(_)) | (None, _) => None,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
fn unavailable(error: StoreError) -> Notice {
    tracing::warn!(error = %chain(&error), "a hand-over cannot be looked up");
    Notice::StoreUnavailable
}
