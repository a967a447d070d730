//! The connections of a page: so many at a time, and none for longer than it asks for something. Whoever reaches the page
//! can keep others from it for a while, and does nothing else to the process.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// A request whose header is not there within so long is none; the page asks every two seconds.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Far fewer than a process may have files.
const MOST_CONNECTIONS: usize = 128;

/// After an error, which may be that there are too many files.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves routes until the task is dropped.
pub(crate) async fn serve(listener: TcpListener, routes: Router) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    while let Ok(pass) = room.clone().acquire_owned().await {
        let Ok((socket, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
        let connection =
            http.serve_connection(TokioIo::new(socket), TowerToHyperService::new(routes.clone()));
        tokio::spawn(async move {
            // A browser that goes away is no concern of the page.
            let _ = connection.await;
            drop(pass);
        });
    }
}
