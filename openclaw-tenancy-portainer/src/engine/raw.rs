//! Calls that the client library has no words for.

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Engine;
use super::error::Failure;

impl Engine {
    /// Posts `body` as JSON to `path` and reads the JSON answer.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, Failure> {
        let lost = |e: Box<dyn std::error::Error + Send + Sync>| Failure::Lost(e);
        let body = serde_json::to_vec(body).map_err(|e| lost(e.into()))?;
        let request = Request::post(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(bollard::body_full(Bytes::from(body)))
            .map_err(|e| lost(e.into()))?;
        let answer = self
            .transport
            .send(request)
            .await
            .map_err(|e| lost(e.into()))?;
        let status = answer.status();
        let body = answer
            .into_body()
            .collect()
            .await
            .map_err(|e| lost(e.into()))?
            .to_bytes();
        if !status.is_success() {
            return Err(self.note(Failure::answered(status.as_u16(), &body)));
        }
        serde_json::from_slice(&body).map_err(|e| lost(e.into()))
    }
}
