//! Messages of protobuf as they travel: numbered fields, whatever they mean. Read by no code of the programs, so that what they
//! send is what is published.

use std::fmt::Write as _;

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Held<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Held<'a> {
    pub(super) fn number(self) -> u64 {
        match self {
            Self::Number(number) => number,
            Self::Bytes(bytes) => panic!("not a number: {bytes:?}"),
        }
    }

    pub(super) fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Number(number) => panic!("not bytes: {number}"),
        }
    }

    pub(super) fn text(self) -> String {
        String::from_utf8(self.bytes().to_vec()).expect("texts are UTF-8")
    }

    pub(super) fn digits(self) -> String {
        let mut digits = String::new();
        for byte in self.bytes() {
            // Writing to a text cannot fail.
            let _ = write!(digits, "{byte:02x}");
        }
        digits
    }
}

/// The fields of a message in their order.
pub(super) fn fields(mut message: &[u8]) -> Vec<(u64, Held<'_>)> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let held = match key & 7 {
            0 => Held::Number(varint(&mut message)),
            1 => Held::Number(u64::from_le_bytes(taken(&mut message))),
            5 => Held::Number(u32::from_le_bytes(taken(&mut message)).into()),
            2 => {
                let length = usize::try_from(varint(&mut message)).expect("a length");
                let (bytes, rest) = message.split_at(length);
                message = rest;
                Held::Bytes(bytes)
            }
            other => panic!("no field of today has the wire type {other}"),
        };
        fields.push((key >> 3, held));
    }
    fields
}

fn taken<const BYTES: usize>(message: &mut &[u8]) -> [u8; BYTES] {
    let (bytes, rest) = message.split_first_chunk().expect("a whole number");
    *message = rest;
    *bytes
}

fn varint(message: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let [byte] = taken(message);
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return number;
        }
    }
    panic!("a number has at most ten bytes");
}
