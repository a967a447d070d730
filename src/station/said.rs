//! What a script says while it flashes a device: passed on to standard error as it comes, and its end kept, so that a
//! failure is told in the script's own words. Nothing is waited for that a process says which the script has left behind.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, PipeReader, Read, Write};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_setfl};

/// Octets of what is said that are kept: its end.
const KEPT: usize = 16 << 10;

/// Among so many lines the most telling one is looked for.
const LOOKED_AT: usize = 8;

/// Characters of a line that are told.
const LONGEST: usize = 300;

/// A pipe in which nothing is, is looked at so often.
const STEP: Duration = Duration::from_millis(20);

/// What a script said before it ended has been read within so long, unless somebody goes on talking.
const LONGEST_READING: Duration = Duration::from_secs(2);

/// What one script says.
pub(super) struct Said {
    end: Arc<Mutex<VecDeque<u8>>>,
    is_over: Arc<AtomicBool>,
    drained: Receiver<()>,
}

impl Said {
    /// Listens to what a command will say on standard error, and on standard output too if that is to go there.
    ///
    /// # Errors
    ///
    /// When there is no pipe to be had.
    pub(super) fn listen(command: &mut Command, also_output: bool) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        // Of the reading end alone: a script writes to a pipe as it is used to.
        fcntl_setfl(&reader, OFlags::NONBLOCK)?;
        if also_output {
            command.stdout(writer.try_clone()?);
        }
        command.stderr(writer);
        let (tell, drained) = channel();
        let said = Self {
            end: Arc::default(),
            is_over: Arc::default(),
            drained,
        };
        let (end, is_over) = (said.end.clone(), said.is_over.clone());
        std::thread::spawn(move || pass_on(reader, &end, &is_over, &tell));
        Ok(said)
    }

    /// What the script said of its failure, once it has ended.
    pub(super) fn last_words(self) -> Option<String> {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = self.drained.recv_timeout(LONGEST_READING);
        let end: Vec<u8> = self.end.lock().ok()?.iter().copied().collect();
        most_telling(&String::from_utf8_lossy(&end))
    }
}

/// Passes on what comes until nobody can say anything any more.
fn pass_on(mut reader: PipeReader, end: &Mutex<VecDeque<u8>>, is_over: &AtomicBool, drained: &Sender<()>) {
    let mut octets = [0; 4096];
    let mut out = io::stderr();
    loop {
        // Asked before the pipe is looked at: what was said until then is in it.
        let was_over = is_over.load(Ordering::SeqCst);
        match reader.read(&mut octets) {
            Ok(0) => return,
            Ok(n) => {
                // Whoever watches may be gone.
                let _ = out.write_all(&octets[..n]);
                let Ok(mut end) = end.lock() else { return };
                end.extend(&octets[..n]);
                let surplus = end.len().saturating_sub(KEPT);
                end.drain(..surplus);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if was_over {
                    // Nobody may be waiting any more.
                    let _ = drained.send(());
                }
                std::thread::sleep(STEP);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// How much a line tells of a failure.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// It only passes on that something below it failed.
    PassedOn,
    Other,
    /// It has a word for a fault.
    Fault,
    /// It says that it is an error, as compilers, Python, OpenOCD, esptool and nrfjprog do.
    Error,
}

/// Of the last lines the one that tells most, the later of two: tools say after an error where to read on.
fn most_telling(text: &str) -> Option<String> {
    let lines: Vec<String> = text
        .split(['\n', '\r'])
        .map(plain)
        .filter(|line| is_said(line))
        .collect();
    let last = lines.iter().skip(lines.len().saturating_sub(LOOKED_AT));
    let line = last.max_by_key(|line| rank(line))?;
    Some(match line.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line.clone(),
    })
}

fn rank(line: &str) -> Rank {
    const FAULTS: [&str; 16] = [
        "error",
        "fail",
        "cannot",
        "can't",
        "could not",
        "unable",
        "denied",
        "refused",
        "not found",
        "no such",
        "invalid",
        "timeout",
        "timed out",
        "exception",
        "panicked",
        "abort",
    ];
    let line = line.to_lowercase();
    let is_messenger = (line.starts_with("make") && line.contains("***")) || line.starts_with("ninja");
    match () {
        () if is_messenger => Rank::PassedOn,
        () if line.contains("error:") || line.contains("fatal") => Rank::Error,
        () if FAULTS.iter().any(|word| line.contains(word)) => Rank::Fault,
        () => Rank::Other,
    }
}

/// A line as one reads it on a terminal, without colours.
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => match rest.next() {
                // ECMA-48, 5.4: a control sequence ends with an octet of 4/0 to 7/14.
                Some('[') => while rest.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
                // A title, which ends with BEL or ESC \.
                Some(']') => while rest.next().is_some_and(|c| c != '\u{7}' && c != '\\') {},
                _ => {}
            },
            '\t' => text.push(' '),
            c if c.is_control() => {}
            c => text.push(c),
        }
    }
    text.trim().to_owned()
}

/// Whether somebody says something with it. A shell's trace (`set -x`) tells what was run, with all its arguments, and
/// what looks like key material is no word at all.
fn is_said(line: &str) -> bool {
    let untraced = line.trim_start_matches('+');
    let is_trace = untraced.len() < line.len() && (untraced.is_empty() || untraced.starts_with([' ', '(']));
    let is_material = line.len() >= 40
        && line
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+/=_-".contains(&b));
    let is_armour = line.starts_with("-----");
    line.chars().any(char::is_alphanumeric) && !is_trace && !is_material && !is_armour
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_tells_most_is_found_among_the_last_ones() {
        let key = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg";
        let material = format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n");
        for (said, expected) in [
            ("", None),
            ("\n \r\n\t\n-----\n", None),
            ("+ set -x\n++ date\n+ exit 1\n", None),
            (&material, None),
            ("first\nlast\n\n", Some("last")),
            (
                "cannot open /dev/ttyUSB0\n+ exit 1\n+ set +x\n\n",
                Some("cannot open /dev/ttyUSB0"),
            ),
            (
                "Traceback (most recent call last):\n  File \"flash.py\", line 3, in <module>\n    main()\nValueError: no chip\n",
                Some("ValueError: no chip"),
            ),
            (
                "esptool.py v4.8.1\nConnecting......................................\n\n\
                 A fatal error occurred: Failed to connect to ESP32: No serial data received.\n\
                 For troubleshooting steps visit: https://docs.espressif.com/esptool\n",
                Some("A fatal error occurred: Failed to connect to ESP32: No serial data received."),
            ),
            (
                "Error: init mode failed (unable to connect to the target)\nin procedure 'ocd_bouncer'\n\
                 ** OpenOCD init failed **\nshutdown command invoked\n\n",
                Some("Error: init mode failed (unable to connect to the target)"),
            ),
            (
                "\u{1b}[1;31mERROR: There is no debugger connected to the PC.\u{1b}[0m\n\
                 NOTE: For additional output, try running again with logging enabled (--log).\n",
                Some("ERROR: There is no debugger connected to the PC."),
            ),
            (
                "st-flash: no ST-Link was found\nmake[1]: *** [Makefile:3: flash] Error 1\nmake: *** [all] Error 2\n",
                Some("st-flash: no ST-Link was found"),
            ),
            (
                "./flash.sh: line 3: openocd: command not found\n",
                Some("./flash.sh: line 3: openocd: command not found"),
            ),
            (
                "10 %\r50 %\r100 %\rverify failed at 0x1000\r",
                Some("verify failed at 0x1000"),
            ),
        ] {
            assert_eq!(most_telling(said).as_deref(), expected, "{said:?}");
        }
    }

    #[test]
    fn what_is_told_is_bounded_and_has_no_controls() {
        let told = most_telling(&format!("\u{1b}]0;title\u{7}\u{8}{}", "ä ".repeat(1000))).unwrap();
        assert_eq!(told.chars().count(), LONGEST + 1);
        assert!(!told.contains(char::is_control));
    }

    #[test]
    fn only_the_end_is_kept_and_what_still_talks_is_not_waited_for() {
        let mut command = Command::new("sh");
        let said = Said::listen(&mut command, true).unwrap();
        let script =
            "head -c 100000 /dev/zero | tr '\\0' x >&2; echo; echo 'Error: late' >&2; sleep 5 & exit 3";
        let status = command.args(["-c", script]).status().unwrap();
        assert_eq!(status.code(), Some(3));
        let end = said.end.clone();
        assert_eq!(said.last_words().as_deref(), Some("Error: late"));
        assert!(end.lock().unwrap().len() <= KEPT);
    }
}
