//! A conversation with a plugin: what is said to it, and then what it says, line by line (<https://c2sp.org/age-plugin>).

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use zeroize::{Zeroize, Zeroizing};

use super::{PluginError, Voice, find};
use crate::bundle::encryption::Stanza;
use crate::bundle::encryption::stanza::{add_line, append, arguments_of, decode};

/// What a plugin gets of the environment: to find its way, and whom it belongs to; and where a person is asked, or a token is.
const PASSED: [&str; 15] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "TZ",
    "TMPDIR",
    "LANG",
    "LANGUAGE",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "DBUS_SESSION_BUS_ADDRESS",
    "PCSCLITE_CSOCK_NAME",
    "TPM2TOOLS_TCTI",
];

/// The same, by how the name begins.
const PASSED_PREFIXES: [&str; 2] = ["LC_", "XDG_"];

/// Octets of a line, and lines of a stanza's body, at most.
const MOST_OCTETS: u64 = 16 * 1024;
const MOST_LINES: usize = 1024;

/// Room for what is said at a time, as a rule.
const ROOM: usize = 8 * 1024;

/// A plugin that is done ends within so long, or is killed.
const LONGEST_END: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_millis(2);

pub(super) struct Talk {
    plugin: String,
    child: Child,
    said: BufReader<ChildStdout>,
    /// What is to be said first; it may have file keys in it.
    first: Zeroizing<Vec<u8>>,
    limit: Option<Duration>,
}

impl Stanza {
    /// The number of the file that it is of, when it is of this kind.
    pub(super) fn numbered(&self, kind: &str) -> Option<usize> {
        (self.kind() == kind).then(|| {
            let number = self.arguments.get(1).and_then(|number| number.parse().ok());
            number.unwrap_or(usize::MAX)
        })
    }
}

impl Talk {
    /// Starts a plugin.
    pub(super) fn begin(plugin: &str, machine: &str, limit: Option<Duration>) -> Result<Self, PluginError> {
        let path = find(plugin)?;
        let started = Command::new(&path)
            .arg(format!("--age-plugin={machine}"))
            .env_clear()
            .envs(environment())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = started.map_err(|source| PluginError::Start { path, source })?;
        let said = child.stdout.take().expect("it has a pipe");
        Ok(Self {
            plugin: plugin.to_owned(),
            child,
            said: BufReader::new(said),
            // Enough as a rule, so that what is grown leaves no copy behind.
            first: Zeroizing::new(Vec::with_capacity(256 * 1024)),
            limit,
        })
    }

    /// Adds what is said to it first.
    pub(super) fn say(&mut self, arguments: &[&str], body: &[u8]) {
        append(arguments, body, &mut self.first);
    }

    /// Says that, and hears what it answers, until it is done. `hear` says whether it knows what a plugin says; what every
    /// plugin may say is answered here.
    pub(super) fn listen(
        mut self,
        voice: &dyn Voice,
        mut hear: impl FnMut(&Stanza) -> Result<bool, &'static str>,
    ) -> Result<(), PluginError> {
        self.say(&["done"], &[]);
        let watch = self.limit.map(|limit| Watch::new(&self.child, limit));
        let heard = self.converse(voice, &mut hear);
        // That is its end.
        drop(self.child.stdin.take());
        let was_killed = watch.is_some_and(Watch::end);
        self.end();
        match (was_killed, self.limit) {
            (true, Some(limit)) => Err(PluginError::TimedOut {
                plugin: self.plugin.clone(),
                seconds: limit.as_secs(),
            }),
            _ => heard,
        }
    }

    fn converse(
        &mut self,
        voice: &dyn Voice,
        hear: &mut dyn FnMut(&Stanza) -> Result<bool, &'static str>,
    ) -> Result<(), PluginError> {
        let plugin = self.plugin.clone();
        let ended = |_| PluginError::Ended {
            plugin: plugin.clone(),
        };
        let mut stdin = self.child.stdin.take().expect("it has a pipe");
        stdin.write_all(&self.first).map_err(ended)?;
        let mut refused = Vec::new();
        loop {
            let mut stanza = self.stanza()?;
            let answer = match stanza.kind() {
                "done" => break,
                "error" => {
                    refused.push(String::from_utf8_lossy(&stanza.body).into_owned());
                    Answer::Ok
                }
                _ => match hear(&stanza) {
                    Err(what) => return Err(PluginError::Protocol { plugin, what }),
                    Ok(true) => Answer::Ok,
                    Ok(false) => answer(voice, &plugin, &stanza),
                },
            };
            // It may have been a file key.
            stanza.body.zeroize();
            let mut out = Zeroizing::new(Vec::with_capacity(ROOM));
            match answer {
                Answer::Ok => append(&["ok"], &[], &mut out),
                Answer::Yes(is_yes) => append(&["ok", if is_yes { "yes" } else { "no" }], &[], &mut out),
                Answer::Told(told) => append(&["ok"], told.as_bytes(), &mut out),
                Answer::Nobody => append(&["fail"], &[], &mut out),
                Answer::Unknown => append(&["unsupported"], &[], &mut out),
            }
            stdin.write_all(&out).map_err(ended)?;
        }
        match refused.is_empty() {
            true => Ok(()),
            false => Err(PluginError::Refused {
                plugin,
                what: refused.join("; "),
            }),
        }
    }

    fn stanza(&mut self) -> Result<Stanza, PluginError> {
        let first = self.line()?;
        let malformed = |what| PluginError::Protocol {
            plugin: self.plugin.clone(),
            what,
        };
        let arguments = first.strip_prefix(b"-> ").and_then(arguments_of);
        let arguments = arguments.ok_or_else(|| malformed("a line that begins no stanza"))?;
        let arguments = arguments.into_iter().map(str::to_owned).collect();
        let mut text = Zeroizing::new(Vec::with_capacity(ROOM));
        for _ in 0..MOST_LINES {
            let line = self.line()?;
            let malformed = |what| PluginError::Protocol {
                plugin: self.plugin.clone(),
                what,
            };
            match add_line(&line, &mut text) {
                None => return Err(malformed("a line that is too long")),
                Some(false) => {}
                Some(true) => {
                    let body = decode(&text).ok_or_else(|| malformed("a body that is no base64"))?;
                    return Ok(Stanza { arguments, body });
                }
            }
        }
        Err(PluginError::Protocol {
            plugin: self.plugin.clone(),
            what: "a body without end",
        })
    }

    fn line(&mut self) -> Result<Zeroizing<Vec<u8>>, PluginError> {
        let mut line = Zeroizing::new(Vec::with_capacity(256));
        let read = self.said.by_ref().take(MOST_OCTETS).read_until(b'\n', &mut line);
        match read {
            Ok(_) if line.pop_if(|last| *last == b'\n').is_some() => Ok(line),
            _ => Err(PluginError::Ended {
                plugin: self.plugin.clone(),
            }),
        }
    }

    /// Waits for its end, so that nothing is left of it.
    fn end(&mut self) {
        let until = Instant::now() + LONGEST_END;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() > until {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            sleep(STEP);
        }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.end();
    }
}

enum Answer {
    Ok,
    Yes(bool),
    Told(Zeroizing<String>),
    Nobody,
    Unknown,
}

/// The answer to what every plugin may say.
fn answer(voice: &dyn Voice, plugin: &str, stanza: &Stanza) -> Answer {
    let text = String::from_utf8_lossy(&stanza.body);
    match stanza.kind() {
        "msg" => {
            voice.tell(plugin, &text);
            Answer::Ok
        }
        "confirm" => {
            let choice = |number: usize| {
                let encoded = stanza.arguments.get(number)?;
                String::from_utf8(decode(encoded.as_bytes())?).ok()
            };
            let yes = choice(1).unwrap_or_else(|| "yes".to_owned());
            let question = match choice(2) {
                None => format!("{text} [{yes}]"),
                Some(no) => format!("{text} [{yes}/{no}]"),
            };
            match voice.ask(plugin, &question, false) {
                None => Answer::Nobody,
                Some(told) => Answer::Yes(told.trim().eq_ignore_ascii_case(&yes)),
            }
        }
        "request-public" | "request-secret" => {
            match voice.ask(plugin, &text, stanza.kind() == "request-secret") {
                None => Answer::Nobody,
                Some(told) => Answer::Told(told),
            }
        }
        _ => Answer::Unknown,
    }
}

fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| {
        name.to_str().is_some_and(|name| {
            PASSED.contains(&name) || PASSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        })
    })
}

/// Kills a plugin that takes too long.
struct Watch {
    done: Sender<()>,
    thread: JoinHandle<bool>,
}

impl Watch {
    /// The plugin is not waited for before the watch has ended, so that its number stays its own.
    fn new(child: &Child, limit: Duration) -> Self {
        let (done, over) = channel();
        let pid = Pid::from_child(child);
        let thread = spawn(move || match over.recv_timeout(limit) {
            Err(RecvTimeoutError::Timeout) => kill_process(pid, Signal::KILL).is_ok(),
            _ => false,
        });
        Self { done, thread }
    }

    /// Whether it was killed.
    fn end(self) -> bool {
        drop(self.done);
        self.thread.join().unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_sees_nothing_of_the_environment_but_its_way() {
        for (name, _) in environment() {
            let name = name.into_string().unwrap();
            assert!(!name.starts_with("CERTFORGE") && !name.starts_with("AWS") && !name.starts_with("PG"));
        }
    }
}
