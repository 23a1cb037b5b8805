//! A small model behind the API that most providers speak: it answers every message with the same words.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The keys that the operator gives to every instance, one after the other.
pub(crate) const KEYS: [&str; 2] = ["sk-of-the-end-to-end-test", "sk-given-later"];
/// What it says.
pub(crate) const ANSWER: &str = "The model says pong-4711";

/// Which model was asked with which of the keys, oldest first.
type Asked = Arc<Mutex<Vec<(&'static str, String)>>>;

/// A running model server; it ends when dropped.
pub(crate) struct ModelServer {
    /// Where it is.
    pub(crate) address: SocketAddr,
    asked: Asked,
    task: JoinHandle<()>,
}

impl ModelServer {
    /// Serves at an address of this machine that instances reach.
    pub(crate) async fn start(address: IpAddr) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Asked::default();
        let router = Router::new()
            .route("/v1/chat/completions", post(complete))
            .with_state(Arc::clone(&asked));
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self {
            address,
            asked,
            task,
        }
    }

    /// Which model it was asked for last, and with which of its keys.
    pub(crate) fn asked_last(&self) -> Option<(&'static str, String)> {
        self.asked.lock().unwrap().last().cloned()
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn complete(
    State(asked): State<Asked>,
    headers: HeaderMap,
    request: axum::Json<Value>,
) -> Response {
    let given = headers.get(AUTHORIZATION);
    let given = given.and_then(|given| given.to_str().ok()?.strip_prefix("Bearer "));
    let Some(key) = KEYS.into_iter().find(|key| given == Some(*key)) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let model = request["model"].as_str().unwrap_or_default().to_owned();
    asked.lock().unwrap().push((key, model));
    let chunk = |choices: Value| {
        let chunk = json!({
            "id": "answer",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": request["model"],
            "choices": choices,
            "usage": { "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15 },
        });
        format!("data: {chunk}\n\n")
    };
    let mut body = String::new();
    for word in ANSWER.split_inclusive(' ') {
        body += &chunk(json!([{
            "index": 0,
            "delta": { "role": "assistant", "content": word },
            "finish_reason": null,
        }]));
    }
    body += &chunk(json!([{ "index": 0, "delta": {}, "finish_reason": "stop" }]));
    body += "data: [DONE]\n\n";
    ([(CONTENT_TYPE, "text/event-stream")], body).into_response()
}
