//! The access log: JSON lines on stdout, which no request ever waits for.
//!
//! Each worker gathers lines in a buffer of its own and hands full buffers to one writing thread over a bounded queue.
//! When stdout cannot keep up the queue fills, and what does not fit is dropped and counted.

use std::{
    cell::{Cell, RefCell},
    fmt::{self, Write as _},
    io::Write as _,
    net::IpAddr,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use apigw_engine::{trace_context::TraceId, words};
use jiff::Timestamp;
use prometheus::IntCounter;
use tokio::time::Instant;

use crate::exchange::attempts::FailedAttempt;

/// A worker hands its buffer over when it has this many bytes, or with the worker's next tick.
const BUFFER_BYTES: usize = 64 * 1_024;

/// The most buffers that wait for the writer.
const QUEUED_BUFFERS: usize = 64;

/// One line. Its texts, but for the path, the certificate, the user and the upstream, hold no `"`, no `\` and no control character: names and authorities are checked
/// where they are made, ids where they are taken.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    /// Visible ASCII without `"` and `\`.
    pub(crate) request_id: &'a [u8],
    /// None: nobody collects traces.
    pub(crate) trace: Option<TraceId>,
    /// Empty: no route was found.
    pub(crate) route: &'a str,
    /// Empty: the head could not be read.
    pub(crate) method: &'a str,
    /// Without the query, which may hold secrets.
    pub(crate) path: &'a str,
    pub(crate) client: IpAddr,
    /// The subject of the certificate that it has shown; empty: there is none.
    pub(crate) client_certificate: &'a str,
    /// Whom a file of credentials names; empty: nobody.
    pub(crate) user: &'a str,
    /// 499: the client went before there was one.
    pub(crate) status: u16,
    /// `ok`, or a stable reason code.
    pub(crate) why: &'static str,
    /// Of a call of gRPC, as its caller was told.
    pub(crate) call_status: Option<u8>,
    /// Why a policy that is only judged would have refused.
    pub(crate) shadow: Option<&'static str>,
    /// Of the body sent to the client.
    pub(crate) bytes: u64,
    pub(crate) duration: Duration,
    /// Empty: it has no name, or no upstream was asked.
    pub(crate) backend: &'a str,
    /// Empty: no upstream was asked.
    pub(crate) upstream: &'a [u8],
    /// Until the head of its answer.
    pub(crate) upstream_duration: Option<Duration>,
    /// How often it was sent.
    pub(crate) attempts: u32,
    /// Those whose answers were not passed on.
    pub(crate) failed_attempts: &'a [FailedAttempt],
    pub(crate) revision: &'a str,
}

/// One worker's end of the log.
pub(crate) struct LogBuffer {
    lines: RefCell<Lines>,
    time: Cell<TimeOfDay>,
    queue: SyncSender<Buffer>,
    dropped: IntCounter,
}

/// What is handed over at once.
struct Buffer {
    bytes: Vec<u8>,
    lines: u64,
}

#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    count: u64,
    second: SecondText,
}

/// The writing end. Ends when all buffers are gone.
pub(crate) struct LogWriter {
    queue: Receiver<Buffer>,
    dropped: IntCounter,
}

/// Makes a log: the queue that buffers are made from, and its writer.
pub(crate) fn new() -> (LogQueue, LogWriter) {
    let (sender, receiver) = sync_channel(QUEUED_BUFFERS);
    let dropped =
        IntCounter::new("apigw_access_log_lines_dropped_total", "Lines that stdout was too slow for.");
    let dropped = dropped.expect("the metric's name is a legal one");
    (LogQueue { sender, dropped: dropped.clone() }, LogWriter { queue: receiver, dropped })
}

/// What workers' buffers are handed to.
#[derive(Clone)]
pub(crate) struct LogQueue {
    sender: SyncSender<Buffer>,
    dropped: IntCounter,
}

impl LogQueue {
    /// A buffer for one worker.
    pub(crate) fn buffer(&self) -> LogBuffer {
        LogBuffer {
            lines: RefCell::default(),
            time: Cell::new(TimeOfDay::look()),
            queue: self.sender.clone(),
            dropped: self.dropped.clone(),
        }
    }

    /// Lines that were not written, counted since the start.
    pub(crate) fn dropped(&self) -> IntCounter {
        self.dropped.clone()
    }
}

impl LogBuffer {
    /// Adds the line of an exchange that ends now.
    pub(crate) fn write(&self, line: &Line<'_>, now: Instant) {
        let mut lines = self.lines.borrow_mut();
        lines.append(line, self.time.get().at(now));
        if lines.bytes.len() >= BUFFER_BYTES {
            self.hand_over(&mut lines);
        }
    }

    /// Hands over what has gathered, and looks at the time of day.
    pub(crate) fn flush(&self) {
        self.time.set(TimeOfDay::look());
        let mut lines = self.lines.borrow_mut();
        if !lines.bytes.is_empty() {
            self.hand_over(&mut lines);
        }
    }

    fn hand_over(&self, lines: &mut Lines) {
        let empty = Vec::with_capacity(BUFFER_BYTES + 1_024);
        let bytes = std::mem::replace(&mut lines.bytes, empty);
        let lines = std::mem::take(&mut lines.count);
        if self.queue.try_send(Buffer { bytes, lines }).is_err() {
            self.dropped.inc_by(lines);
        }
    }
}

/// What the time of day was when it was looked at last; since then it has gone on with the clock that is only ever read ahead.
#[derive(Debug, Clone, Copy)]
struct TimeOfDay {
    looked: Instant,
    /// Since the beginning of 1970.
    was: Duration,
}

impl TimeOfDay {
    fn look() -> Self {
        let was = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { looked: Instant::now(), was }
    }

    fn at(self, now: Instant) -> Duration {
        self.was + now.saturating_duration_since(self.looked)
    }
}

impl Drop for LogBuffer {
    fn drop(&mut self) {
        self.flush();
    }
}

impl LogWriter {
    /// Starts the writing thread. What comes back is told when it has written everything.
    pub(crate) fn start(self) -> std::io::Result<Receiver<()>> {
        let (done, is_done) = sync_channel(1);
        std::thread::Builder::new().name("access-log".into()).spawn(move || {
            let mut stdout = std::io::stdout().lock();
            for Buffer { bytes, lines } in self.queue {
                if stdout.write_all(&bytes).and_then(|()| stdout.flush()).is_err() {
                    self.dropped.inc_by(lines);
                }
            }
            let _ = done.send(());
        })?;
        Ok(is_done)
    }
}

impl Lines {
    /// Written piece by piece: the machinery of `write!` costs more than all else that a line takes.
    fn append(&mut self, line: &Line<'_>, since_epoch: Duration) {
        self.count += 1;
        let mut text = Json(&mut self.bytes);
        text.push("{\"time\":\"").push(self.second.of(since_epoch.as_secs()));
        text.push(".").push_digits(since_epoch.subsec_millis(), 3);
        text.push("Z\",\"rid\":\"").push_bytes(line.request_id);
        text.push("\",\"route\":\"").push(line.route);
        text.push("\",\"method\":\"").push(line.method);
        text.push("\",\"path\":\"").push_escaped(line.path);
        text.push("\",\"remote\":\"").push_address(line.client);
        text.push("\",\"status\":").push_number(u64::from(line.status));
        text.push(",\"why\":\"").push(line.why);
        text.push("\"");
        if let Some(status) = line.call_status {
            text.push(",\"grpc_status\":").push_number(u64::from(status));
        }
        text.push(",\"bytes\":").push_number(line.bytes);
        text.push(",\"duration\":").push_seconds(line.duration);
        if let Some(reason) = line.shadow {
            text.push(",\"shadow\":\"").push(reason).push("\"");
        }
        if !line.client_certificate.is_empty() {
            text.push(",\"client_cert\":\"").push_escaped(line.client_certificate);
            text.push("\"");
        }
        if !line.user.is_empty() {
            text.push(",\"user\":\"").push_escaped(line.user);
            text.push("\"");
        }
        if !line.backend.is_empty() {
            text.push(",\"backend\":\"").push(line.backend).push("\"");
        }
        if !line.upstream.is_empty() {
            text.push(",\"upstream\":\"").push_escaped(line.upstream);
            text.push("\"");
        }
        if let Some(duration) = line.upstream_duration {
            text.push(",\"upstream_duration\":").push_seconds(duration);
        }
        if !line.failed_attempts.is_empty() {
            text.push_attempts(line.attempts, line.failed_attempts);
        }
        if let Some(trace) = line.trace {
            // Writing to a buffer cannot fail.
            let _ = write!(text, ",\"trace_id\":\"{trace}\"");
        }
        text.push(",\"revision\":\"").push(line.revision).push("\"}\n");
    }
}

/// Text going into a buffer of JSON.
struct Json<'a>(&'a mut Vec<u8>);

impl Json<'_> {
    /// Adds text that is JSON already, or needs no escape.
    fn push(&mut self, text: &str) -> &mut Self {
        self.push_bytes(text.as_bytes())
    }

    /// Adds UTF-8 that is JSON already, or needs no escape.
    fn push_bytes(&mut self, text: &[u8]) -> &mut Self {
        self.0.extend_from_slice(text);
        self
    }

    fn push_number(&mut self, number: u64) {
        self.push(itoa::Buffer::new().format(number));
    }

    /// Adds a number with zeros in front, so that it has this many digits.
    fn push_digits(&mut self, number: u32, digits: usize) {
        let mut buffer = itoa::Buffer::new();
        let written = buffer.format(number);
        self.push(&"000000000"[..digits.saturating_sub(written.len())]).push(written);
    }

    /// Adds how many attempts there were, and those whose answers were not passed on.
    fn push_attempts(&mut self, attempts: u32, failed: &[FailedAttempt]) {
        self.push(",\"attempts\":").push_number(attempts.into());
        for (index, FailedAttempt { upstream, why }) in failed.iter().enumerate() {
            let separator = if index == 0 { ",\"failed_attempts\":[" } else { "," };
            self.push(separator).push("{\"upstream\":\"").push_escaped(upstream.name_bytes());
            self.push("\",\"why\":\"").push(why.as_str()).push("\"");
            if let Some(status) = why.status() {
                self.push(",\"status\":").push_number(u64::from(status.as_u16()));
            }
            self.push("}");
        }
        self.push("]");
    }

    /// Adds seconds with six decimals.
    fn push_seconds(&mut self, duration: Duration) {
        self.push_number(duration.as_secs());
        self.push(".").push_digits(duration.subsec_micros(), 6);
    }

    fn push_address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => {
                for (index, octet) in address.octets().into_iter().enumerate() {
                    self.push(if index == 0 { "" } else { "." }).push_number(u64::from(octet));
                }
            }
            IpAddr::V6(address) => {
                // Writing to a buffer cannot fail.
                let _ = write!(self, "{address}");
            }
        }
    }

    /// Adds text of any origin as the inside of a JSON string (RFC 8259 section 7).
    fn push_escaped(&mut self, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        let needs_escape = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
        if is_plain(text) {
            self.push_bytes(text);
            return;
        }
        for character in String::from_utf8_lossy(text).chars() {
            match u8::try_from(character) {
                // Latin-1 has more control characters than ASCII; a terminal obeys those as well.
                Ok(byte) if needs_escape(byte) || character.is_control() => {
                    let _ = write!(self, "\\u{byte:04x}");
                }
                _ => {
                    let _ = self.write_char(character);
                }
            }
        }
    }
}

/// Whether text is JSON as it is, and no character of it is to be looked at more closely.
fn is_plain(text: &[u8]) -> bool {
    let (chunks, rest) = text.as_chunks();
    let is_odd = |byte: &u8| *byte < b' ' || *byte >= 0x7f || matches!(byte, b'"' | b'\\');
    let has_odd = |chunk: &[u8; words::BYTES]| {
        let word = u64::from_ne_bytes(*chunk);
        let marks = words::equal(word, b'"') | words::equal(word, b'\\') | words::equal(word, 0x7f);
        marks | words::below(word, b' ') | words::beyond_ascii(word) != 0
    };
    !chunks.iter().any(has_odd) && !rest.iter().any(is_odd)
}

impl fmt::Write for Json<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// The text of a second, written once for all lines of that second.
#[derive(Default)]
struct SecondText {
    second: u64,
    text: String,
}

impl SecondText {
    /// Such as `2026-01-31T23:59:59`, in UTC.
    fn of(&mut self, second: u64) -> &str {
        if self.second != second || self.text.is_empty() {
            self.second = second;
            self.text.clear();
            let timestamp = i64::try_from(second).ok().and_then(|second| Timestamp::from_second(second).ok());
            let _ = write!(self.text, "{:.0}", timestamp.unwrap_or_default());
            self.text.truncate("0000-00-00T00:00:00".len());
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(path: &str) -> Line<'_> {
        Line {
            request_id: b"r1",
            trace: None,
            route: "users",
            method: "GET",
            path,
            client: [192, 0, 2, 1].into(),
            client_certificate: "",
            user: "",
            status: 200,
            why: "ok",
            call_status: None,
            shadow: None,
            bytes: 48,
            duration: Duration::from_micros(1_234),
            backend: "",
            upstream: b"127.0.0.1:9001",
            upstream_duration: Some(Duration::from_micros(900)),
            attempts: 1,
            failed_attempts: &[],
            revision: "1.2",
        }
    }

    #[test]
    fn lines_are_json_with_the_models_keys() {
        let mut lines = Lines::default();
        lines.append(&line("/x"), Duration::from_millis(1_000_000_000_007));
        let expected = concat!(
            r#"{"time":"2001-09-09T01:46:40.007Z","rid":"r1","route":"users","method":"GET","path":"/x","#,
            r#""remote":"192.0.2.1","status":200,"why":"ok","bytes":48,"duration":0.001234,"#,
            r#""upstream":"127.0.0.1:9001","upstream_duration":0.000900,"revision":"1.2"}"#,
            "\n",
        );
        assert_eq!(String::from_utf8(lines.bytes).unwrap(), expected);
    }

    #[test]
    fn a_backend_is_told_where_it_has_a_name() {
        let mut lines = Lines::default();
        lines.append(&Line { backend: "orders", ..line("/x") }, Duration::ZERO);
        let text = String::from_utf8(lines.bytes).unwrap();
        assert!(text.contains(r#""backend":"orders","upstream":"127.0.0.1:9001""#), "{text}");
    }

    #[test]
    fn a_line_names_the_trace_of_its_request() {
        let mut lines = Lines::default();
        lines.append(&Line { trace: TraceId::of(0xa7), ..line("/x") }, Duration::ZERO);
        let text = String::from_utf8(lines.bytes).unwrap();
        assert!(text.contains(r#","trace_id":"000000000000000000000000000000a7","revision":"#), "{text}");
    }

    #[test]
    fn paths_cannot_break_a_line() {
        let mut lines = Lines::default();
        lines.append(&line("/\"\\\n\u{1}ü"), Duration::ZERO);
        let text = String::from_utf8(lines.bytes).unwrap();
        assert!(text.contains(r#""path":"/\u0022\u005c\u000a\u0001ü""#), "{text}");
    }

    #[test]
    fn a_user_is_named_where_there_is_one() {
        let mut lines = Lines::default();
        lines.append(&Line { user: "a\"b", ..line("/x") }, Duration::ZERO);
        let text = String::from_utf8(lines.bytes).unwrap();
        assert!(text.contains(r#","user":"a\u0022b","upstream":"#), "{text}");
    }

    #[test]
    fn what_the_queue_cannot_take_is_dropped_and_counted() {
        let (queue, _writer) = new();
        let buffer = queue.buffer();
        for _ in 0..QUEUED_BUFFERS {
            buffer.write(&line("/x"), Instant::now());
            buffer.flush();
        }
        assert_eq!(queue.dropped().get(), 0);
        buffer.write(&line("/x"), Instant::now());
        buffer.write(&line("/x"), Instant::now());
        buffer.flush();
        assert_eq!(queue.dropped().get(), 2);
    }
}
