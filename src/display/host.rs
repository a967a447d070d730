//! The names by which a page is called. A page of somebody else's can have its own name lead to this machine (DNS
//! rebinding), and a browser then takes ours for a part of it: so a name that nobody gave is refused.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};

/// Names that a page answers to, besides every address and localhost: an address is nobody's to redirect.
#[derive(Debug, Clone, Default)]
pub struct Names(Arc<[String]>);

impl Names {
    #[must_use]
    pub fn new(names: &[String]) -> Self {
        Self(names.iter().map(|name| name.to_ascii_lowercase()).collect())
    }

    /// Lets through only what is meant for the page.
    pub(crate) fn guard(self, routes: Router) -> Router {
        routes.layer(middleware::from_fn_with_state(self, check))
    }

    fn are_meant_by(&self, request: &Request) -> bool {
        let of_header = request.headers().get(header::HOST);
        let hosts = [
            of_header.map(|host| host.to_str().unwrap_or_default()),
            request.uri().authority().map(Authority::as_str),
        ];
        let mut hosts = hosts.into_iter().flatten().peekable();
        hosts.peek().is_some() && hosts.all(|host| self.has(host))
    }

    fn has(&self, host: &str) -> bool {
        let name = without_port(host).trim_end_matches('.').to_ascii_lowercase();
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        match bare {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => {
                name == "localhost" || matches!(name.parse(), Ok(IpAddr::V4(_))) || self.0.contains(&name)
            }
        }
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

async fn check(State(names): State<Names>, request: Request, next: Next) -> Response {
    match names.are_meant_by(&request) {
        true => next.run(request).await,
        false => (StatusCode::MISDIRECTED_REQUEST, super::SECURITY, REFUSAL).into_response(),
    }
}

const REFUSAL: &str = "This page does not answer to that name. Open it by its address, such as http://127.0.0.1:8090, \
    or give the name to the command that serves it: --http-name NAME\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_to_addresses_and_to_names_that_were_given() {
        let names = Names::new(&["Line7.factory.example".to_owned()]);
        for host in [
            "127.0.0.1:8090",
            "192.168.1.7",
            "[::1]:8090",
            "[fe80::1]",
            "localhost",
            "LOCALHOST:1",
            "line7.factory.example:8090",
            "line7.factory.example.",
        ] {
            assert!(names.has(host), "{host}");
        }
        for host in [
            "",
            ":8090",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8090",
            "evil.example@127.0.0.1",
            "[evil.example]",
            "::1",
            "factory.example",
        ] {
            assert!(!names.has(host), "{host}");
        }
    }
}
