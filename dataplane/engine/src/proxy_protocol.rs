//! The PROXY protocol, versions 1 and 2: what a proxy in front of the gateway says of the client before the client's first
//! byte ([specification](https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt)). Whose word is taken is decided elsewhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The most bytes of a header: the fixed part of version 2 and 4 KiB. Version 1 has at most 107 (section 2.1).
pub const MAX_HEADER_BYTES: usize = FIXED_BYTES + 4_096;

/// Section 2.1, the line's end included.
const MAX_LINE_BYTES: usize = 107;
/// What version 2 begins with (section 2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, the command, the family and the length.
const FIXED_BYTES: usize = 16;
/// What version 1 begins with.
const WORD: &[u8] = b"PROXY ";
/// The field with the header's checksum (section 2.2.1).
const PP2_TYPE_CRC32C: u8 = 0x03;

/// What has come of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// All that has come belongs to it, and more will.
    Incomplete,
    /// It is whole.
    Complete {
        /// Its bytes; what follows is the client's.
        length: usize,
        /// Who the client is.
        client: ProxiedClient,
    },
}

/// Whom a proxy speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxiedClient {
    /// A client with this address.
    Address(IpAddr),
    /// Itself, or somebody of whom it knows no address: what is known of the connection holds.
    Unknown,
}

/// What came is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyHeaderError {
    /// It begins like neither version.
    #[error("neither version begins like that")]
    Absent,
    /// It begins like one, and does not go on as it should.
    #[error("it is malformed")]
    Malformed,
    /// It is longer than [`MAX_HEADER_BYTES`].
    #[error("it has more than {MAX_HEADER_BYTES} bytes")]
    TooLong,
    /// Its bytes are not those that its sender summed up.
    #[error("its checksum is another")]
    Checksum,
}

/// Looks at the beginning of a connection.
///
/// # Errors
/// As soon as it is known that no header will come of it.
pub fn parse(bytes: &[u8]) -> Result<ProxyHeader, ProxyHeaderError> {
    if begins(bytes, SIGNATURE) {
        binary(bytes)
    } else if begins(bytes, WORD) {
        line(bytes)
    } else {
        Err(ProxyHeaderError::Absent)
    }
}

/// Whether these bytes are the beginning of what starts so.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    let common = bytes.len().min(start.len());
    bytes[..common] == start[..common]
}

/// Version 1, section 2.1.
fn line(bytes: &[u8]) -> Result<ProxyHeader, ProxyHeaderError> {
    let within = &bytes[..bytes.len().min(MAX_LINE_BYTES)];
    let Some(end) = within.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < MAX_LINE_BYTES {
            Ok(ProxyHeader::Incomplete)
        } else {
            Err(ProxyHeaderError::Malformed)
        };
    };
    let text = std::str::from_utf8(&within[..end]).map_err(|_| ProxyHeaderError::Malformed)?;
    let mut words = text.split(' ').skip(1);
    let client = match words.next() {
        Some("TCP4") => addresses::<Ipv4Addr>(words)?,
        Some("TCP6") => addresses::<Ipv6Addr>(words)?,
        // Whatever follows it is to be ignored.
        Some("UNKNOWN") => ProxiedClient::Unknown,
        _ => return Err(ProxyHeaderError::Malformed),
    };
    Ok(ProxyHeader::Complete { length: end + 2, client })
}

/// Both addresses and both ports, of which the client's address is of interest.
fn addresses<'a, A: std::str::FromStr + Into<IpAddr>>(
    mut words: impl Iterator<Item = &'a str>,
) -> Result<ProxiedClient, ProxyHeaderError> {
    let mut address = || words.next().and_then(|word| word.parse::<A>().ok());
    let (source, destination) = (address(), address());
    let ports = [words.next(), words.next()].map(|word| word.is_some_and(is_port));
    match (source, destination, ports, words.next()) {
        (Some(source), Some(_), [true, true], None) => Ok(ProxiedClient::Address(source.into())),
        _ => Err(ProxyHeaderError::Malformed),
    }
}

/// A number from 0 to 65535 in the only spelling that the specification has for it.
fn is_port(word: &str) -> bool {
    let is_canonical = word == "0" || !word.starts_with('0');
    is_canonical && word.bytes().all(|byte| byte.is_ascii_digit()) && word.parse::<u16>().is_ok()
}

/// Version 2, section 2.2.
fn binary(bytes: &[u8]) -> Result<ProxyHeader, ProxyHeaderError> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED_BYTES>() else {
        return Ok(ProxyHeader::Incomplete);
    };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if FIXED_BYTES + length > MAX_HEADER_BYTES {
        return Err(ProxyHeaderError::TooLong);
    }
    let is_proxied = match command {
        0x20 => false,
        0x21 => true,
        _ => return Err(ProxyHeaderError::Malformed),
    };
    let Some(rest) = rest.get(..length) else { return Ok(ProxyHeader::Incomplete) };
    let length = FIXED_BYTES + length;
    if !is_proxied {
        // The proxy itself, which looks whether the gateway is well: all of the rest is to be ignored, the family too.
        return Ok(ProxyHeader::Complete { length, client: ProxiedClient::Unknown });
    }
    let (client, fields) = proxied(family, rest)?;
    check_fields(&bytes[..length], length - fields.len())?;
    Ok(ProxyHeader::Complete { length, client })
}

/// The client, and the fields behind the addresses. A client's address is its own whether it reached the proxy by a stream
/// or, as with HTTP/3, by datagrams.
fn proxied(family: u8, rest: &[u8]) -> Result<(ProxiedClient, &[u8]), ProxyHeaderError> {
    let malformed = ProxyHeaderError::Malformed;
    match family {
        0x00 => Ok((ProxiedClient::Unknown, rest)),
        0x11 | 0x12 => {
            let (addresses, fields) = rest.split_first_chunk::<12>().ok_or(malformed)?;
            let [a, b, c, d, ..] = *addresses;
            Ok((ProxiedClient::Address(Ipv4Addr::new(a, b, c, d).into()), fields))
        }
        0x21 | 0x22 => {
            let (addresses, fields) = rest.split_first_chunk::<36>().ok_or(malformed)?;
            let (source, _) = addresses.split_first_chunk::<16>().ok_or(malformed)?;
            Ok((ProxiedClient::Address(Ipv6Addr::from(*source).into()), fields))
        }
        // A program on the proxy's machine, of which there is no address.
        0x31 | 0x32 => {
            let (_, fields) = rest.split_first_chunk::<216>().ok_or(malformed)?;
            Ok((ProxiedClient::Unknown, fields))
        }
        _ => Err(malformed),
    }
}

/// Passes over the fields (section 2.2), and holds the header to its checksum if it has one.
fn check_fields(header: &[u8], mut at: usize) -> Result<(), ProxyHeaderError> {
    let mut checksum = None;
    while at < header.len() {
        let [kind, high, low] = *header[at..].first_chunk().ok_or(ProxyHeaderError::Malformed)?;
        let value = at + 3;
        at = value + usize::from(u16::from_be_bytes([high, low]));
        let bytes = header.get(value..at).ok_or(ProxyHeaderError::Malformed)?;
        if kind == PP2_TYPE_CRC32C {
            let said = bytes.try_into().map(u32::from_be_bytes).map_err(|_| ProxyHeaderError::Malformed)?;
            if checksum.replace((value, said)).is_some() {
                return Err(ProxyHeaderError::Malformed);
            }
        }
    }
    match checksum {
        Some((place, said)) if crc32c(header, place) != said => Err(ProxyHeaderError::Checksum),
        _ => Ok(()),
    }
}

/// CRC-32C ([RFC 3720 appendix B.4](https://www.rfc-editor.org/rfc/rfc3720#appendix-B.4)) of a header whose checksum, the four
/// bytes at `place`, counts as zeros.
fn crc32c(header: &[u8], place: usize) -> u32 {
    /// The polynomial 0x1EDC6F41, its bits reversed.
    const POLYNOMIAL: u32 = 0x82F6_3B78;
    let is_checksum = |index: usize| (place..place + 4).contains(&index);
    let bytes = header.iter().enumerate().map(|(index, byte)| if is_checksum(index) { 0 } else { *byte });
    !bytes.fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| (sum >> 1) ^ if sum & 1 == 1 { POLYNOMIAL } else { 0 })
    })
}

#[cfg(test)]
mod tests;
