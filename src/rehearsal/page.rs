//! The page of a rehearsal, and the JSON that it lives on.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::account::{AccountError, CertificateStatus};
use super::clock::Clock;
use super::endpoint::Endpoint;
use crate::causes::in_one_line;
use crate::display::{Names, document, html, serve_routes};

const PAGE: &str = include_str!("page.html");

/// How many of each the page shows.
const SHOWN: u32 = 200;

/// Serves the page until the task is dropped.
pub(super) async fn serve(listener: TcpListener, names: Names, endpoint: Arc<Endpoint>) {
    let routes = Router::new()
        .route("/", get(async || html(PAGE)))
        .route("/state.json", get(state))
        .with_state(endpoint);
    let routes = names.guard(routes);
    serve_routes(listener, routes).await;
}

async fn state(State(endpoint): State<Arc<Endpoint>>) -> impl IntoResponse {
    let (status, state) = match describe(&endpoint) {
        Ok(state) => (StatusCode::OK, state),
        Err(error) => (
            StatusCode::SERVICE_UNAVAILABLE,
            json!({ "error": { "message": in_one_line(&error) } }),
        ),
    };
    (status, document(state.to_string()))
}

/// What is in the account, the newest first. Pending certificates and refusals are there for themselves, since thousands
/// of devices that come up would push them out of the newest of all.
fn describe(endpoint: &Endpoint) -> Result<Value, AccountError> {
    let account = &endpoint.account;
    let refusals = account.refusals(SHOWN)?;
    Ok(json!({
        "at": Clock::milliseconds(),
        "account": endpoint.home.account,
        "region": endpoint.home.region,
        "connected": endpoint.broker.connected(),
        "listing": account.list(SHOWN)?,
        "pending": account.certificates(Some(CertificateStatus::PendingActivation), SHOWN)?,
        "eventsKept": refusals.events,
        "refusals": refusals,
    }))
}
