//! How far a measurement is: on standard error, and only when that is a terminal.

use std::sync::Mutex;

use certforge::bench::Event;
use certforge::printable;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::text::count;

/// A bar with a place for each step, and what that measures; it goes when the value is dropped.
#[derive(Default)]
pub struct Steps(Mutex<Option<(ProgressBar, String)>>);

impl Steps {
    pub fn show(&self, event: Event) {
        let mut state = self.0.lock().expect("no holder panics");
        match (event, &mut *state) {
            (Event::Begun { steps, .. }, state) => {
                let style = ProgressStyle::with_template("{bar:32} {pos}/{len}  {msg}")
                    .expect("the template is valid")
                    .progress_chars("=> ");
                *state = Some((ProgressBar::new(steps as u64).with_style(style), String::new()));
            }
            (Event::Measuring { what: step }, Some((bar, what))) => {
                let step = printable::line(&step).into_owned();
                bar.set_message(step.clone());
                *what = step;
            }
            (Event::Made { devices, of }, Some((bar, what))) => {
                bar.set_message(format!("{what}: {} of {} devices", count(devices), count(of)));
            }
            (Event::Measured, Some((bar, _))) => bar.inc(1),
            (_, None) => {}
        }
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        if let Ok(Some((bar, _))) = self.0.get_mut() {
            bar.finish_and_clear();
        }
    }
}
