//! How far a measurement is: on standard error, and only when that is a terminal.

use std::sync::Mutex;

use certforge::bench::Event;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::text::count;

/// A bar with a place for each step; it goes when the value is dropped.
#[derive(Default)]
pub struct Progress(Mutex<State>);

#[derive(Default)]
struct State {
    bar: Option<ProgressBar>,
    what: String,
}

impl Progress {
    pub fn show(&self, event: Event) {
        let mut state = self.0.lock().expect("no holder panics");
        let State { bar, what } = &mut *state;
        if let Event::Begun { steps, .. } = event {
            let style = ProgressStyle::with_template("{bar:32} {pos}/{len}  {msg}")
                .expect("the template is valid")
                .progress_chars("=> ");
            *bar = Some(ProgressBar::new(steps as u64).with_style(style));
        }
        let Some(bar) = bar else { return };
        match event {
            Event::Begun { .. } => {}
            Event::Measuring { what: step } => {
                bar.set_message(step.clone());
                *what = step;
            }
            Event::Made { devices, of } => {
                bar.set_message(format!("{what}: {} of {} devices", count(devices), count(of)));
            }
            Event::Measured => bar.inc(1),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Ok(State { bar: Some(bar), .. }) = self.0.get_mut() {
            bar.finish_and_clear();
        }
    }
}
