//! Topic, directory and cluster ids: 16 bytes, printed the way Kafka prints them. Never makes randomness.

use std::fmt;
use std::str::FromStr;

/// A 128-bit id. Its text is URL-safe base64 without padding, 22 characters.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const TEXT_LEN: usize = 22;

impl Uuid {
    /// "No id": what a field holds when a version has none.
    pub const ZERO: Self = Self([0; 16]);
    /// The id of `__cluster_metadata`; as a directory id it means "not assigned yet".
    pub const ONE: Self = Self::from_u128(1);
    /// As a directory id: a directory that is lost.
    pub const LOST_DIRECTORY: Self = Self::from_u128(2);
    /// Ids below this are reserved by Kafka for special directories.
    const FIRST_UNRESERVED: u128 = 100;

    pub const fn from_u128(value: u128) -> Self {
        Self(value.to_be_bytes())
    }

    pub const fn as_u128(self) -> u128 {
        u128::from_be_bytes(self.0)
    }

    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    /// A version 4 id from 16 random bytes, or `None` when Kafka would not use it: reserved, or with a
    /// leading `-`, which a command line takes for an option.
    pub fn from_random(mut bytes: [u8; 16]) -> Option<Self> {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let id = Self(bytes);
        let usable = id.as_u128() >= Self::FIRST_UNRESERVED && id.text()[0] != b'-';
        usable.then_some(id)
    }

    fn text(self) -> [u8; TEXT_LEN] {
        // 128 bits are 21 digits of 6 bits and one of 2 bits, which is padded on the right.
        let value = self.as_u128();
        std::array::from_fn(|i| {
            let digit = if i < 21 { value >> (122 - 6 * i) } else { value << 4 };
            ALPHABET[(digit & 0x3f) as usize]
        })
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text().iter().try_for_each(|&c| fmt::Write::write_char(f, char::from(c)))
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 22 characters of URL-safe base64 that stand for 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseUuidError;

impl fmt::Display for ParseUuidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id is 22 characters of URL-safe base64")
    }
}

impl std::error::Error for ParseUuidError {}

impl FromStr for Uuid {
    type Err = ParseUuidError;

    fn from_str(text: &str) -> Result<Self, ParseUuidError> {
        // Kafka's own ids come without padding; its parser takes both.
        let text = text.strip_suffix("==").unwrap_or(text).as_bytes();
        let (last, digits) = text.split_last().ok_or(ParseUuidError)?;
        if text.len() != TEXT_LEN {
            return Err(ParseUuidError);
        }
        let high = digits.iter().try_fold(0u128, |value, &c| Ok((value << 6) | u128::from(digit(c)?)))?;
        Ok(Self::from_u128((high << 2) | u128::from(digit(*last)? >> 4)))
    }
}

fn digit(c: u8) -> Result<u8, ParseUuidError> {
    let value = match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return Err(ParseUuidError),
    };
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_kafka_does() {
        assert_eq!(Uuid::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(Uuid::ONE.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(Uuid::from_u128(u128::MAX).to_string(), "_____________________w");
    }

    #[test]
    fn parses_what_it_prints() {
        for seed in 0..500u128 {
            let id = Uuid::from_u128(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        assert_eq!("4L6g3nShT-eMCtK--X86sw".parse::<Uuid>().unwrap().to_string(), "4L6g3nShT-eMCtK--X86sw");
    }

    #[test]
    fn refuses_other_texts() {
        for text in ["", "A", "AAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAA+", "ÄÄÄÄÄÄÄÄÄÄÄ"] {
            assert_eq!(text.parse::<Uuid>(), Err(ParseUuidError), "{text}");
        }
    }

    #[test]
    fn random_ids_never_look_like_an_option() {
        assert_eq!(Uuid::from_random([0xf8; 16]), None);
        let id = Uuid::from_random([0x11; 16]).unwrap();
        assert_eq!((id.0[6] >> 4, id.0[8] >> 6), (4, 2));
    }
}
