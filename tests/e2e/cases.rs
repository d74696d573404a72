//! The format of the public cases (`tests/e2e/cases/README.md`), and the upstream that records what becomes of them.

use std::{
    io::{self, BufReader, Read, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use apigw_tests::{
    message::{Head, read_body, read_head},
    waiting::DEADLINE,
};
use serde_json::Value;

/// The cases of a file.
pub(crate) fn cases(text: &str) -> Vec<Value> {
    serde_json::from_str(text).expect("cases are a JSON list")
}

/// The bytes that a string, or a list of pieces, stands for: one character, one byte.
pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    let latin1 = |text: &str| {
        text.chars().map(|character| u8::try_from(character).expect("latin-1")).collect::<Vec<_>>()
    };
    match value {
        Value::String(text) => latin1(text),
        Value::Array(pieces) => pieces.iter().flat_map(bytes).collect(),
        Value::Object(piece) => match (piece.get("repeat"), piece.get("each")) {
            (Some(Value::String(text)), _) => latin1(text).repeat(number(&piece["times"])),
            (_, Some(Value::String(text))) => (number(&piece["from"])..=number(&piece["to"]))
                .flat_map(|index| latin1(&text.replace("{i}", &index.to_string())))
                .collect(),
            _ => panic!("not a piece: {value}"),
        },
        _ => panic!("not text: {value}"),
    }
}

fn number(value: &Value) -> usize {
    value
        .as_u64()
        .and_then(|number| usize::try_from(number).ok())
        .unwrap_or_else(|| panic!("not a number: {value}"))
}

/// Whether a flag of a case is set.
pub(crate) fn is_set(object: &Value, flag: &str) -> bool {
    object[flag] == true
}

/// The strings of a list, in lower case; none, where there is no list.
pub(crate) fn words(list: &Value) -> Vec<Vec<u8>> {
    list.as_array().into_iter().flatten().map(|word| bytes(word).to_ascii_lowercase()).collect()
}

pub(crate) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.to_ascii_lowercase().windows(part.len().max(1)).any(|window| window == part)
}

/// What the upstream was sent.
#[derive(Debug, Default, Clone)]
pub(crate) struct Recorded {
    /// All bytes, of complete requests and others.
    pub(crate) bytes: Vec<u8>,
    /// Complete requests: head and decoded body.
    pub(crate) requests: Vec<(Head, Vec<u8>)>,
    /// What was not well formed.
    pub(crate) faults: Vec<String>,
}

/// An upstream that records raw bytes, and answers complete requests with the line it saw.
pub(crate) struct Recorder {
    address: SocketAddr,
    recorded: Arc<Mutex<Recorded>>,
    is_over: Arc<AtomicBool>,
}

impl Recorder {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let (recorded, is_over) = (Arc::<Mutex<Recorded>>::default(), Arc::<AtomicBool>::default());
        let (shared, ends) = (Arc::clone(&recorded), Arc::clone(&is_over));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ends.load(Ordering::Acquire) {
                    return;
                }
                let recorded = Arc::clone(&shared);
                thread::spawn(move || record(&stream, &recorded));
            }
        });
        Self { address, recorded, is_over }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was recorded since the last call.
    pub(crate) fn take(&self) -> Recorded {
        std::mem::take(&mut self.recorded.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        let _ = TcpStream::connect_timeout(&self.address, DEADLINE);
    }
}

/// Reads whose bytes are recorded.
struct Tee<'a> {
    stream: &'a TcpStream,
    recorded: &'a Mutex<Recorded>,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        lock(self.recorded).bytes.extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}

fn lock(recorded: &Mutex<Recorded>) -> std::sync::MutexGuard<'_, Recorded> {
    recorded.lock().unwrap_or_else(PoisonError::into_inner)
}

fn record(stream: &TcpStream, recorded: &Mutex<Recorded>) {
    let mut reader = BufReader::new(Tee { stream, recorded });
    let mut next = || -> io::Result<(Head, Vec<u8>)> {
        let head = read_head(&mut reader)?;
        let mut body = Vec::new();
        read_body(&mut reader, head.request_framing()?, &mut body)?;
        Ok((head, body))
    };
    loop {
        match next() {
            Ok((head, body)) => {
                let line = head.start.clone();
                lock(recorded).requests.push((head, body));
                // To HEAD as well, the length of the body there would be.
                let text = if line.starts_with("HEAD ") { "" } else { &line };
                let length = line.len();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{text}"
                );
                if (&*stream).write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
            // A connection that ends within a request is no request.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                lock(recorded).faults.push(error.to_string());
                return;
            }
            Err(_) => return,
        }
    }
}
