//! Codes of MFA devices, which only a person can read off.

use std::io::{self, IsTerminal};

use certforge::printable;

/// Asks for the code that a device shows. `None`: there is no terminal to ask at.
pub fn ask_code(serial: &str) -> Option<String> {
    if !io::stderr().is_terminal() && !io::stdin().is_terminal() {
        return None;
    }
    // The terminal itself is asked, whatever standard input is.
    rpassword::prompt_password(printable::line(&format!("code of MFA device {serial}: "))).ok()
}
