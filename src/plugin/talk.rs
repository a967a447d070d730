//! A conversation with a plugin: what is said to it, and then what it says, line by line (<https://c2sp.org/age-plugin>).

use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::mem::replace;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
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
const MOST_OCTETS: usize = 16 * 1024;
const MOST_LINES: usize = 1024;

/// Lines that wait to be heard, at most.
const LINES_AHEAD: usize = 16;

/// Room for what is said at a time, as a rule.
const ROOM: usize = 8 * 1024;

/// A plugin that is done ends within so long, or is killed.
const LONGEST_END: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_millis(2);

/// How a plugin is run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// What the protocol calls a state machine.
    pub machine: &'static str,
    /// It is done within so long, or is killed.
    pub limit: Duration,
    /// Whether it works by itself: then what it has started is killed with it. One that asks a person stays with the
    /// terminal, whose Ctrl-C is for both.
    pub is_alone: bool,
}

pub(super) struct Talk {
    plugin: String,
    child: Child,
    /// What it says, line by line.
    said: Receiver<Zeroizing<Vec<u8>>>,
    /// What is to be said first; it may have file keys in it.
    first: Zeroizing<Vec<u8>>,
    manner: Manner,
    until: Instant,
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
    pub(super) fn begin(plugin: &str, manner: Manner) -> Result<Self, PluginError> {
        Self::start(plugin, find(plugin)?, manner)
    }

    fn start(plugin: &str, path: PathBuf, manner: Manner) -> Result<Self, PluginError> {
        let mut command = Command::new(&path);
        command
            .arg(format!("--age-plugin={}", manner.machine))
            .env_clear()
            .envs(environment())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if manner.is_alone {
            command.process_group(0);
        }
        let started = command.spawn();
        let mut child = started.map_err(|source| PluginError::Start { path, source })?;
        let said = child.stdout.take().expect("it has a pipe");
        Ok(Self {
            plugin: plugin.to_owned(),
            child,
            said: lines(said),
            // Enough as a rule, so that what is grown leaves no copy behind.
            first: Zeroizing::new(Vec::with_capacity(256 * 1024)),
            manner,
            until: Instant::now() + manner.limit,
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
        let watch = Watch::new(&self.child, self.manner);
        let heard = self.converse(voice, &mut hear);
        // That is its end.
        drop(self.child.stdin.take());
        let was_killed = watch.end();
        // What it has started may have outlived what was said; it is not waited for yet, so that its number is its own.
        if heard.is_err() && self.manner.is_alone {
            kill(Pid::from_child(&self.child), self.manner);
        }
        self.end();
        match was_killed {
            true => Err(self.timed_out()),
            false => heard,
        }
    }

    fn timed_out(&self) -> PluginError {
        PluginError::TimedOut {
            plugin: self.plugin.clone(),
            seconds: self.manner.limit.as_secs(),
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
        let mut refused = None;
        loop {
            let mut stanza = self.stanza()?;
            let answer = match stanza.kind() {
                "done" => break,
                "error" => {
                    // The first one says it; there is no end of the others.
                    refused.get_or_insert_with(|| String::from_utf8_lossy(&stanza.body).into_owned());
                    Ok(Answer::Ok)
                }
                _ => hear(&stanza).map(|is_known| match is_known {
                    true => Answer::Ok,
                    false => answer(voice, &plugin, &stanza),
                }),
            };
            // It may have been a file key.
            stanza.body.zeroize();
            let mut out = Zeroizing::new(Vec::with_capacity(ROOM));
            match answer {
                Err(what) => return Err(PluginError::Protocol { plugin, what }),
                Ok(Answer::Ok) => append(&["ok"], &[], &mut out),
                Ok(Answer::Yes(is_yes)) => append(&["ok", if is_yes { "yes" } else { "no" }], &[], &mut out),
                Ok(Answer::Told(told)) => append(&["ok"], told.as_bytes(), &mut out),
                Ok(Answer::Nobody) => append(&["fail"], &[], &mut out),
                Ok(Answer::Unknown) => append(&["unsupported"], &[], &mut out),
            }
            stdin.write_all(&out).map_err(ended)?;
        }
        match refused {
            None => Ok(()),
            Some(what) => Err(PluginError::Refused { plugin, what }),
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

    /// Its next line. It is not waited for longer than the plugin may take, whoever holds its output open.
    fn line(&mut self) -> Result<Zeroizing<Vec<u8>>, PluginError> {
        let left = self.until.saturating_duration_since(Instant::now());
        self.said.recv_timeout(left).map_err(|error| match error {
            RecvTimeoutError::Timeout => self.timed_out(),
            RecvTimeoutError::Disconnected => PluginError::Ended {
                plugin: self.plugin.clone(),
            },
        })
    }

    /// Waits for its end, so that nothing is left of it.
    fn end(&mut self) {
        let until = Instant::now() + LONGEST_END;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() > until {
                kill(Pid::from_child(&self.child), self.manner);
                let _ = self.child.wait();
                return;
            }
            sleep(STEP);
        }
    }
}

/// Kills a plugin that is not waited for yet, so that its number is its own; and what it has started, if it works by itself.
fn kill(pid: Pid, manner: Manner) -> bool {
    let killed = match manner.is_alone {
        true => kill_process_group(pid, Signal::KILL),
        false => kill_process(pid, Signal::KILL),
    };
    killed.is_ok()
}

/// Reads what a plugin says, for whoever hears it, up to what is no line. Nothing that was read is left.
fn lines(mut said: ChildStdout) -> Receiver<Zeroizing<Vec<u8>>> {
    let (sender, receiver) = sync_channel(LINES_AHEAD);
    let room = || Zeroizing::new(Vec::with_capacity(256));
    spawn(move || {
        let mut read = Zeroizing::new([0; 4096]);
        let mut line = room();
        loop {
            let count = match said.read(&mut read[..]) {
                Ok(0) => return,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            for octet in &read[..count] {
                match octet {
                    b'\n' if sender.send(replace(&mut line, room())).is_err() => return,
                    b'\n' => {}
                    _ if line.len() == MOST_OCTETS => return,
                    _ => line.push(*octet),
                }
            }
        }
    });
    receiver
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
        "msg" => match voice.tell(plugin, &text) {
            true => Answer::Ok,
            false => Answer::Nobody,
        },
        "confirm" => {
            let choice = |number: usize| {
                let encoded = stanza.arguments.get(number)?;
                String::from_utf8(decode(encoded.as_bytes())?).ok()
            };
            let yes = choice(1).unwrap_or_else(|| "yes".to_owned());
            match voice.confirm(plugin, &text, &yes, choice(2).as_deref()) {
                None => Answer::Nobody,
                Some(is_yes) => Answer::Yes(is_yes),
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
    fn new(child: &Child, manner: Manner) -> Self {
        let (done, over) = channel();
        let pid = Pid::from_child(child);
        let thread = spawn(move || match over.recv_timeout(manner.limit) {
            Err(RecvTimeoutError::Timeout) => kill(pid, manner),
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
    use crate::plugin::Nobody;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_plugin_sees_nothing_of_the_environment_but_its_way() {
        for (name, _) in environment() {
            let name = name.into_string().unwrap();
            assert!(!name.starts_with("CERTFORGE") && !name.starts_with("AWS") && !name.starts_with("PG"));
        }
    }

    /// What is said by a plugin that is this script of the shell, within two seconds.
    fn hear(script: &str, is_alone: bool) -> (tempfile::TempDir, Result<(), PluginError>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugin");
        fs::write(
            &path,
            format!("#!/bin/sh\ncd {}\n{script}\n", folder.path().display()),
        )
        .unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        let manner = Manner {
            machine: "recipient-v1",
            limit: Duration::from_secs(2),
            is_alone,
        };
        let mut talk = Talk::start("test", path, manner).unwrap();
        talk.say(&["add-recipient", "nobody"], &[]);
        let heard = talk.listen(&Nobody, |_| Ok(false));
        (folder, heard)
    }

    #[test]
    fn who_hangs_is_not_waited_for_whoever_holds_its_output_open() {
        for (end, is_alone) in [("wait", true), ("exec cat > sink", true), ("wait", false)] {
            let (folder, heard) = hear(&format!("sleep 600 &\necho $! > child\n{end}"), is_alone);
            assert!(
                matches!(heard, Err(PluginError::TimedOut { seconds: 2, .. })),
                "{heard:?}"
            );
            let child = fs::read_to_string(folder.path().join("child")).unwrap();
            let child = Pid::from_raw(child.trim().parse().unwrap()).unwrap();
            match is_alone {
                // With what it has started, which may have file keys; who is gone may still be waited for by nobody.
                true => {
                    let stat = format!("/proc/{}/stat", child.as_raw_nonzero());
                    let is_gone = || fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
                    let until = Instant::now() + Duration::from_mins(1);
                    while !is_gone() {
                        assert!(Instant::now() < until, "it goes on");
                        sleep(Duration::from_millis(1));
                    }
                }
                false => kill_process(child, Signal::KILL).unwrap(),
            }
        }
    }

    #[test]
    fn who_says_no_end_of_something_is_heard_to_an_end() {
        let flood = "while :; do echo '-> error internal'; echo bm8; done";
        let (_, heard) = hear(flood, true);
        assert!(
            matches!(
                heard,
                Err(PluginError::TimedOut { .. } | PluginError::Ended { .. })
            ),
            "{heard:?}"
        );
        let (_, heard) = hear("head -c 1000000 /dev/zero", true);
        assert!(matches!(heard, Err(PluginError::Ended { .. })), "{heard:?}");
        let (_, heard) = hear(
            "echo '-> error internal'; echo bm8; echo '-> error internal'; echo bm8; echo '-> done'; echo; cat > said",
            true,
        );
        assert!(
            matches!(&heard, Err(PluginError::Refused { what, .. }) if what == "no"),
            "{heard:?}"
        );
    }
}
