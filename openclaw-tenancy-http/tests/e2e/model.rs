//! A small model behind the API that most providers speak: it answers every message with the same words.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The key that the operator gives to every instance.
pub(crate) const KEY: &str = "sk-of-the-end-to-end-test";
/// What it says.
pub(crate) const ANSWER: &str = "The model says pong-4711";

/// A running model server; it ends when dropped.
pub(crate) struct ModelServer {
    /// Where it is.
    pub(crate) address: SocketAddr,
    asked: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl ModelServer {
    /// Serves at an address of this machine that instances reach.
    pub(crate) async fn start(address: IpAddr) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
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

    /// How often it was asked with the right key.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn complete(
    State(asked): State<Arc<AtomicUsize>>,
    headers: HeaderMap,
    request: axum::Json<Value>,
) -> Response {
    if headers.get(AUTHORIZATION).is_none_or(|given| {
        given
            .to_str()
            .ok()
            .and_then(|text| text.strip_prefix("Bearer "))
            != Some(KEY)
    }) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    asked.fetch_add(1, Ordering::SeqCst);
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
