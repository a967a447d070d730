//! The page of a rehearsal, and the JSON that it lives on.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::json;
use tokio::net::TcpListener;

use super::endpoint::Endpoint;
use super::session::causes;
use crate::display::SECURITY;

const PAGE: &str = include_str!("page.html");

/// How many of each the page shows.
const SHOWN: u32 = 200;

/// Serves the page until the task is dropped.
pub(super) async fn serve(listener: TcpListener, endpoint: Arc<Endpoint>) {
    let page = async || {
        (
            SECURITY,
            [(header::CONTENT_TYPE, "text/html; charset=utf-8")],
            PAGE,
        )
    };
    let routes = Router::new()
        .route("/", get(page))
        .route("/state.json", get(state))
        .with_state(endpoint);
    // It ends with the process.
    let _ = axum::serve(listener, routes).await;
}

/// What is in the account, the newest first.
async fn state(State(endpoint): State<Arc<Endpoint>>) -> impl IntoResponse {
    let (status, document) = match endpoint.account.list(SHOWN) {
        Ok(listing) => (
            StatusCode::OK,
            json!({ "connected": endpoint.broker.connected(), "listing": listing }),
        ),
        Err(error) => (
            StatusCode::SERVICE_UNAVAILABLE,
            json!({ "error": { "message": causes(&error) } }),
        ),
    };
    (
        status,
        SECURITY,
        [(header::CONTENT_TYPE, "application/json")],
        document.to_string(),
    )
}
