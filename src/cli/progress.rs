//! The progress bar: on standard error, and only when that is a terminal.

use std::fmt::Write;
use std::sync::Mutex;

use certforge::forge::Event;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::log;
use super::text::{count, whole};

/// A bar that appears when work begins, from any thread, and goes when it is dropped.
#[derive(Default)]
pub struct Bar(Mutex<Option<ProgressBar>>);

impl Bar {
    /// So many devices are to be done, and some are.
    pub fn begin(&self, devices: u64, done: u64) {
        if !log::is_quiet() {
            *self.0.lock().expect("no holder panics") = Some(bar(devices, done));
        }
    }

    /// So many more are done.
    pub fn advance(&self, devices: u64) {
        if let Some(bar) = &*self.0.lock().expect("no holder panics") {
            bar.inc(devices);
        }
    }

    /// Shows how far the forge is.
    pub fn show(&self, event: &Event) {
        match event {
            Event::Begun { devices, skipped, .. } => self.begin(*devices, *skipped),
            Event::Released { devices } => self.advance(*devices),
            Event::KeptWithoutHost { .. }
            | Event::Odd { .. }
            | Event::ShortLived { .. }
            | Event::Waiting { .. } => {}
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Ok(Some(bar)) = self.0.get_mut() {
            bar.finish_and_clear();
        }
    }
}

/// A bar for so many devices, of which some are done.
pub fn bar(devices: u64, done: u64) -> ProgressBar {
    // What was done before is no part of what is made at this pace. It fits a terminal of 60 columns.
    let style = ProgressStyle::with_template("{bar:12} {human_pos}/{human_len} devices {rate} ETA {eta}")
        .expect("the template is valid")
        .with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
            let _ = write!(out, "{}/s", count(whole(state.per_sec())));
        })
        .progress_chars("=> ");
    ProgressBar::new(devices.saturating_sub(done))
        .with_style(style)
        .with_elapsed(std::time::Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_before_is_no_part_of_the_pace() {
        let bar = bar(1_000_000, 400_000);
        assert_eq!((bar.position(), bar.length()), (0, Some(600_000)));
    }
}
