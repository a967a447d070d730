//! `certforge station status`.

use std::fmt::Write;
use std::process::ExitCode;

use certforge::profile::rfc3339;
use certforge::station::{Overview, StationOverview, Watch};
use clap::Args;
use time::OffsetDateTime;

use super::{BatchArgs, Outcome};
use crate::cli::text::{Report, count, devices, whole};
use crate::cli::{print, print_json};

/// Stale claims and failures that are shown to people.
const SHOWN: usize = 10;

#[derive(Debug, Args)]
pub struct Status {
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    batch: BatchArgs,
}

impl Status {
    pub fn run(&self) -> Outcome {
        let (store, batch, _) = self.batch.open()?;
        let mut watch = Watch::default();
        watch.refresh(&*store)?;
        let overview = watch.overview(&batch, store.location(), OffsetDateTime::now_utc());
        if self.json {
            print_json(&overview);
        } else {
            print(&text(&overview));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn text(overview: &Overview) -> String {
    let mut report = Report::default();
    report.line("batch", format!("{} in {}", overview.batch, overview.location));
    if let Some(record) = &overview.withdrawn {
        report.line("withdrawn", record.to_string());
    }
    report
        .line(
            "flashed",
            format!("{} of {}", count(overview.flashed), devices(overview.devices)),
        )
        .line("left", count(overview.left))
        .line("claimed", count(overview.claimed))
        .line("stale", count(overview.stale))
        .line("failed", count(overview.failed))
        .line("scrapped", count(overview.scrapped));
    let rate = format!("{} devices/hour", count(whole(overview.devices_per_hour)));
    report.line(
        "rate",
        match overview.complete_at {
            Some(at) => format!("{rate}; all flashed at about {}", rfc3339(at)),
            None => rate,
        },
    );
    let mut text = report.to_string();
    if !overview.stations.is_empty() {
        text.push('\n');
        table(&overview.stations, &mut text);
    }
    if !overview.stale_claims.is_empty() {
        let _ = writeln!(text, "\nclaims whose lease is over");
        for stale in overview.stale_claims.iter().take(SHOWN) {
            let _ = writeln!(
                text,
                "  {} at {} since {}, until {}",
                stale.device_id,
                stale.station,
                rfc3339(stale.claimed_at),
                rfc3339(stale.lease_until)
            );
        }
        more(overview.stale, &mut text);
    }
    if !overview.failures.is_empty() {
        let _ = writeln!(text, "\nfailed or scrapped, the last ones first");
        for failure in overview.failures.iter().take(SHOWN) {
            let reason = failure
                .reason
                .as_ref()
                .map_or(String::new(), |reason| format!(": {}", plain(reason)));
            let _ = writeln!(
                text,
                "  {} {} at {} at {}, attempt {}{reason}",
                failure.device_id,
                failure.state,
                failure.station,
                rfc3339(failure.at),
                failure.attempt
            );
        }
        more(overview.failed + overview.scrapped, &mut text);
    }
    text
}

/// Somebody else wrote it: nothing in it reaches the terminal as anything but text.
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

fn more(all: u64, text: &mut String) {
    if all > SHOWN as u64 {
        let _ = writeln!(text, "  and {} more", count(all - SHOWN as u64));
    }
}

fn table(stations: &[StationOverview], text: &mut String) {
    let header = [
        "station",
        "claimed",
        "stale",
        "flashed",
        "failed",
        "scrapped",
        "devices/hour",
        "last",
    ]
    .map(str::to_owned);
    let rows = stations.iter().map(|station| {
        [
            plain(&station.station),
            count(station.claimed),
            count(station.stale),
            count(station.flashed),
            count(station.failed),
            count(station.scrapped),
            count(whole(station.devices_per_hour)),
            rfc3339(station.last_at),
        ]
    });
    let rows: Vec<[String; 8]> = std::iter::once(header).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    for row in &rows {
        for (i, (cell, width)) in row.iter().zip(widths).enumerate() {
            let _ = match i {
                0 => write!(text, "{cell:width$}"),
                7 => write!(text, "  {cell}"),
                _ => write!(text, "  {cell:>width$}"),
            };
        }
        text.push('\n');
    }
}
