//! The progress bar: on standard error, and only when that is a terminal.

use std::fmt::Write;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::text::{count, whole};

/// A bar for so many devices, of which some are done.
pub fn bar(devices: u64, done: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{bar:32} {human_pos}/{human_len} devices  {rate:>12}  ETA {eta}")
            .expect("the template is valid")
            .with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
                let _ = write!(out, "{}/s", count(whole(state.per_sec())));
            })
            .progress_chars("=> ");
    ProgressBar::new(devices)
        .with_style(style)
        .with_position(done)
        .with_elapsed(std::time::Duration::ZERO)
}
