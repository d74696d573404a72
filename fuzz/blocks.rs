//! What is fed with heads of HTTP/2, and what must hold whatever they are. Included where `crate::http2` is.

use bytes::Bytes;

use crate::http2::hpack::{
    decoder::{CompressionError, Decoder, Field},
    encoder::Encoder,
};

/// The smallest that can be said, to fill it with little.
const TABLE_BYTES: usize = 256;

/// Blocks of one connection, each behind its length in two bytes. What they say is the same when it is written anew.
pub(crate) fn hpack(mut bytes: &[u8]) {
    let (mut decoder, mut again) = (Decoder::new(TABLE_BYTES), Decoder::new(4096));
    let mut encoder = Encoder::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (block, rest) = rest.split_at(rest.len().min(u16::from_be_bytes(*length).into()));
        bytes = rest;
        let Ok(fields) = read(&mut decoder, block) else { return };
        assert!(fields.len() <= block.len(), "{block:?}");
        fields.iter().for_each(is_field_of_request);

        let mut written = Vec::new();
        // Sizes of the peer's table go with what it says.
        encoder.set_max_table_bytes(u32::from(u16::from_be_bytes(*length)) * 64);
        encoder.begin(&mut written);
        let mut regular = fields;
        regular.retain(|field| matches!(field, Field::Regular(..)));
        for field in &regular {
            if let Field::Regular(name, value) = field {
                encoder.field(name, value, &mut written);
            }
        }
        assert_eq!(read(&mut again, &written), Ok(regular), "{block:?}");
    }
}

fn read(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<Field>, CompressionError> {
    let mut fields = Vec::new();
    decoder.decode(&Bytes::copy_from_slice(block), |field| fields.push(field)).map(|()| fields)
}

/// Whatever is in it can be said in HTTP/1.1.
fn is_field_of_request(field: &Field) {
    let is_said = match field {
        Field::Method(method) => !method.as_str().is_empty() && is_visible(method.as_str().as_bytes()),
        Field::Path(path) => {
            (path.as_str().starts_with('/') || path == "*") && is_visible(path.as_str().as_bytes())
        }
        Field::Scheme(value) | Field::Authority(value) | Field::Protocol(value) => is_value(value.as_bytes()),
        Field::Regular(name, value) => {
            let name = name.as_str();
            let is_lower_case = !name.bytes().any(|byte| byte.is_ascii_uppercase());
            is_lower_case && is_visible(name.as_bytes()) && !name.contains(':') && is_value(value.as_bytes())
        }
        Field::Malformed(_) => true,
    };
    assert!(is_said, "{field:?}");
    assert!(field.size() >= 32);
}

fn is_visible(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_graphic)
}

fn is_value(value: &[u8]) -> bool {
    let is_text = |&byte: &u8| byte == b'\t' || byte >= b' ' && byte != 0x7f;
    value.iter().all(is_text) && !matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t'])
}
