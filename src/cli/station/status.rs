//! `certforge station status`.

use std::fmt::{self, Formatter};

use certforge::printable;
use certforge::profile::rfc3339;
use certforge::station::{Damaged, Overview, StationOverview, Watch};
use clap::Args;
use serde::Serialize;
use time::OffsetDateTime;

use super::{BatchArgs, SilentArgs};
use crate::cli::report::{Ended, Outcome};
use crate::cli::text::{Lines, count, devices, whole};

/// Stale claims, failures and damaged objects that are shown to people.
const SHOWN: usize = 10;

#[derive(Debug, Args)]
pub struct Status {
    /// Print a JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    silent: SilentArgs,
    #[command(flatten)]
    batch: BatchArgs,
}

/// What became of a batch.
#[derive(Serialize)]
struct Seen(Overview);

impl Status {
    pub fn run(&self) -> Outcome {
        let (store, batch, cache) = self.batch.open()?;
        let mut watch = Watch::default();
        watch.refresh(&store, &batch, &cache)?;
        let (now, silent_after) = (OffsetDateTime::now_utc(), self.silent.after());
        let overview = watch.overview(&batch, store.location(), now, silent_after);
        Ok(Ended::with(Seen(overview)))
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(overview) = self;
        totals(overview).fmt(f)?;
        if !overview.stations.is_empty() {
            writeln!(f)?;
            table(&overview.stations, f)?;
        }
        if !overview.stale_claims.is_empty() {
            writeln!(f, "\nclaims whose lease is over")?;
            for stale in overview.stale_claims.iter().take(SHOWN) {
                let (id, station) = (&stale.device_id, printable::line(&stale.station));
                let (since, until) = (rfc3339(stale.claimed_at), rfc3339(stale.lease_until));
                writeln!(f, "  {id} at {station} since {since}, until {until}")?;
            }
            more(overview.stale, f)?;
        }
        if !overview.failures.is_empty() {
            writeln!(f, "\nfailed or scrapped, the last ones first")?;
            for failure in overview.failures.iter().take(SHOWN) {
                let (id, state, station) = (
                    &failure.device_id,
                    failure.state,
                    printable::line(&failure.station),
                );
                let (at, attempt) = (rfc3339(failure.at), failure.attempt);
                write!(f, "  {id} {state} at {station} at {at}, attempt {attempt}")?;
                if let Some(reason) = &failure.reason {
                    write!(f, ": {}", printable::line(reason))?;
                }
                writeln!(f)?;
            }
            more(overview.failed + overview.scrapped, f)?;
        }
        if !overview.damaged_claims.is_empty() {
            writeln!(
                f,
                "\nclaims that cannot be read: nobody can tell what became of their devices"
            )?;
            list_damaged(&overview.damaged_claims, overview.damaged, f)?;
        }
        Ok(())
    }
}

fn totals(overview: &Overview) -> Lines {
    let mut lines = Lines::default();
    lines.line("batch", format!("{} in {}", overview.batch, overview.location));
    if let Some(record) = &overview.withdrawn {
        lines.line("withdrawn", record.to_string());
    }
    let flashed = format!("{} of {}", count(overview.flashed), devices(overview.devices));
    let rate = format!("{} devices/hour", count(whole(overview.devices_per_hour)));
    lines
        .line("flashed", flashed)
        .line("left", count(overview.left))
        .line("claimed", count(overview.claimed))
        .line("stale", count(overview.stale))
        .line("failed", count(overview.failed))
        .line("scrapped", count(overview.scrapped));
    if overview.damaged > 0 {
        lines.line("damaged", count(overview.damaged));
    }
    lines.line(
        "rate",
        match overview.complete_at {
            Some(at) => format!("{rate}; all flashed at about {}", rfc3339(at)),
            None => rate,
        },
    );
    lines
}

/// What cannot be used, and why, of so many.
pub fn list_damaged<'a>(
    damaged: impl IntoIterator<Item = &'a Damaged>,
    all: u64,
    f: &mut Formatter<'_>,
) -> fmt::Result {
    for Damaged { object, reason } in damaged.into_iter().take(SHOWN) {
        match reason.contains(object) {
            true => writeln!(f, "  {}", printable::line(reason))?,
            false => writeln!(f, "  {}: {}", printable::line(object), printable::line(reason))?,
        }
    }
    more(all, f)
}

fn more(all: u64, f: &mut Formatter<'_>) -> fmt::Result {
    match all.saturating_sub(SHOWN as u64) {
        0 => Ok(()),
        more => writeln!(f, "  and {} more", count(more)),
    }
}

/// When a station was last heard of, and whether that is long ago.
fn last(station: &StationOverview) -> String {
    let at = rfc3339(station.last_at);
    match station.silent_minutes {
        Some(minutes) => format!("{at}, SILENT for {} min", count(minutes)),
        None => at,
    }
}

/// A column is no wider, whatever others wrote: padding ends at `u16::MAX`.
const WIDEST: usize = 64;

fn table(stations: &[StationOverview], f: &mut Formatter<'_>) -> fmt::Result {
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
            printable::line(&station.station).into_owned(),
            count(station.claimed),
            count(station.stale),
            count(station.flashed),
            count(station.failed),
            count(station.scrapped),
            count(whole(station.devices_per_hour)),
            last(station),
        ]
    });
    let rows: Vec<[String; 8]> = std::iter::once(header).chain(rows).collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
            .min(WIDEST)
    };
    let widths: [usize; 8] = std::array::from_fn(width);
    for row in &rows {
        for (i, (cell, width)) in row.iter().zip(widths).enumerate() {
            match i {
                0 => write!(f, "{cell:width$}"),
                7 => write!(f, "  {cell}"),
                _ => write!(f, "  {cell:>width$}"),
            }?;
        }
        writeln!(f)?;
    }
    Ok(())
}
