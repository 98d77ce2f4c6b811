//! gzip for text answers, when the client asks.

use std::io::Write;

use bytes::Bytes;
use cdm::Error;
use flate2::{Compression, write::GzEncoder};
use futures::{StreamExt, stream};
use http::{HeaderMap, header};

use crate::protocols::ByteStream;

/// Compressed bytes are sent on once there are this many.
const PIECE: usize = 16 * 1024;

/// Whether `Accept-Encoding` takes gzip (RFC 9110 12.5.3). Without the header: no.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = None;
    for item in headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
    {
        let mut parts = item.split(';').map(str::trim);
        let coding = parts.next().unwrap_or_default();
        let quality =
            parts.find_map(|p| p.strip_prefix("q=")).map_or(1.0, |q| q.parse::<f32>().unwrap_or(0.0));
        if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
            return quality > 0.0;
        }
        if coding == "*" {
            any = Some(quality > 0.0);
        }
    }
    any.unwrap_or(false)
}

/// `body`, compressed piece by piece. An error passes through, and no trailer is written after it.
pub(super) fn gzip(body: ByteStream) -> ByteStream {
    let encoder = GzEncoder::new(Vec::new(), Compression::new(5));
    Box::pin(stream::unfold(Some((body, encoder)), |state| async move {
        let (mut body, mut encoder) = state?;
        loop {
            match body.next().await {
                Some(Ok(bytes)) => {
                    if let Err(e) = encoder.write_all(&bytes) {
                        return Some((Err(failed(e)), None));
                    }
                    if encoder.get_ref().len() >= PIECE {
                        let piece = Bytes::from(std::mem::take(encoder.get_mut()));
                        return Some((Ok(piece), Some((body, encoder))));
                    }
                }
                Some(Err(e)) => return Some((Err(e), None)),
                None => return Some((encoder.finish().map(Bytes::from).map_err(failed), None)),
            }
        }
    }))
}

fn failed(error: std::io::Error) -> Error {
    Error::internal("compressing failed").with_source(error)
}

/// Bytes of all items, for tests.
#[cfg(test)]
pub(super) async fn collect(mut body: ByteStream) -> cdm::Result<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(bytes) = body.next().await {
        all.extend_from_slice(&bytes?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn negotiation() {
        let accepts = |value: &str| {
            accepts_gzip(&[(header::ACCEPT_ENCODING, value.parse().unwrap())].into_iter().collect())
        };
        assert!(accepts("gzip") && accepts("deflate, gzip;q=0.5") && accepts("*") && accepts("GZIP"));
        assert!(!accepts("identity") && !accepts("gzip;q=0") && !accepts("gzip;q=0, *") && !accepts(""));
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn text_survives_and_errors_pass() {
        let text: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        let parts: Vec<_> = text.chunks(7000).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
        let packed = collect(gzip(Box::pin(stream::iter(parts)))).await.unwrap();
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut back).unwrap();
        assert!(back == text && packed.len() < text.len());
        let failing = vec![Ok(Bytes::from_static(b"x")), Err(Error::corrupt("late"))];
        let items: Vec<_> = gzip(Box::pin(stream::iter(failing))).collect().await;
        assert!(items.last().unwrap().is_err());
    }
}
