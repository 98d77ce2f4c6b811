//! The data response: the DDS, a line `Data:`, then XDR (protocol section 5.4), with the limits that are
//! known before a byte is read. Values are [`super::xdr`]'s business.

use std::fmt::Write as _;

use bytes::Bytes;
use cdm::{Error, Result, Variable};
use futures::{Stream, StreamExt, stream};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    dds,
    resolve::{Answer, Item, Leaf},
    xdr,
};
use crate::protocols::{ByteStream, Request};

/// The whole body, and its length when all types have a fixed size.
///
/// # Errors
/// `TooLarge` with the limit and a smaller request.
pub(super) fn body(
    request: &Request<'_>,
    dataset: &str,
    answer: &Answer,
) -> Result<(Option<u64>, ByteStream)> {
    answer.items.iter().flat_map(Item::leaves).try_for_each(|leaf| check(request, leaf))?;
    let limit = request.largest.binary;
    // pydap splits at `\nData:\n`; the DDS ends with the first of these line feeds.
    let head = dds::text(dataset, answer) + "Data:\n";
    let leaves: Vec<Leaf> = answer.items.iter().flat_map(|item| item.leaves().cloned()).collect();
    let length = leaves
        .iter()
        .try_fold(head.len() as u64, |sum, leaf| Some(sum.saturating_add(xdr::fixed_len(&leaf.declared)?)));
    if length.is_some_and(|length| length > limit) {
        let largest = leaves.iter().max_by_key(|l| xdr::fixed_len(&l.declared));
        let example = largest.map(|l| smaller(request, ".dods", l, limit / 16)).unwrap_or_default();
        return Err(Error::too_large(format!(
            "the answer would have {} bytes; the limit is {limit} bytes. Ask for less, for example {example}",
            length.unwrap_or_default(),
        )));
    }
    let data = stream::iter(leaves).flat_map(|leaf| xdr::values(&leaf));
    Ok((length, until_error(behind(head.into(), data))))
}

/// `head`, then `data`; but `head` is held back until there are data, so that a failure of the first read
/// is the first item, and can still have a status.
pub(super) fn behind(head: Bytes, data: impl Stream<Item = Result<Bytes>> + Send + 'static) -> ByteStream {
    let whole = async move {
        let mut data = data.boxed();
        let first = data.next().await;
        let head = (!matches!(first, Some(Err(_))) && !head.is_empty()).then_some(Ok(head));
        stream::iter(head.into_iter().chain(first)).chain(data)
    };
    stream::once(whole).flatten().boxed()
}

/// Nothing may follow an error: it cuts the connection.
pub(super) fn until_error(items: ByteStream) -> ByteStream {
    items
        .scan(false, |failed, item| {
            let item = (!*failed).then_some(item);
            *failed = matches!(item, Some(Err(_)));
            std::future::ready(item)
        })
        .boxed()
}

fn check(request: &Request<'_>, leaf: &Leaf) -> Result<()> {
    let mut waiting: Vec<&Variable> = vec![&leaf.declared];
    while let Some(variable) = waiting.pop() {
        let count = variable.element_count();
        if count > xdr::MAX_COUNT {
            return Err(Error::too_large(format!(
                "{} has {count} elements; DAP2 counts at most {}. Ask for less, for example {}",
                variable.name,
                xdr::MAX_COUNT,
                smaller(request, ".dods", leaf, xdr::MAX_COUNT)
            )));
        }
        waiting.extend(variable.data_type.record().iter().flat_map(|r| &r.fields));
    }
    Ok(())
}

/// The URL of at most `limit` of the elements that `leaf` wants: outer axes shrink first.
pub(super) fn smaller(request: &Request<'_>, suffix: &str, leaf: &Leaf, limit: u64) -> String {
    let shape = leaf.selection.shape();
    // As it stands in a DDS it may have percent signs of its own.
    let name = utf8_percent_encode(&leaf.declared.name, NON_ALPHANUMERIC).to_string().replace("%5F", "_");
    let mut text = format!("{}{suffix}?{name}", request.base_url);
    let mut inner = shape.iter().fold(1_u64, |n, s| n.saturating_mul(*s));
    for (slices, size) in leaf.selection.axes().iter().zip(&shape) {
        let outer_left = inner;
        // What remains when this axis is a single index.
        inner = if *size > 0 && inner < u64::MAX {
            inner / size
        } else {
            shape.iter().rev().take_while(|s| !std::ptr::eq(*s, size)).fold(1, |n, s| n.saturating_mul(*s))
        };
        let count = if outer_left <= limit { *size } else { (limit / inner.max(1)).clamp(1, (*size).max(1)) };
        let (start, step) = slices.first().map_or((0, 1), |s| (s.start, s.step.get()));
        let last = start.saturating_add(count.saturating_sub(1).saturating_mul(step));
        // Writing to a String cannot fail.
        let _ = write!(text, "%5B{start}:{step}:{last}%5D");
    }
    text
}
