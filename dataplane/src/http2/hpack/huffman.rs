//! Text in fewer bits (RFC 7541 section 5.2 and appendix B): a code of 5 to 30 bits for each byte. Read, never written.

use super::decoder::CompressionError;

/// How many bits each byte's code has, and the end's, which is never in a text. The code is canonical: of a length, codes go up
/// with what they stand for, and those of each length go on behind those of the one before. So the lengths are all of it.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
     6, 10, 10, 12, 13,  6,  8, 11, 10, 10,  8, 11,  8,  6,  6,  6,
     5,  5,  5,  6,  6,  6,  6,  6,  6,  6,  7,  8, 15,  6, 12, 10,
    13,  6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,
     7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8, 13, 19, 13, 14,  6,
    15,  5,  6,  5,  6,  5,  6,  6,  6,  5,  7,  7,  6,  6,  6,  5,
     6,  7,  6,  5,  5,  6,  7,  7,  7,  7,  7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

const SHORTEST: u32 = 5;
const LONGEST: u32 = 30;

/// So many bits are looked up at once: they have the codes of one or two of the bytes that are usual in heads.
const LOOKUP: u32 = 12;

/// What the next bits begin with.
static BEGINNINGS: [Beginning; 1 << LOOKUP] = beginnings();

/// What [`LOOKUP`] bits begin with.
#[derive(Clone, Copy)]
struct Beginning {
    /// One or two bytes; of one, the other is anything.
    symbols: [u8; 2],
    /// How many these are, or 0 where the first code is longer.
    count: u8,
    /// How many bits their codes have together.
    bits: u8,
}

/// Codes by their length.
static CODES: [Length; LONGEST as usize + 1] = lengths();

/// What codes stand for, in the codes' order.
static SYMBOLS: [u16; LENGTHS.len()] = symbols();

/// The codes of one length.
#[derive(Clone, Copy)]
struct Length {
    /// The first of them.
    first: u32,
    /// What is behind them, as the beginning of 32 bits.
    end: u64,
    /// What the first one stands for, as a place in [`SYMBOLS`].
    symbol: usize,
}

/// Reads a text into the beginning of `text`, which becomes as large as that needs, and tells its length.
///
/// # Errors
/// When there is an end in it, or behind it what is none (RFC 7541 section 5.2).
pub(super) fn decode(coded: &[u8], text: &mut Vec<u8>) -> Result<usize, CompressionError> {
    // Two are written at once.
    let longest_text = coded.len() * 8 / SHORTEST as usize + 1;
    if text.len() < longest_text {
        text.resize(longest_text, 0);
    }
    let text = &mut text[..longest_text];
    let (mut bits, mut length) = (Bits { next: 0, count: 0, rest: coded }, 0);
    loop {
        bits.fill();
        while bits.count >= LOOKUP {
            let Beginning { symbols, count, bits: skipped } =
                BEGINNINGS[(bits.next >> (64 - LOOKUP)) as usize];
            if count == 0 {
                break;
            }
            text[length..][..2].copy_from_slice(&symbols);
            length += usize::from(count);
            bits.skip(skipped.into());
        }
        if bits.rest.is_empty() {
            break;
        }
        if bits.count >= LONGEST {
            let (symbol, skipped) = code(bits.next);
            text[length] = u8::try_from(symbol).map_err(|_end| CompressionError::Huffman)?;
            length += 1;
            bits.skip(skipped);
        }
    }
    // The end is padded with the beginning of its code, which is ones: so more of them say nothing else.
    loop {
        let padded = bits.next | u64::MAX.checked_shr(bits.count).unwrap_or(0);
        if padded == u64::MAX && bits.count < 8 {
            return Ok(length);
        }
        let (symbol, skipped) = code(padded);
        if skipped > bits.count {
            return Err(CompressionError::Huffman);
        }
        text[length] = u8::try_from(symbol).map_err(|_end| CompressionError::Huffman)?;
        length += 1;
        bits.skip(skipped);
    }
}

/// So many bits are there at least, unless the text ends with them.
const MANY_BITS: u32 = 56;

/// What has not been read.
struct Bits<'a> {
    /// The next bits, the first one highest. Behind them are zeros, or the beginning of the rest.
    next: u64,
    /// How many there are.
    count: u32,
    rest: &'a [u8],
}

impl Bits<'_> {
    /// Until there are [`MANY_BITS`], or no more.
    #[inline]
    fn fill(&mut self) {
        if let Some(bytes) = self.rest.first_chunk() {
            self.next |= u64::from_be_bytes(*bytes) >> self.count;
            self.rest = &self.rest[(63 - self.count as usize) / 8..];
            self.count |= MANY_BITS;
        } else {
            while self.count < MANY_BITS
                && let Some((&byte, rest)) = self.rest.split_first()
            {
                self.next |= u64::from(byte) << (MANY_BITS - self.count);
                self.rest = rest;
                self.count += 8;
            }
        }
    }

    #[inline]
    fn skip(&mut self, bits: u32) {
        self.next <<= bits;
        self.count -= bits;
    }
}

/// What the bits begin with, and how many bits its code has.
fn code(bits: u64) -> (u16, u32) {
    let bits = bits >> 32;
    let mut length = SHORTEST;
    while bits >= CODES[length as usize].end {
        length += 1;
    }
    let Length { first, symbol, .. } = CODES[length as usize];
    let behind_first = (bits >> (32 - length)) as usize - first as usize;
    (SYMBOLS[symbol + behind_first], length)
}

const fn lengths() -> [Length; LONGEST as usize + 1] {
    let mut lengths = [Length { first: 0, end: 0, symbol: 0 }; LONGEST as usize + 1];
    let (mut code, mut symbol, mut length) = (0, 0, 1);
    while length <= LONGEST {
        code <<= 1;
        lengths[length as usize] = Length { first: code, end: 0, symbol };
        let mut byte = 0;
        while byte < LENGTHS.len() {
            if LENGTHS[byte] as u32 == length {
                code += 1;
                symbol += 1;
            }
            byte += 1;
        }
        lengths[length as usize].end = (code as u64) << (32 - length);
        length += 1;
    }
    lengths
}

#[expect(clippy::cast_possible_truncation, reason = "there are 257")]
const fn symbols() -> [u16; LENGTHS.len()] {
    let mut symbols = [0; LENGTHS.len()];
    let (mut symbol, mut length) = (0, SHORTEST);
    while length <= LONGEST {
        let mut byte = 0;
        while byte < LENGTHS.len() {
            if LENGTHS[byte] as u32 == length {
                symbols[symbol] = byte as u16;
                symbol += 1;
            }
            byte += 1;
        }
        length += 1;
    }
    symbols
}

#[expect(clippy::cast_possible_truncation, reason = "lengths are up to 12, and the end's code is longer")]
const fn beginnings() -> [Beginning; 1 << LOOKUP] {
    let (lengths, symbols) = (lengths(), symbols());
    let mut beginnings = [Beginning { symbols: [0; 2], count: 0, bits: 0 }; 1 << LOOKUP];
    let mut bits = 0;
    while bits < beginnings.len() {
        let beginning = &mut beginnings[bits];
        while beginning.count < 2 {
            let begun = beginning.bits as u32;
            // Those that follow, in front of zeros.
            let rest = (bits << begun) % (1 << LOOKUP);
            let mut length = SHORTEST;
            while length <= LOOKUP - begun && (rest as u64) << (32 - LOOKUP) >= lengths[length as usize].end {
                length += 1;
            }
            if length > LOOKUP - begun {
                break;
            }
            let Length { first, symbol, .. } = lengths[length as usize];
            let behind_first = (rest >> (LOOKUP - length)) - first as usize;
            beginning.symbols[beginning.count as usize] = symbols[symbol + behind_first] as u8;
            beginning.count += 1;
            beginning.bits += length as u8;
        }
        bits += 1;
    }
    beginnings
}

#[cfg(test)]
mod tests;
