//! Follows a chunked body to its end, byte by byte.

use super::Fault;

/// Where in a chunked body (RFC 9112 §7.1) the next byte stands.
///
/// Extensions and trailers are refused: nothing that reaches an instance sends them, and they are where parsers
/// disagree (a bare LF in an extension, a second head in the trailers).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunked {
    /// In the size line, after this many digits of this value.
    Size { digits: u8, value: u64 },
    /// Before the LF of the size line.
    SizeLf { value: u64 },
    /// In the data, with this many bytes to come.
    Data { left: u64 },
    /// Before the CR after the data.
    DataCr,
    /// Before the LF after the data.
    DataLf,
    /// Before the CR of the last line.
    LastCr,
    /// Before the LF of the last line.
    LastLf,
    /// After the last chunk.
    End,
}

impl Chunked {
    pub(super) const START: Self = Self::Size {
        digits: 0,
        value: 0,
    };

    /// How many of `bytes` belong to the body.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let mut at = 0;
        while at < bytes.len() && *self != Self::End {
            if let Self::Data { left } = *self {
                let take = usize::try_from(left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len() - at);
                at += take;
                let left = left - take as u64;
                *self = if left == 0 {
                    Self::DataCr
                } else {
                    Self::Data { left }
                };
            } else {
                *self = self.step(bytes[at])?;
                at += 1;
            }
        }
        Ok(at)
    }

    fn step(self, byte: u8) -> Result<Self, Fault> {
        Ok(match (self, byte) {
            (Self::Size { digits, value }, _) if byte.is_ascii_hexdigit() => {
                // Fifteen digits are more than any body has, and cannot overflow.
                if digits == 15 {
                    return Err(Fault::Malformed("a chunk size is too long"));
                }
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                Self::Size {
                    digits: digits + 1,
                    value: value * 16 + u64::from(digit),
                }
            }
            (Self::Size { digits: 1.., value }, b'\r') => Self::SizeLf { value },
            (Self::SizeLf { value: 0 }, b'\n') => Self::LastCr,
            (Self::SizeLf { value: left }, b'\n') => Self::Data { left },
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::START,
            (Self::LastCr, b'\r') => Self::LastLf,
            (Self::LastLf, b'\n') => Self::End,
            _ => return Err(Fault::Malformed("the chunked body is not well formed")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_ends_at_its_last_chunk_however_it_is_cut() {
        let body = b"5\r\nhello\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n";
        for cut in 0..body.len() {
            let mut state = Chunked::START;
            assert_eq!(state.feed(&body[..cut]), Ok(cut));
            assert_ne!(state, Chunked::End);
            let rest = [&body[cut..], b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(state.feed(&rest), Ok(body.len() - cut));
            assert_eq!(state, Chunked::End);
        }
    }

    #[test]
    fn a18_smuggling_in_chunks_is_refused() {
        for body in [
            "\r\n",
            "g\r\n",
            " 5\r\nhello\r\n",
            "5 \r\nhello\r\n",
            "5;a=b\r\nhello\r\n",
            "+5\r\nhello\r\n",
            "0x5\r\nhello\r\n",
            "5\nhello\r\n",
            "5\rhello\r\n",
            "5\r\nhelloX\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhello\r0\r\n\r\n",
            "0\r\nTrailer: x\r\n\r\n",
            "0\n\r\n",
            "0\r\n\n",
            "0\r\n\rX",
            "1000000000000000\r\n",
            "ffffffffffffffff\r\n",
            "-1\r\n",
            "5\r\nhello\r\n\r\n0\r\n\r\n",
            "5\0\r\n",
        ] {
            assert!(
                Chunked::START.clone().feed(body.as_bytes()).is_err(),
                "{body:?}"
            );
        }
    }
}
