//! Ctrl-C: the first ends the work in good order, the second ends the process.

use certforge::forge::Cancel;

use super::exit;
use super::out::tell_aside;

static CANCEL: Cancel = Cancel::new();

/// From now on the first Ctrl-C cancels what is handed back, and tells people `what` happens then, unless that is empty;
/// the second ends the process.
pub fn cancel(what: &'static str) -> &'static Cancel {
    cancel_or(what, || {})
}

/// The same; `abandon` is called before the process ends.
pub fn cancel_or(what: &'static str, abandon: impl Fn() + Send + 'static) -> &'static Cancel {
    let handler = move || {
        if CANCEL.is_cancelled() {
            abandon();
            std::process::exit(exit::INTERRUPTED.into());
        }
        CANCEL.cancel();
        if !what.is_empty() {
            tell_aside(format_args!("certforge: {what}"));
        }
    };
    ctrlc::set_handler(handler).expect("no other handler is set");
    &CANCEL
}

/// Whether what [`cancel`] hands back is cancelled, for those who ask from elsewhere.
#[cfg(feature = "aws")]
pub fn is_cancelled() -> bool {
    CANCEL.is_cancelled()
}
