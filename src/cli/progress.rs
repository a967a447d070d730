//! The progress bar: on standard error, and only when that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar for so many devices, of which some are done.
pub fn bar(devices: u64, done: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{bar:32} {human_pos}/{human_len} devices  {per_sec:>12}  ETA {eta}")
            .expect("the template is valid")
            .progress_chars("=> ");
    ProgressBar::new(devices)
        .with_style(style)
        .with_position(done)
        .with_elapsed(std::time::Duration::ZERO)
}
