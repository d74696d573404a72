//! The algorithms, each with a bound for what it remembers.
//!
//! They are asked for speed rather than for the last byte, as every answer is compressed anew.

use std::io::{self, Write as _};

use apigw_config::names::ContentCoding;
use brotli::{CompressorWriter, enc::BrotliEncoderParams};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use zstd::stream::write::Encoder as ZstandardEncoder;

/// As far back as brotli and Zstandard look, as a power of two: 128 KiB. Gzip never looks further than 32 KiB.
const BROTLI_WINDOW_LOG: i32 = 17;
const ZSTANDARD_WINDOW_LOG: u32 = 17;
const BROTLI_QUALITY: i32 = 4;
const ZSTANDARD_LEVEL: i32 = 3;
const GZIP_LEVEL: u32 = 5;
/// What brotli hands on at once.
const BROTLI_BUFFER_BYTES: usize = 4 << 10;

/// A stream in one of the codings.
pub(super) enum Encoder {
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Zstandard(Box<ZstandardEncoder<'static, Vec<u8>>>),
    Gzip(Box<GzEncoder<Vec<u8>>>),
}

impl Encoder {
    /// Begins a stream.
    ///
    /// # Errors
    /// When the algorithm fails, as for want of memory.
    pub(super) fn new(coding: ContentCoding) -> io::Result<Self> {
        Ok(match coding {
            ContentCoding::Brotli => {
                let parameters = BrotliEncoderParams {
                    quality: BROTLI_QUALITY,
                    lgwin: BROTLI_WINDOW_LOG,
                    ..BrotliEncoderParams::default()
                };
                let encoder = CompressorWriter::with_params(Vec::new(), BROTLI_BUFFER_BYTES, &parameters);
                Self::Brotli(Box::new(encoder))
            }
            ContentCoding::Zstandard => {
                let mut encoder = ZstandardEncoder::new(Vec::new(), ZSTANDARD_LEVEL)?;
                encoder.window_log(ZSTANDARD_WINDOW_LOG)?;
                Self::Zstandard(Box::new(encoder))
            }
            ContentCoding::Gzip => {
                Self::Gzip(Box::new(GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL))))
            }
        })
    }

    /// Takes a piece of the content.
    ///
    /// # Errors
    /// When the algorithm fails.
    pub(super) fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        match self {
            Self::Brotli(encoder) => encoder.write_all(piece),
            Self::Zstandard(encoder) => encoder.write_all(piece),
            Self::Gzip(encoder) => encoder.write_all(piece),
        }
    }

    /// Has all that was taken be what can be read from what is given.
    ///
    /// # Errors
    /// When the algorithm fails.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Brotli(encoder) => encoder.flush(),
            Self::Zstandard(encoder) => encoder.flush(),
            Self::Gzip(encoder) => encoder.flush(),
        }
    }

    /// What has come of it since this was asked last.
    pub(super) fn take(&mut self) -> Bytes {
        let made = match self {
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Zstandard(encoder) => encoder.get_mut(),
            Self::Gzip(encoder) => encoder.get_mut(),
        };
        std::mem::take(made).into()
    }

    /// Ends the stream; gives what is left of it.
    ///
    /// # Errors
    /// When the algorithm fails.
    pub(super) fn finish(self) -> io::Result<Bytes> {
        let made = match self {
            Self::Brotli(encoder) => encoder.into_inner(),
            Self::Zstandard(encoder) => encoder.finish()?,
            Self::Gzip(encoder) => encoder.finish()?,
        };
        Ok(made.into())
    }
}
