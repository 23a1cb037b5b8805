//! Real signature keys, made with aws-lc directly: the code under test is not its own oracle.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A private key with the algorithm it signs with.
#[derive(Debug)]
pub enum Pair {
    /// RS256.
    Rs256(Arc<RsaKeyPair>),
    /// PS256.
    Ps256(Arc<RsaKeyPair>),
    /// ES256.
    Es256(EcdsaKeyPair),
    /// `EdDSA` on Ed25519.
    EdDsa(Ed25519KeyPair),
}

/// A provider's key.
#[derive(Debug)]
pub struct SigningKey {
    /// Its `kid`; `None` leaves it out of header and key set.
    pub kid: Option<String>,
    /// The key itself.
    pub pair: Pair,
}

impl SigningKey {
    /// A new RS256 key of 2048 bits.
    ///
    /// # Panics
    /// When the library cannot make a key, like everything in this module.
    #[must_use]
    pub fn rs256(kid: &str) -> Self {
        Self {
            kid: Some(kid.to_owned()),
            pair: Pair::Rs256(rsa()),
        }
    }

    /// The `number`th RS256 key of this process, made when first asked for: an RSA key takes a third of a
    /// second unoptimised, and most tests do not care which one it is.
    #[must_use]
    pub fn pooled(kid: &str, number: usize) -> Self {
        static POOL: Mutex<Vec<Arc<RsaKeyPair>>> = Mutex::new(Vec::new());
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        while pool.len() <= number {
            pool.push(rsa());
        }
        Self {
            kid: Some(kid.to_owned()),
            pair: Pair::Rs256(Arc::clone(&pool[number])),
        }
    }

    /// A new PS256 key of 2048 bits.
    #[must_use]
    pub fn ps256(kid: &str) -> Self {
        Self {
            kid: Some(kid.to_owned()),
            pair: Pair::Ps256(rsa()),
        }
    }

    /// A new ES256 key.
    #[must_use]
    pub fn es256(kid: &str) -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a P-256 key");
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref()).expect("our own key");
        Self {
            kid: Some(kid.to_owned()),
            pair: Pair::Es256(pair),
        }
    }

    /// A new Ed25519 key.
    #[must_use]
    pub fn ed25519(kid: &str) -> Self {
        let pair = Ed25519KeyPair::generate().expect("an Ed25519 key");
        Self {
            kid: Some(kid.to_owned()),
            pair: Pair::EdDsa(pair),
        }
    }

    /// The Ed25519 key of a seed: its signatures are the same in every run.
    #[must_use]
    pub fn ed25519_of(kid: &str, seed: &[u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("an Ed25519 key");
        Self {
            kid: Some(kid.to_owned()),
            pair: Pair::EdDsa(pair),
        }
    }

    /// The same without a `kid`.
    #[must_use]
    pub fn without_kid(mut self) -> Self {
        self.kid = None;
        self
    }

    /// The header's `alg`.
    #[must_use]
    pub const fn alg(&self) -> &'static str {
        match self.pair {
            Pair::Rs256(_) => "RS256",
            Pair::Ps256(_) => "PS256",
            Pair::Es256(_) => "ES256",
            Pair::EdDsa(_) => "EdDSA",
        }
    }

    /// The public half as a JWK.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.pair {
            Pair::Rs256(pair) | Pair::Ps256(pair) => json!({
                "kty": "RSA",
                "n": encode(pair.public_key().modulus().big_endian_without_leading_zero()),
                "e": encode(pair.public_key().exponent().big_endian_without_leading_zero()),
            }),
            Pair::Es256(pair) => {
                // 0x04, then both coordinates.
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) })
            }
            Pair::EdDsa(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref()) })
            }
        };
        jwk["alg"] = json!(self.alg());
        jwk["use"] = json!("sig");
        if let Some(kid) = &self.kid {
            jwk["kid"] = json!(kid);
        }
        jwk
    }

    /// The public half as DER: what an attacker uses as an HMAC secret.
    #[must_use]
    pub fn public_der(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Rs256(pair) | Pair::Ps256(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Es256(pair) => pair.public_key().as_ref().to_vec(),
            Pair::EdDsa(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// Signs `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .expect("signs");
                signature
            }
            Pair::Ps256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PSS_SHA256, &random, message, &mut signature)
                    .expect("signs");
                signature
            }
            Pair::Es256(pair) => pair
                .sign(&random, message)
                .expect("signs")
                .as_ref()
                .to_vec(),
            Pair::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A signed token of this header and these claims. `alg` and `kid` are added to the header unless it has them.
    #[must_use]
    pub fn token(&self, header: &Value, claims: &Value) -> String {
        let mut full = json!({ "alg": self.alg(), "typ": "JWT" });
        if let Some(kid) = &self.kid {
            full["kid"] = json!(kid);
        }
        for (name, value) in header.as_object().into_iter().flatten() {
            full[name] = value.clone();
        }
        self.token_of_text(&full.to_string(), &claims.to_string())
    }

    /// A signed token of these very texts, whatever they are.
    #[must_use]
    pub fn token_of_text(&self, header: &str, claims: &str) -> String {
        let message = compact(header, claims);
        let signature = URL_SAFE_NO_PAD.encode(self.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }
}

/// Header and claims in compact form, without a signature.
#[must_use]
pub fn compact(header: &str, claims: &str) -> String {
    format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    )
}

/// `message` signed with HS256 under `secret`.
#[must_use]
pub fn hs256(message: &str, secret: &[u8]) -> String {
    use aws_lc_rs::hmac;

    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, secret),
        message.as_bytes(),
    );
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// A key that no provider here has.
#[must_use]
pub fn strangers() -> &'static SigningKey {
    static STRANGER: OnceLock<SigningKey> = OnceLock::new();
    STRANGER.get_or_init(|| SigningKey::rs256("stranger"))
}

fn rsa() -> Arc<RsaKeyPair> {
    Arc::new(RsaKeyPair::generate(KeySize::Rsa2048).expect("an RSA key"))
}
