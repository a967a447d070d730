//! The page of a rehearsal, the JSON that it lives on, and metrics.

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
use super::event::EventKind;
use crate::causes::in_one_line;
use crate::display::{Names, document, html, numbers, serve_routes};
use crate::metrics::Metrics;

const PAGE: &str = include_str!("page.html");

/// How many of each the page shows.
const SHOWN: u32 = 200;

/// Serves the page until the task is dropped.
pub(super) async fn serve(listener: TcpListener, names: Names, endpoint: Arc<Endpoint>) {
    let routes = Router::new()
        .route("/", get(async || html(PAGE)))
        .route("/state.json", get(state))
        .route("/metrics", get(metrics))
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

async fn metrics(State(endpoint): State<Arc<Endpoint>>) -> impl IntoResponse {
    numbers(measure(&endpoint).into_text())
}

/// What is in the account and happens at the endpoint, in numbers.
fn measure(endpoint: &Endpoint) -> Metrics {
    let mut metrics = Metrics::default();
    let counts = endpoint.account.counts();
    metrics
        .gauge("certforge_rehearsal_readable", "Whether the state could be read.")
        .sample(&[], counts.is_ok());
    metrics
        .gauge("certforge_rehearsal_connected", "Devices that are connected.")
        .sample(&[], endpoint.broker.connected());
    let mut events = metrics.counter("certforge_rehearsal_events_total", "What happened, by kind.");
    for kind in EventKind::ALL {
        events.sample(&[("kind", kind.as_str())], endpoint.events_of(kind));
    }
    if let Ok(counts) = counts {
        let mut certificates = metrics.gauge(
            "certforge_rehearsal_certificates",
            "Registered certificates, by status.",
        );
        for (status, number) in [
            ("ACTIVE", counts.active),
            ("INACTIVE", counts.inactive),
            ("PENDING_ACTIVATION", counts.pending_activation),
            ("REVOKED", counts.revoked),
        ] {
            certificates.sample(&[("status", status)], number);
        }
        metrics
            .gauge("certforge_rehearsal_things", "Things that were made.")
            .sample(&[], counts.things);
        metrics
            .gauge(
                "certforge_rehearsal_policies",
                "Policies that were made or given.",
            )
            .sample(&[], counts.policies);
    }
    metrics
}
