//! `certforge station serve`.

use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use certforge::display::{Display, Names, serve};
use certforge::metrics::Metrics;
use certforge::station::Watch;
use clap::Args;
use time::OffsetDateTime;

use super::{BatchArgs, SilentArgs};
use crate::cli::Failure;
use crate::cli::report::{Ended, Outcome, Printer};

/// Between two looks at the claims, at least.
const PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub struct Serve {
    /// Address and port to listen on; port 0 takes a free one. Whoever reaches it may read the page
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    http: SocketAddr,
    /// Name by which the page may be called, besides addresses and localhost; may be given again
    #[arg(long = "http-name", value_name = "NAME")]
    http_names: Vec<String>,
    #[command(flatten)]
    silent: SilentArgs,
    #[command(flatten)]
    batch: BatchArgs,
}

impl Serve {
    pub fn run(&self, printer: Printer) -> Outcome {
        let (store, batch, cache) = self.batch.open()?;
        let busy = |error: std::io::Error| {
            Failure::usage(
                &format!("nobody can listen on {}: {error}", self.http),
                "choose another address or port with --http",
            )
        };
        let listener = TcpListener::bind(self.http).map_err(busy)?;
        let address = listener.local_addr().map_err(busy)?;
        let display = Arc::new(Display::default());
        let shown = display.clone();
        let silent_after = self.silent.after();
        // Ends with the process: it only reads.
        std::thread::spawn(move || {
            let mut watch = Watch::default();
            loop {
                let begun = Instant::now();
                let look = || match watch.refresh(&store, &batch, &cache) {
                    Ok(()) => {
                        let now = OffsetDateTime::now_utc();
                        let overview = watch.overview(&batch, store.location(), now, silent_after);
                        shown.show(&overview, overview.metrics());
                    }
                    Err(error) => shown.fail(&Failure::of(&error), unreadable()),
                };
                // What was known may be half of it then: it is read anew.
                if catch_unwind(AssertUnwindSafe(look)).is_err() {
                    let failure = Failure::station(
                        "the claims cannot be looked at: something went wrong that should not have",
                        "the terminal of this command has the details; `certforge station status` may tell more",
                    );
                    shown.fail(&failure, unreadable());
                    watch = Watch::default();
                }
                // Listing a large batch takes long, and costs something: then it is done less often.
                std::thread::sleep(PAUSE.max(begun.elapsed() * 4));
            }
        });
        printer.tell(format_args!("http://{address}\n"));
        serve(listener, Names::new(&self.http_names), display).map_err(busy)?;
        Ok(Ended::silent())
    }
}

/// What metrics say when there is nothing to say.
fn unreadable() -> Metrics {
    let mut metrics = Metrics::default();
    metrics
        .gauge("certforge_batch_readable", "Whether the claims could be read.")
        .sample(&[], false);
    metrics
}
