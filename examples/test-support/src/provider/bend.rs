//! What can be bent, and how.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// An address of the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// `/.well-known/openid-configuration`
    Discovery,
    /// `/jwks`
    Jwks,
    /// `/authorize`
    Authorize,
    /// `/token`
    Token,
    /// `/userinfo`
    Userinfo,
    /// `/elsewhere`: where a redirect would lead, and nobody should ever ask.
    Elsewhere,
}

/// An endpoint that misbehaves as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// 302 to the same content elsewhere.
    Redirect,
    /// 200, then a byte now and then, for ever.
    Drip,
    /// 200, then 100 MB.
    Huge,
    /// Accepts and never answers.
    Silent,
    /// This status with this body.
    Status(u16, &'static str),
    /// 200 with these very bytes.
    Body(String),
}

/// How tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Signature {
    /// As they should be.
    #[default]
    Good,
    /// One bit of it is wrong.
    Broken,
    /// `alg: none`, and no signature.
    None,
    /// By a key of somebody else under the `kid` of ours.
    Stranger,
    /// HS256 with the public key as the secret.
    HmacOfPublicKey,
}

/// Changes a JSON document before it is sent.
pub type Edit = Box<dyn Fn(&mut Value) + Send + Sync>;
/// Changes the parameters of the redirect back.
pub type EditPairs = Box<dyn Fn(&mut Vec<(String, String)>) + Send + Sync>;
/// Changes the text of the claims before they are signed.
pub type EditText = Box<dyn Fn(String) -> String + Send + Sync>;

/// Everything about a provider that a test may bend. Straight by default.
pub struct Bends {
    /// The discovery document.
    pub discovery: Edit,
    /// The key set.
    pub jwks: Edit,
    /// The parameters of the authorization response.
    pub redirect: EditPairs,
    /// The ID token's header.
    pub header: Edit,
    /// The ID token's claims.
    pub claims: Edit,
    /// The ID token's claims as text: duplicate keys and the like.
    pub claims_text: EditText,
    /// The ID token's signature.
    pub signature: Signature,
    /// The token response.
    pub token_response: Edit,
    /// The `UserInfo` response.
    pub userinfo: Edit,
    /// Whole endpoints.
    pub faults: BTreeMap<Endpoint, Fault>,
}

impl Default for Bends {
    fn default() -> Self {
        Self {
            discovery: Box::new(|_| {}),
            jwks: Box::new(|_| {}),
            redirect: Box::new(|_| {}),
            header: Box::new(|_| {}),
            claims: Box::new(|_| {}),
            claims_text: Box::new(|text| text),
            signature: Signature::Good,
            token_response: Box::new(|_| {}),
            userinfo: Box::new(|_| {}),
            faults: BTreeMap::new(),
        }
    }
}

impl fmt::Debug for Bends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bends")
            .field("signature", &self.signature)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

/// An edit that sets the field `name` to `value`.
#[must_use]
pub fn set(name: &'static str, value: Value) -> Edit {
    Box::new(move |document| document[name] = value.clone())
}

/// An edit that removes the field `name`.
#[must_use]
pub fn remove(name: &'static str) -> Edit {
    Box::new(move |document| {
        document.as_object_mut().map(|map| map.remove(name));
    })
}
