//! Signed links: a token in the path of a URL that lets whoever has it read one dataset or folder until a time.
//!
//! A token says its scope and its end, and is authenticated by HMAC-SHA-256 under a key of the settings: nothing is
//! kept of it. Clients such as netCDF-C append suffixes and a query to a URL, so it is a segment of its own in front
//! of the path: `https://host/~TOKEN/opendap/x.nc`.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;

/// Before what is authenticated, so that a key's other uses, if any, are apart.
const CONTEXT: &[u8] = b"thalweg signed link\0";

/// The version of what a token holds.
const VERSION: u8 = 1;

/// Bytes of the time, and of the authentication.
const TIME_LEN: usize = 5;
const MAC_LEN: usize = 32;

/// A key has at least so many bytes.
const SHORTEST: usize = 32;

/// Longer tokens are not looked at: a name has at most 4 KiB.
const LONGEST: usize = 6000;

/// Why a token leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkError {
    /// It was made by no key of these.
    Invalid,
    /// Its time is over.
    Expired,
}

/// The keys that links are signed with. The first signs; all are good for checking, so that one can be replaced while
/// links of the former are still about.
#[derive(Debug, Default)]
pub struct Links(Vec<hmac::Key>);

impl Links {
    /// With `secrets` as keys.
    ///
    /// # Errors
    /// For a secret that is too short; it is not in the message.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, String> {
        let key = |secret: &[u8]| {
            if secret.len() < SHORTEST {
                return Err(format!(
                    "a key has at least {SHORTEST} characters (`thalweg sign --new-key` makes one)"
                ));
            }
            Ok(hmac::Key::new(hmac::HMAC_SHA256, secret))
        };
        secrets.into_iter().map(key).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there is no key: no link is good.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The token for `scope` that ends at `until`, in seconds since 1970; `None` without a key.
    pub fn sign(&self, scope: &str, until: u64) -> Option<String> {
        let key = self.0.first()?;
        let mut token = vec![VERSION];
        token.extend_from_slice(until.min((1 << (8 * TIME_LEN)) - 1).to_be_bytes().get(8 - TIME_LEN..)?);
        token.extend_from_slice(scope.as_bytes());
        let mac = hmac::sign(key, &[CONTEXT, &token].concat());
        token.extend_from_slice(mac.as_ref());
        Some(URL_SAFE_NO_PAD.encode(token))
    }

    /// The scope of `token` at the time `now`.
    ///
    /// # Errors
    /// Whether it is none, or its time is over; the second is said of those alone that a key has signed.
    pub fn check(&self, token: &str, now: u64) -> Result<String, LinkError> {
        if token.len() > LONGEST {
            return Err(LinkError::Invalid);
        }
        let token = URL_SAFE_NO_PAD.decode(token).ok().ok_or(LinkError::Invalid)?;
        let (signed, mac) = token
            .len()
            .checked_sub(MAC_LEN)
            .and_then(|at| token.split_at_checked(at))
            .ok_or(LinkError::Invalid)?;
        let message = [CONTEXT, signed].concat();
        // In constant time, for each key.
        if !self.0.iter().any(|key| hmac::verify(key, &message, mac).is_ok()) {
            return Err(LinkError::Invalid);
        }
        let Some((&[VERSION], rest)) = signed.split_first_chunk::<1>() else {
            return Err(LinkError::Invalid);
        };
        let (time, scope) = rest.split_first_chunk::<TIME_LEN>().ok_or(LinkError::Invalid)?;
        let until = time.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        let scope = std::str::from_utf8(scope).ok().ok_or(LinkError::Invalid)?;
        if now >= until { Err(LinkError::Expired) } else { Ok(scope.to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OLD: &[u8] = b"the former key, 32 bytes or more!!";
    const NEW: &[u8] = b"the current key, 32 bytes or more!";

    #[test]
    fn tokens_say_scope_and_end() {
        let links = Links::new([NEW, OLD]).unwrap();
        let token = links.sign("a/b c.nc", 1_000_000).unwrap();
        assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{token}");
        assert_eq!(links.check(&token, 999_999).as_deref(), Ok("a/b c.nc"));
        assert_eq!(links.check(&token, 1_000_000), Err(LinkError::Expired));
        // A key that has been replaced is good until it is taken away.
        let former = Links::new([OLD]).unwrap().sign("x", u64::MAX).unwrap();
        assert_eq!(links.check(&former, 5).as_deref(), Ok("x"));
        assert_eq!(Links::new([NEW]).unwrap().check(&former, 5), Err(LinkError::Invalid));
        assert_eq!(Links::default().check(&former, 5), Err(LinkError::Invalid));
        assert!(Links::new([&b"short"[..]]).is_err_and(|e| !e.contains("short,") && e.contains("32")));
    }

    #[test]
    fn a_forged_token_is_not_told_that_it_is_over() {
        let links = Links::new([NEW]).unwrap();
        let forged = Links::new([OLD]).unwrap().sign("a", 1).unwrap();
        assert_eq!(links.check(&forged, 1000), Err(LinkError::Invalid));
    }

    proptest! {
        #[test]
        fn no_other_token_is_good(at in 0_usize..60, bit in 0_u8..6, cut in 0_usize..60) {
            let links = Links::new([NEW]).unwrap();
            let token = links.sign("a/b", 1_000_000).unwrap();
            let mut bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(links.check(&URL_SAFE_NO_PAD.encode(&bytes), 1), Err(LinkError::Invalid));
            let cut = &token[..cut % token.len()];
            prop_assert_eq!(links.check(cut, 1), Err(LinkError::Invalid));
        }

        #[test]
        fn anything_may_be_asked(token in "\\PC{0,80}") {
            prop_assert!(Links::new([NEW]).unwrap().check(&token, 1).is_err());
        }
    }
}
