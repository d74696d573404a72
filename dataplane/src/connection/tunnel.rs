//! What follows an answer that leaves HTTP: bytes pass between the client and the upstream as they come. What one side does
//! not take is not read from the other. The record is held to the end, and with it the places it occupies.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use apigw_engine::fields::Fields;
use http::{
    StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, UPGRADE},
};
use tokio::io::AsyncWrite as _;

use super::{Client, client_io::ClientIo, deadlines::Deadlines};
use crate::{
    exchange::{
        record::{Ending, Record},
        response::Response,
        response_body::ResponseBody,
    },
    http1::{encoder, read_buffer::ReadBuffer},
    socket::Socket,
    upstream::connection::Wire,
};

/// What one side of a tunnel says and is told.
pub(super) trait Side {
    /// Reads once, and tells how many bytes came; 0: it has ended its side.
    fn poll_fill(&mut self, read: &mut ReadBuffer, context: &mut Context<'_>) -> Poll<io::Result<usize>>;

    /// Takes some of the bytes, and tells how many.
    fn poll_write(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Poll<io::Result<usize>>;

    /// Lets nothing wait that was taken.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Is told that nothing more will come.
    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
}

impl Side for Socket {
    fn poll_fill(&mut self, read: &mut ReadBuffer, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        Self::poll_fill(self, read, context)
    }

    fn poll_write(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        Pin::new(self).poll_write(context, bytes)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self).poll_flush(context)
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self).poll_shutdown(context)
    }
}

/// Whose connection, or stream, has ended in the middle.
#[derive(Debug)]
pub(super) enum Broken {
    /// The client's.
    Client,
    /// The upstream's.
    Upstream,
}

/// Tells a client of HTTP/1.1 that the upstream has agreed, and passes on what both say until both have ended.
pub(super) async fn run(mut response: Response<ResponseBody>, client: &Client, io: &ClientIo) {
    let Some(mut tunnel) = Tunnel::open(&mut response.body, &client.deadlines) else { return };
    write_head(response.status, &response.headers, io);
    let mut has_begun = false;
    let ended = poll_fn(|context| {
        if !has_begun {
            ready!(io.poll_flush(context)).map_err(|_gone| Broken::Client)?;
            has_begun = true;
        }
        let (mut socket, mut read) = io.tunnel();
        tunnel.poll(&mut *socket, &mut read, context)
    })
    .await;
    tunnel.end(&ended);
}

/// Puts the head where it waits to be written.
fn write_head(status: StatusCode, headers: &Fields, io: &ClientIo) {
    let mut outgoing = io.outgoing();
    let text = outgoing.text();
    encoder::status_line(text, status);
    encoder::fields(text, headers, |name| matches!(*name, CONNECTION | CONTENT_LENGTH));
    encoder::field(text, &CONNECTION, b"upgrade");
    encoder::field(text, &UPGRADE, b"websocket");
    encoder::end_of_head(text, None);
}

/// Whether more may pass in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// Its beginning has ended, and its end has been told; or its end takes nothing any more.
    Closed,
}

/// A tunnel that the upstream has agreed to.
pub(super) struct Tunnel<'a> {
    wire: &'a mut Wire,
    record: &'a mut Record,
    deadlines: &'a Deadlines,
    /// To the client.
    down: Way,
    /// To the upstream.
    up: Way,
}

impl<'a> Tunnel<'a> {
    /// Begins. None: told by its absence, an upstream that agrees before it has all of the request has not understood it.
    pub(super) fn open(body: &'a mut ResponseBody, deadlines: &'a Deadlines) -> Option<Self> {
        let (wire, record) = body.tunnel()?;
        deadlines.tunnel_begins();
        Some(Self { wire, record, deadlines, down: Way::Open, up: Way::Open })
    }

    /// Notes how it has ended.
    pub(super) fn end(self, ended: &Result<(), Broken>) {
        self.record.end(match ended {
            Ok(()) => Ending::Complete,
            Err(Broken::Client) => Ending::ClientDisconnected,
            Err(Broken::Upstream) => Ending::UpstreamTruncated,
        });
    }

    /// Passes on what there is, until both have ended. `read` is what the client has said and nobody has taken yet.
    pub(super) fn poll(
        &mut self,
        client: &mut impl Side,
        read: &mut ReadBuffer,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        // Down first: what an upstream has said at last reaches the client, even where it takes nothing any more.
        let down = self.poll_down(client, context)?;
        let up = self.poll_up(client, read, context)?;
        if down.is_ready() && up.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn poll_down(&mut self, client: &mut impl Side, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if self.down == Way::Closed {
            return Poll::Ready(Ok(()));
        }
        let (deadlines, record) = (self.deadlines, &mut *self.record);
        let Wire { socket, read, .. } = &mut *self.wire;
        let passed = pass(read, socket, client, context, |bytes| {
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

    fn poll_up(
        &mut self,
        client: &mut impl Side,
        read: &mut ReadBuffer,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        if self.up == Way::Closed {
            return Poll::Ready(Ok(()));
        }
        let deadlines = self.deadlines;
        let upstream = &mut self.wire.socket;
        match ready!(pass(read, client, upstream, context, |_| deadlines.tunnel_moved())) {
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
    from: &mut impl Side,
    to: &mut impl Side,
    context: &mut Context<'_>,
    mut moved: impl FnMut(usize),
) -> Poll<Result<(), Faulty>> {
    loop {
        while !read.is_empty() {
            let written = ready!(to.poll_write(read.as_slice(), context)).map_err(|_gone| Faulty::To)?;
            read.discard(written);
            moved(written);
        }
        // What TLS holds back goes before anybody waits for more.
        ready!(to.poll_flush(context)).map_err(|_gone| Faulty::To)?;
        if ready!(from.poll_fill(read, context)).map_err(|_gone| Faulty::From)? == 0 {
            return to.poll_shutdown(context).map_err(|_gone| Faulty::To);
        }
    }
}
