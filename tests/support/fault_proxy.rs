//! A proxy in front of a server that speaks HTTP/1.1, which does to requests what networks and servers do.
//!
//! It works on the connection itself: it can cut one off in the middle of a body, or after the server
//! has done what was asked and before its answer.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test crate uses a part of it, and one may use it all"
)]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed before the request is read.
    Drop,
    /// The connection is closed in the middle of the request, at both ends.
    ResetMidBody,
    /// 503 SlowDown; the server never sees the request.
    SlowDown,
    /// 500 InternalError; the server never sees the request.
    InternalError,
    /// 409 ConditionalRequestConflict; the server never sees the request.
    ConditionalConflict,
    /// 429 ThrottlingException, as AWS IoT says it; the server never sees the request.
    Throttled,
    /// 403 UnauthorizedException, as AWS IoT says it; the server never sees the request.
    Unauthorized,
    /// The answer is a while in coming.
    Slow,
    /// The server does what was asked, and its answer is lost.
    LostAnswer,
    /// The server does what was asked, and half of its answer is lost.
    HalfAnswer,
}

/// What S3 and the way to it do.
const FAULTS: [Fault; 8] = [
    Fault::Drop,
    Fault::ResetMidBody,
    Fault::SlowDown,
    Fault::InternalError,
    Fault::ConditionalConflict,
    Fault::Slow,
    Fault::LostAnswer,
    Fault::HalfAnswer,
];

pub struct FaultProxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    /// Gets a message for each fault.
    pub injected: Receiver<Fault>,
}

struct Shared {
    upstream: SocketAddr,
    random: Mutex<fastrand::Rng>,
    /// One request in so many has a fault.
    one_in: usize,
    faults: &'static [Fault],
    /// How the requests begin that may have one.
    only: &'static str,
    is_on: AtomicBool,
    count: AtomicUsize,
    injected: Mutex<Sender<Fault>>,
    heads: Mutex<Vec<String>>,
    /// Heads and bodies of what asks a service other than S3, whose bodies are too long to keep.
    asked: Mutex<Vec<(String, Vec<u8>)>>,
}

impl FaultProxy {
    /// One request in so many has a fault, of any kind.
    pub fn start(upstream: SocketAddr, seed: u64, one_in: usize) -> Self {
        Self::start_with(upstream, seed, one_in, &FAULTS)
    }

    /// One request in so many has one of these faults.
    pub fn start_with(upstream: SocketAddr, seed: u64, one_in: usize, faults: &'static [Fault]) -> Self {
        Self::start_for("", upstream, seed, one_in, faults)
    }

    /// One request in so many, of those that begin so, has one of these faults.
    pub fn start_for(
        only: &'static str,
        upstream: SocketAddr,
        seed: u64,
        one_in: usize,
        faults: &'static [Fault],
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (sender, injected) = channel();
        let shared = Arc::new(Shared {
            upstream,
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            one_in,
            faults,
            only,
            is_on: AtomicBool::new(true),
            count: AtomicUsize::new(0),
            injected: Mutex::new(sender),
            heads: Mutex::default(),
            asked: Mutex::default(),
        });
        let own = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = own.clone();
                // A connection that ends is the end of its thread, whatever ended it.
                std::thread::spawn(move || drop(serve(&shared, client)));
            }
        });
        Self {
            address,
            shared,
            injected,
        }
    }

    /// Faults so far.
    pub fn count(&self) -> usize {
        self.shared.count.load(Ordering::SeqCst)
    }

    /// The heads of all requests that came whole.
    pub fn heads(&self) -> Vec<String> {
        self.shared.heads.lock().expect("no holder panics").clone()
    }

    /// The heads and bodies of all requests to a service other than S3.
    pub fn asked(&self) -> Vec<(String, Vec<u8>)> {
        self.shared.asked.lock().expect("no holder panics").clone()
    }

    /// From now on, every request goes through.
    pub fn heal(&self) {
        self.shared.is_on.store(false, Ordering::SeqCst);
    }
}

impl Shared {
    fn draw(&self, head: &str) -> Option<Fault> {
        if !self.is_on.load(Ordering::SeqCst) || !head.starts_with(self.only) {
            return None;
        }
        let mut random = self.random.lock().expect("no holder panics");
        let fault =
            (random.usize(..self.one_in) == 0).then(|| self.faults[random.usize(..self.faults.len())]);
        if let Some(fault) = fault {
            self.count.fetch_add(1, Ordering::SeqCst);
            // The test may have heard enough.
            let _ = self.injected.lock().expect("no holder panics").send(fault);
        }
        fault
    }
}

/// The head of a request or an answer, and the length of its body.
struct Head {
    text: Vec<u8>,
    length: usize,
    is_chunked: bool,
    expects_continue: bool,
}

fn read_head(stream: &mut impl BufRead) -> io::Result<Head> {
    let mut head = Head {
        text: Vec::new(),
        length: 0,
        is_chunked: false,
        expects_continue: false,
    };
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&line).to_ascii_lowercase();
        if let Some(length) = text.strip_prefix("content-length:") {
            head.length = length.trim().parse().map_err(io::Error::other)?;
        }
        head.is_chunked |= text.starts_with("transfer-encoding:") && text.contains("chunked");
        head.expects_continue |= text.starts_with("expect:");
        head.text.extend_from_slice(&line);
        if line == b"\r\n" {
            return Ok(head);
        }
    }
}

fn read_body(stream: &mut impl BufRead, head: &Head) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if !head.is_chunked {
        stream.take(head.length as u64).read_to_end(&mut body)?;
        return match body.len() == head.length {
            true => Ok(body),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        };
    }
    loop {
        let mut line = Vec::new();
        stream.read_until(b'\n', &mut line)?;
        let size = String::from_utf8_lossy(&line);
        let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
        body.extend_from_slice(&line);
        let rest = body.len() + size + 2;
        stream.take(size as u64 + 2).read_to_end(&mut body)?;
        if body.len() != rest {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if size == 0 {
            return Ok(body);
        }
    }
}

fn serve(shared: &Shared, client: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut to_client = client.try_clone()?;
    let mut from_client = BufReader::new(client);
    let server = TcpStream::connect(shared.upstream)?;
    server.set_nodelay(true)?;
    let mut to_server = server.try_clone()?;
    let mut from_server = BufReader::new(server);
    loop {
        let head = read_head(&mut from_client)?;
        let text = String::from_utf8_lossy(&head.text).into_owned();
        let fault = shared.draw(&text);
        let is_kept = text.contains("/aws4_request") && !text.contains("/s3/aws4_request");
        shared.heads.lock().expect("no holder panics").push(text.clone());
        if fault == Some(Fault::Drop) {
            return Ok(());
        }
        if head.expects_continue {
            to_client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        if fault == Some(Fault::ResetMidBody) {
            let mut half = vec![0; head.length / 2];
            from_client.read_exact(&mut half)?;
            to_server.write_all(&head.text)?;
            return to_server.write_all(&half);
        }
        let body = read_body(&mut from_client, &head)?;
        if is_kept {
            let asked = (text, body.clone());
            shared.asked.lock().expect("no holder panics").push(asked);
        }
        let refusal = match fault {
            Some(Fault::SlowDown) => Some((503, "SlowDown")),
            Some(Fault::InternalError) => Some((500, "InternalError")),
            Some(Fault::ConditionalConflict) => Some((409, "ConditionalRequestConflict")),
            _ => None,
        };
        let is_head = head.text.starts_with(b"HEAD ");
        if let Some((status, code)) = refusal {
            let xml = format!("<Error><Code>{code}</Code><Message>Injected.</Message></Error>");
            let length = xml.len();
            let answer = format!("HTTP/1.1 {status} Injected\r\ncontent-length: {length}\r\n\r\n");
            to_client.write_all(answer.as_bytes())?;
            if !is_head {
                to_client.write_all(xml.as_bytes())?;
            }
            continue;
        }
        let said = match fault {
            Some(Fault::Throttled) => Some((429, "ThrottlingException")),
            Some(Fault::Unauthorized) => Some((403, "UnauthorizedException")),
            _ => None,
        };
        if let Some((status, code)) = said {
            let json = format!("{{\"__type\":\"{code}\",\"message\":\"Injected.\"}}");
            let length = json.len();
            let answer = format!(
                "HTTP/1.1 {status} Injected\r\nx-amzn-errortype: {code}\r\ncontent-length: {length}\r\n\r\n{json}"
            );
            to_client.write_all(answer.as_bytes())?;
            continue;
        }
        if fault == Some(Fault::Slow) {
            std::thread::sleep(Duration::from_millis(200));
        }
        to_server.write_all(&head.text)?;
        to_server.write_all(&body)?;
        let mut answer_head = read_head(&mut from_server)?;
        while answer_head.text.starts_with(b"HTTP/1.1 100") {
            answer_head = read_head(&mut from_server)?;
        }
        if is_head {
            answer_head.length = 0;
        }
        let answer = read_body(&mut from_server, &answer_head)?;
        match fault {
            Some(Fault::LostAnswer) => return Ok(()),
            Some(Fault::HalfAnswer) if answer.is_empty() => {
                return to_client.write_all(&answer_head.text[..answer_head.text.len() / 2]);
            }
            Some(Fault::HalfAnswer) => {
                to_client.write_all(&answer_head.text)?;
                return to_client.write_all(&answer[..answer.len() / 2]);
            }
            _ => {
                to_client.write_all(&answer_head.text)?;
                to_client.write_all(&answer)?;
            }
        }
    }
}
