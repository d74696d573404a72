//! What others write is read, and they read what is written here: h2, of which only whole connections can be had.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::{
    decoder::{Decoder, Field},
    encoder::Encoder,
};

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// So many messages each way: enough for tables to be full.
const ROUNDS: usize = 60;

/// Some come again, some say something else for a while, some each time.
fn fields(round: usize) -> HeaderMap {
    let mut fields = vec![
        ("accept-encoding", "gzip, deflate".to_owned()),
        ("user-agent", "an agent/1.0 (that says \"so\")".to_owned()),
        ("cache-control", ["no-cache", "max-age=0", "private"][round % 3].to_owned()),
        ("date", format!("Mon, 21 Oct 2013 20:13:{:02} GMT", round / 4)),
        ("etag", format!("\"{round:x}\"")),
        ("x-request-id", format!("{round:032}")),
        ("x-again", "\u{fc}ber [ASCII] {and} ~|^<>\\".to_owned()),
        ("x-empty", String::new()),
        (["x-long", "x-longer"][round % 2], "#".repeat(30 * round)),
        ("set-cookie", "a=1".to_owned()),
        ("set-cookie", format!("b={round}")),
    ];
    fields.rotate_left(round % 5);
    fields.truncate(6 + round % 6);
    let field = |(name, value): (&'static str, String)| {
        (HeaderName::from_static(name), HeaderValue::from_maybe_shared(Bytes::from(value)).unwrap())
    };
    let mut map = HeaderMap::new();
    fields.into_iter().map(field).for_each(|(name, value)| {
        map.append(name, value);
    });
    map
}

fn status(round: usize) -> StatusCode {
    [StatusCode::OK, StatusCode::FOUND, StatusCode::NOT_FOUND][round % 3]
}

/// Answers each request, whose head is what it should be.
async fn serve(mut socket: DuplexStream) {
    let (mut decoder, mut encoder) = (Decoder::new(4096), Encoder::new());
    let (mut block, mut round) = (Vec::new(), 0);
    let mut preface = [0; 24];
    socket.read_exact(&mut preface).await.unwrap();
    write_frame(&mut socket, SETTINGS, 0, 0, &[]).await;
    while round < ROUNDS {
        let mut head = [0; 9];
        socket.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length as usize];
        socket.read_exact(&mut payload).await.unwrap();
        match kind {
            SETTINGS if flags & ACK == 0 => {
                for setting in payload.chunks(6) {
                    if setting[..2] == [0, 1] {
                        encoder.set_max_table_bytes(u32::from_be_bytes(setting[2..].try_into().unwrap()));
                    }
                }
                write_frame(&mut socket, SETTINGS, ACK, 0, &[]).await;
            }
            HEADERS | CONTINUATION => block.extend_from_slice(&payload),
            _ => {}
        }
        if matches!(kind, HEADERS | CONTINUATION) && flags & END_HEADERS != 0 {
            check(&mut decoder, &Bytes::from(std::mem::take(&mut block)), round);
            encoder.begin(&mut block);
            encoder.status(status(round), &mut block);
            fields(round).iter().for_each(|(name, value)| encoder.field(name, value, &mut block));
            write_frame(&mut socket, HEADERS, END_HEADERS | END_STREAM, stream, &block).await;
            block.clear();
            round += 1;
        }
    }
    // The client is the first to leave.
    socket.read_to_end(&mut block).await.unwrap();
}

async fn write_frame(socket: &mut DuplexStream, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let frame = [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat();
    socket.write_all(&frame).await.unwrap();
}

fn check(decoder: &mut Decoder, block: &Bytes, round: usize) {
    let (mut pseudo, mut regular) = (Vec::new(), HeaderMap::new());
    let outcome = decoder.decode(block, |field| match field {
        Field::Method(method) => pseudo.push(method.to_string()),
        Field::Scheme(value) | Field::Authority(value) => pseudo.push(value.to_str().unwrap().to_owned()),
        Field::Path(path) => pseudo.push(path.to_string()),
        Field::Regular(name, value) => {
            regular.append(name, value);
        }
        Field::Protocol(_) | Field::Malformed(_) => panic!("{field:?}"),
    });
    assert_eq!(outcome, Ok(()));
    pseudo.sort();
    assert_eq!(pseudo, [&format!("/a/{round}?b"), "PUT", "a.example", "http"], "{round}");
    assert_eq!(regular, fields(round), "{round}");
}

/// A client that keeps so large a table, or has not said.
async fn ask(socket: DuplexStream, table_bytes: Option<u32>) {
    let mut client = h2::client::Builder::new();
    if let Some(bytes) = table_bytes {
        client.header_table_size(bytes);
    }
    let (mut client, connection) = client.handshake::<_, Bytes>(socket).await.unwrap();
    let asking = async {
        for round in 0..ROUNDS {
            let mut request = Request::put(format!("http://a.example/a/{round}?b")).body(()).unwrap();
            *request.headers_mut() = fields(round);
            client = client.ready().await.unwrap();
            let (answer, _) = client.send_request(request, true).unwrap();
            let answer = answer.await.unwrap();
            assert_eq!((answer.status(), answer.headers()), (status(round), &fields(round)), "{round}");
        }
    };
    tokio::select! {
        () = asking => {}
        ended = connection => panic!("the client's connection has ended: {ended:?}"),
    }
}

#[tokio::test]
async fn h2_reads_and_is_read() {
    for table_bytes in [None, Some(0), Some(300), Some(65_536)] {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        tokio::join!(serve(ours), ask(theirs, table_bytes));
    }
}
