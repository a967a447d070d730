//! `run --metrics`: how a run ended, for the textfile collector of Prometheus' node exporter.

use std::path::Path;

use certforge::forge::Summary;
use certforge::metrics::Metrics;
use certforge::whole;
use time::OffsetDateTime;

use super::Failure;

/// Refuses a file that the collector would not read, before anything is made.
pub fn check(path: &Path) -> Result<(), Failure> {
    let is_prom = path.extension().is_some_and(|extension| extension == "prom");
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match (is_prom, folder.is_none_or(Path::is_dir)) {
        (true, true) => Ok(()),
        (false, _) => Err(Failure::usage(
            &format!(
                "--metrics {} is not named as the collector asks for",
                path.display()
            ),
            "give it a name that ends in .prom, in the folder of --collector.textfile.directory",
        )),
        (true, false) => Err(Failure::usage(
            &format!("--metrics {}: there is no such folder", path.display()),
            "make it, or name the folder of --collector.textfile.directory",
        )),
    }
}

/// Writes how a run ended; `None`: it was refused, and nothing was made.
pub fn write(
    path: &Path,
    summary: Option<&Summary>,
    profile: &str,
    now: OffsetDateTime,
) -> Result<(), Failure> {
    let text = text(summary, profile, now);
    whole::write(path, text.as_bytes(), 0o644).map_err(|error| {
        Failure::usage(
            &format!("metrics cannot be written to {}: {error}", path.display()),
            "what was made is not touched by that: `certforge status` shows it; name a file that you may write to",
        )
    })
}

fn text(summary: Option<&Summary>, profile: &str, now: OffsetDateTime) -> String {
    let mut metrics = Metrics::default();
    let batch = summary.map_or("", |summary| summary.batch.as_str());
    let labels = [("batch", batch), ("profile", profile)];
    let went_well = summary
        .is_some_and(|summary| summary.failure.is_none() && !summary.interrupted && summary.failed == 0);
    metrics
        .gauge(
            "certforge_run_success",
            "Whether the last run made all that it was to make.",
        )
        .sample(&labels, went_well);
    metrics
        .gauge("certforge_run_end_timestamp_seconds", "When the last run ended.")
        .sample(&labels, now.unix_timestamp());
    let Some(summary) = summary else {
        return metrics.into_text();
    };
    let mut devices = metrics.gauge(
        "certforge_run_devices",
        "Devices of the last run, by what became of them.",
    );
    let left = summary
        .devices
        .saturating_sub(summary.made + summary.skipped + summary.failed);
    for (state, count) in [
        ("made", summary.made),
        ("made_before", summary.skipped),
        ("failed", summary.failed),
        ("left", left),
    ] {
        devices.sample(&[labels[0], labels[1], ("state", state)], count);
    }
    metrics
        .gauge("certforge_run_duration_seconds", "How long the last run took.")
        .sample(&labels, summary.elapsed.as_secs_f64());
    metrics
        .gauge(
            "certforge_run_sealed",
            "Whether the batch is complete and sealed.",
        )
        .sample(&labels, summary.sealed);
    if let Some(ends) = summary.valid_until {
        metrics
            .gauge(
                "certforge_batch_not_after_timestamp_seconds",
                "When the first certificate of the batch ends.",
            )
            .sample(&labels, ends.earliest.unix_timestamp());
    }
    metrics.into_text()
}
