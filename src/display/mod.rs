//! The line display: one page that shows what becomes of a batch, and the JSON that it lives on.
//!
//! Only public facts are served. The page asks for `/status.json` every two seconds; `/metrics` has the same for
//! Prometheus.

mod host;
mod listen;

use std::io;
use std::net::TcpListener;
use std::sync::{Arc, RwLock};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use serde::Serialize;
use serde_json::json;

use crate::metrics::{CONTENT_TYPE, Metrics};

pub use host::Names;
pub(crate) use listen::serve as serve_routes;

const PAGE: &str = include_str!("page.html");

/// The page has no part from elsewhere, and names in it are text.
const SECURITY: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

/// What is shown at the moment.
#[derive(Debug, Default)]
pub struct Display(RwLock<Shown>);

#[derive(Debug, Clone, Default)]
enum Shown {
    #[default]
    Nothing,
    Overview {
        json: String,
        metrics: String,
    },
    Failure {
        json: String,
        metrics: String,
    },
}

impl Display {
    /// Shows an overview of the batch.
    pub fn show(&self, overview: &impl Serialize, metrics: Metrics) {
        let json = serde_json::to_string(overview).expect("an overview has only text keys");
        let metrics = metrics.into_text();
        *self.0.write().expect("no holder panics") = Shown::Overview { json, metrics };
    }

    /// Shows that there is nothing to show, and why; the metrics say only that it is so.
    pub fn fail(&self, error: &impl Serialize, metrics: Metrics) {
        let json = json!({ "error": error }).to_string();
        let metrics = metrics.into_text();
        *self.0.write().expect("no holder panics") = Shown::Failure { json, metrics };
    }
}

/// Serves the page until the process ends, to those who call it by an address or by one of its names.
///
/// # Errors
///
/// When it cannot listen.
pub fn serve(listener: TcpListener, names: Names, display: Arc<Display>) -> io::Result<()> {
    let routes = Router::new()
        .route("/", get(async || html(PAGE)))
        .route("/status.json", get(status))
        .route("/metrics", get(metrics))
        .with_state(display);
    let routes = names.guard(routes);
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        serve_routes(listener, routes).await;
        Ok(())
    })
}

async fn status(State(display): State<Arc<Display>>) -> impl IntoResponse {
    let shown = display.0.read().expect("no holder panics").clone();
    let (status, json) = match shown {
        Shown::Overview { json, .. } => (StatusCode::OK, json),
        Shown::Failure { json, .. } => (StatusCode::SERVICE_UNAVAILABLE, json),
        Shown::Nothing => (
            StatusCode::SERVICE_UNAVAILABLE,
            json!({ "error": { "message": "the claims are being read" } }).to_string(),
        ),
    };
    (status, document(json))
}

async fn metrics(State(display): State<Arc<Display>>) -> impl IntoResponse {
    let shown = display.0.read().expect("no holder panics").clone();
    match shown {
        // That the claims cannot be read is a metric too.
        Shown::Overview { metrics, .. } | Shown::Failure { metrics, .. } => {
            (StatusCode::OK, numbers(metrics))
        }
        Shown::Nothing => (StatusCode::SERVICE_UNAVAILABLE, numbers(String::new())),
    }
}

/// A page, with the script that all pages share.
pub(crate) fn html(page: &str) -> impl IntoResponse {
    let kind = "text/html; charset=utf-8";
    let page = page.replace("/* live.js */", include_str!("live.js"));
    (SECURITY, [(header::CONTENT_TYPE, kind)], page)
}

/// What a page lives on.
pub(crate) fn document(json: String) -> impl IntoResponse {
    (SECURITY, [(header::CONTENT_TYPE, "application/json")], json)
}

/// Metrics, as Prometheus reads them.
pub(crate) fn numbers(text: String) -> impl IntoResponse {
    (SECURITY, [(header::CONTENT_TYPE, CONTENT_TYPE)], text)
}
