//! The end of a connection: where its next request could not be read an answer all the same, and time for what was said last to
//! arrive.

use std::{rc::Rc, time::Duration};

use apigw_engine::rejection::Rejection;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Instant, timeout, timeout_at},
};

use super::Client;
use crate::{
    exchange::{
        forwarding,
        record::{Ending, Record},
    },
    socket::Socket,
    worker::Worker,
};

/// How long a client may take to accept the answer, and how long what it still sends is taken and thrown away.
const PATIENCE: Duration = Duration::from_secs(2);

/// The most that is taken and thrown away.
const MOST_DISCARDED_BYTES: usize = 8 << 20;

/// Answers a request whose head could not be read.
pub(super) async fn answer(worker: &Rc<Worker>, client: &Client, socket: &mut Socket, rejection: &Rejection) {
    let request_id = forwarding::new_request_id(&mut worker.random.borrow_mut());
    let mut record = Record::new(worker, &worker.view(), client, request_id);
    let answer = rejection.answer();
    record.set_answer(&answer);
    let id = record.request_id().to_str().unwrap_or("");
    let body = answer.body(record.route_name(), id);
    let text = format!(
        "HTTP/1.1 {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\
         x-request-id: {id}\r\n\r\n{body}",
        answer.status,
        body.len(),
    );
    if let Ok(Ok(())) = timeout(PATIENCE, deliver(socket, text.as_bytes())).await {
        record.add_bytes(body.len() as u64);
        record.end(Ending::Complete);
    }
}

async fn deliver(socket: &mut Socket, bytes: &[u8]) -> std::io::Result<()> {
    socket.write_all(bytes).await?;
    socket.flush().await
}

/// Ends a connection on which nothing more comes. In TLS the last word is said (RFC 8446 section 6.1).
pub(super) async fn say_farewell(mut socket: Socket) {
    if !matches!(socket, Socket::Plain(_)) {
        let _ = timeout(PATIENCE, socket.shutdown()).await;
    }
}

/// Ends our side and waits for the client to end its own. A socket closed while bytes arrive resets the connection, and
/// the client may lose an answer it has not read yet (RFC 9112 section 9.6).
pub(super) async fn linger(mut socket: Socket) {
    let deadline = Instant::now() + PATIENCE;
    if !matches!(timeout_at(deadline, socket.shutdown()).await, Ok(Ok(()))) {
        return;
    }
    let mut discarded = 0;
    // On the heap: on the stack it would be part of every idle connection.
    let mut buffer = vec![0; 4_096];
    while discarded < MOST_DISCARDED_BYTES {
        match timeout_at(deadline, socket.read(&mut buffer)).await {
            Ok(Ok(bytes)) if bytes > 0 => discarded += bytes,
            _ => return,
        }
    }
}
