//! A client that sends exactly the bytes it is given and keeps exactly what comes back.
//!
//! It never retries, follows or decodes: what a gateway does to a connection is visible here.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
};

use crate::{
    message::{Fields, Head, read_body, read_head},
    waiting::DEADLINE,
};

/// A response, whole.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// Its status line and fields.
    pub head: Head,
    /// Its body, without its framing.
    pub body: Vec<u8>,
    /// The fields behind a chunked body.
    pub trailers: Fields,
}

impl Response {
    /// Its status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    /// A field that came once.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.field(name)
    }

    /// Its body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Its body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    /// Connects.
    ///
    /// # Panics
    /// When nothing accepts.
    #[must_use]
    pub fn open(address: SocketAddr) -> Self {
        Self::try_open(address).unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"))
    }

    /// Connects, where a refusal is an answer too.
    ///
    /// # Errors
    /// When nothing accepts.
    pub fn try_open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        stream.set_nodelay(true)?;
        // A gateway that never answers fails the test instead of blocking it.
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// When the connection does not take them.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap_or_else(|error| panic!("cannot send: {error}"));
    }

    /// Sends bytes, where a closed connection is an answer too.
    ///
    /// # Errors
    /// When the connection does not take them.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes.as_ref())
    }

    /// What comes, byte for byte.
    pub fn stream(&mut self) -> &mut impl io::Read {
        &mut self.reader
    }

    /// Says that nothing more will be sent.
    pub fn finish_sending(&self) {
        let _ = self.reader.get_ref().shutdown(Shutdown::Write);
    }

    /// Reads a head only, interim ones too.
    ///
    /// # Panics
    /// When none comes.
    pub fn head(&mut self) -> Head {
        self.try_head().unwrap_or_else(|error| panic!("no head came: {error}"))
    }

    /// Reads the whole response to a GET or the like.
    ///
    /// # Panics
    /// When none comes, or it is cut off.
    pub fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    /// Reads the whole response to a request of this method.
    ///
    /// # Panics
    /// When none comes, or it is cut off.
    pub fn response_to(&mut self, method: &str) -> Response {
        self.try_response_to(method).unwrap_or_else(|error| panic!("no whole response came: {error}"))
    }

    /// Reads the whole response to a request of this method, where none is an answer too.
    ///
    /// # Errors
    /// `UnexpectedEof` where the connection ends before the response does.
    pub fn try_response_to(&mut self, method: &str) -> io::Result<Response> {
        let head = self.try_head()?;
        let mut body = Vec::new();
        let trailers = self.read_body(&head, method, &mut body)?;
        Ok(Response { head, body, trailers })
    }

    /// Reads a head only, where none is an answer too.
    ///
    /// # Errors
    /// `UnexpectedEof` where the connection ends before the head does.
    pub fn try_head(&mut self) -> io::Result<Head> {
        read_head(&mut self.reader)
    }

    /// Reads the body behind a head into a sink; gives the trailers.
    ///
    /// # Errors
    /// `UnexpectedEof` where the connection ends before the body does.
    pub fn read_body(&mut self, head: &Head, method: &str, sink: &mut impl io::Write) -> io::Result<Fields> {
        read_body(&mut self.reader, head.response_framing(method)?, sink)
    }

    /// Sends a request without a body and reads its response.
    ///
    /// # Panics
    /// When no whole response comes.
    pub fn get(&mut self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: gateway.example\r\n\r\n"));
        self.response()
    }

    /// Sends a request without a body and with further field lines (each ending in CRLF), and does not wait.
    ///
    /// # Panics
    /// When the connection does not take it.
    pub fn ask(&mut self, method: &str, path: &str, fields: &str) {
        self.send(format!("{method} {path} HTTP/1.1\r\nHost: gateway.example\r\n{fields}\r\n"));
    }

    /// All bytes until the other side closes; a reset counts as closing.
    ///
    /// # Panics
    /// When it does not close before the deadline.
    pub fn until_closed(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.reader.read_to_end(&mut bytes) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => {
                panic!("the connection was not closed: {error}; after {} bytes", bytes.len())
            }
            _ => bytes,
        }
    }

    /// Whether there is something to read, the end of the stream included; does not wait.
    pub fn has_input(&mut self) -> bool {
        let _ = self.reader.get_ref().set_nonblocking(true);
        let seen = self.reader.fill_buf().map(|_| ());
        let _ = self.reader.get_ref().set_nonblocking(false);
        !seen.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// Sends one GET on a connection of its own.
///
/// # Panics
/// When no whole response comes.
#[must_use]
pub fn get(address: SocketAddr, path: &str) -> Response {
    Connection::open(address).get(path)
}

/// Sends one GET with further field lines (each ending in CRLF) on a connection of its own.
///
/// # Panics
/// When no whole response comes.
#[must_use]
pub fn get_with(address: SocketAddr, path: &str, fields: &str) -> Response {
    request(address, "GET", path, fields)
}

/// Sends one request without a body, with further field lines (each ending in CRLF), on a connection of its own.
///
/// # Panics
/// When no whole response comes.
#[must_use]
pub fn request(address: SocketAddr, method: &str, path: &str, fields: &str) -> Response {
    let mut connection = Connection::open(address);
    connection.ask(method, path, fields);
    connection.response_to(method)
}

/// Sends one GET, where no answer is an answer too.
///
/// # Errors
/// When the connection is refused or ends before the response does.
pub fn try_get(address: SocketAddr, path: &str) -> io::Result<Response> {
    let mut connection = Connection::try_open(address)?;
    connection.try_send(format!("GET {path} HTTP/1.1\r\nHost: gateway.example\r\n\r\n"))?;
    connection.try_response_to("GET")
}
