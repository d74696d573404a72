//! What follows an answer that leaves HTTP: bytes pass between the client and the upstream as they come. What one side does
//! not take is not read from the other. The record is held to the end, and with it the places it occupies.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{
    HeaderValue, Response,
    header::{CONNECTION, CONTENT_LENGTH, UPGRADE},
    response,
};
use tokio::io::AsyncWrite as _;

use super::{Client, client_io::ClientIo, deadlines::Deadlines};
use crate::{
    exchange::{
        record::{Ending, Record},
        response_body::ResponseBody,
    },
    http1::{encoder, read_buffer::ReadBuffer},
    socket::Socket,
    upstream::connection::Wire,
};

/// A connection that has ended in the middle.
#[derive(Debug)]
enum Broken {
    /// The client's.
    Client,
    /// The upstream's.
    Upstream,
}

/// Tells the client that the upstream has agreed, and passes on what both say until both have ended.
pub(super) async fn run(response: Response<ResponseBody>, client: &Client, io: &ClientIo) {
    let (head, mut body) = response.into_parts();
    // Told by its absence, an upstream that agrees before it has all of the request has not understood it.
    let Some((wire, record)) = body.tunnel() else { return };
    write_head(&head, io);
    let mut tunnel = Tunnel {
        wire,
        record,
        io,
        deadlines: &client.deadlines,
        has_begun: false,
        down: Way::Open,
        up: Way::Open,
    };
    tunnel.deadlines.tunnel_moved();
    let ended = poll_fn(|context| tunnel.poll(context)).await;
    tunnel.record.end(match ended {
        Ok(()) => Ending::Complete,
        Err(Broken::Client) => Ending::ClientDisconnected,
        Err(Broken::Upstream) => Ending::UpstreamTruncated,
    });
}

/// Puts the head where it waits to be written.
fn write_head(head: &response::Parts, io: &ClientIo) {
    let mut outgoing = io.outgoing();
    let text = outgoing.text();
    encoder::status_line(text, head.status);
    for (name, value) in &head.headers {
        if *name != CONNECTION && *name != CONTENT_LENGTH {
            encoder::field(text, name, value);
        }
    }
    encoder::field(text, &CONNECTION, &HeaderValue::from_static("upgrade"));
    encoder::field(text, &UPGRADE, &HeaderValue::from_static("websocket"));
    encoder::end_of_head(text, None);
}

/// Whether more may pass in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// Its beginning has ended, and its end has been told; or its end takes nothing any more.
    Closed,
}

struct Tunnel<'a> {
    wire: &'a mut Wire,
    record: &'a mut Record,
    io: &'a ClientIo,
    deadlines: &'a Deadlines,
    /// Whether the client has been given all of the head.
    has_begun: bool,
    /// To the client.
    down: Way,
    /// To the upstream.
    up: Way,
}

impl Tunnel<'_> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if !self.has_begun {
            ready!(self.io.poll_flush(context)).map_err(|_gone| Broken::Client)?;
            self.has_begun = true;
        }
        // Down first: what an upstream has said at last reaches the client, even where it takes nothing any more.
        let down = self.poll_down(context)?;
        let up = self.poll_up(context)?;
        if down.is_ready() && up.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn poll_down(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if self.down == Way::Closed {
            return Poll::Ready(Ok(()));
        }
        let (mut client, _) = self.io.tunnel();
        let (deadlines, record) = (self.deadlines, &mut *self.record);
        let Wire { socket, read, .. } = &mut *self.wire;
        let passed = pass(read, socket, &mut client, context, |bytes| {
            deadlines.tunnel_moved();
            deadlines.write_progressed();
            record.add_bytes(bytes as u64);
        });
        // It waits for the client only while something is left that has come from the upstream.
        if passed.is_pending() && !read.is_empty() {
            deadlines.write_blocked();
        }
        ready!(passed).map_err(|end| match end {
            Faulty::From => Broken::Upstream,
            Faulty::To => Broken::Client,
        })?;
        self.down = Way::Closed;
        Poll::Ready(Ok(()))
    }

    fn poll_up(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if self.up == Way::Closed {
            return Poll::Ready(Ok(()));
        }
        let (mut client, mut read) = self.io.tunnel();
        let deadlines = self.deadlines;
        let upstream = &mut self.wire.socket;
        match ready!(pass(&mut read, &mut client, upstream, context, |_| deadlines.tunnel_moved())) {
            Err(Faulty::From) => return Poll::Ready(Err(Broken::Client)),
            // What the upstream says until its end still counts.
            Ok(()) | Err(Faulty::To) => self.up = Way::Closed,
        }
        Poll::Ready(Ok(()))
    }
}

/// Which end of a direction has broken.
enum Faulty {
    From,
    To,
}

/// Passes on what has come and what comes, until the beginning ends; then the end is told.
fn pass(
    read: &mut ReadBuffer,
    from: &mut Socket,
    to: &mut Socket,
    context: &mut Context<'_>,
    mut moved: impl FnMut(usize),
) -> Poll<Result<(), Faulty>> {
    loop {
        while !read.is_empty() {
            let written = Pin::new(&mut *to).poll_write(context, read.as_slice());
            let written = ready!(written).map_err(|_gone| Faulty::To)?;
            read.discard(written);
            moved(written);
        }
        // What TLS holds back goes before anybody waits for more.
        ready!(Pin::new(&mut *to).poll_flush(context)).map_err(|_gone| Faulty::To)?;
        if ready!(from.poll_fill(read, context)).map_err(|_gone| Faulty::From)? == 0 {
            return Pin::new(to).poll_shutdown(context).map_err(|_gone| Faulty::To);
        }
    }
}
