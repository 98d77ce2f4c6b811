//! Where DMR++ says a variable's values are: chunks of files, or in the document itself.

#![warn(clippy::indexing_slicing)]

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose};
use bytes::Bytes;
use cdm::{Error, Result};

use crate::xml::Element;

/// How the values of one variable are stored.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Elements of a chunk per axis; `None`: all in one piece.
    pub(super) chunk_shape: Option<Vec<u64>>,
    /// What the chunks went through, in that order.
    pub(super) filters: Vec<String>,
    /// Most significant byte first.
    pub(super) big_endian: bool,
    /// What never-written elements hold, as it is written; one text per member of a structure.
    pub(super) fill: Option<String>,
    /// Where the members of a structure after the first begin, and the structure's size.
    pub(super) offsets: Vec<usize>,
    /// Bytes of a fixed-length string, and how it is padded.
    pub(super) text: Option<(usize, Padding)>,
    /// The values themselves.
    pub(super) values: Values,
}

/// How the unused end of a fixed-length string is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Padding {
    /// With NUL.
    Null,
    /// With blanks.
    Space,
}

/// Where values are.
#[derive(Debug, Default)]
pub(super) enum Values {
    /// The document does not say.
    #[default]
    Unknown,
    /// In files; by the chunk's first element. What is not listed was never written.
    Chunks(HashMap<Vec<u64>, Vec<Piece>>),
    /// Here, as they are.
    Here(Bytes),
    /// Here, deflated when they are more than one.
    Deflated(Bytes),
    /// Strings, each with how often it comes.
    Strings(Vec<(String, u64)>),
}

/// Bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) href: Option<u32>,
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) filter_mask: u32,
}

/// Each `href` of a document once.
#[derive(Debug, Default)]
pub(super) struct Hrefs {
    pub(super) texts: Vec<String>,
    known: HashMap<String, u32>,
}

impl Hrefs {
    fn number(&mut self, href: &str) -> Result<u32> {
        if let Some(n) = self.known.get(href) {
            return Ok(*n);
        }
        let n =
            u32::try_from(self.texts.len()).map_err(|e| Error::too_large("too many files").with_source(e))?;
        self.texts.push(href.to_owned());
        self.known.insert(href.to_owned(), n);
        Ok(n)
    }
}

impl Layout {
    /// What the element of a variable says. `legacy`: Hyrax before 3.20.13 wrote filters in no order.
    ///
    /// # Errors
    /// `Corrupt` for what cannot be; `Unsupported` for what is not known here.
    pub(super) fn read(variable: &Element<'_>, legacy: bool, hrefs: &mut Hrefs) -> Result<Self> {
        let mut layout = Self::default();
        if let Some(chunks) = variable.first("chunks") {
            layout.read_chunks(chunks, legacy, hrefs)?;
        } else if let Some(chunk) = variable.first("chunk") {
            layout.big_endian = chunk.attribute("byteOrder") == Some("BE");
            let pieces = vec![piece(chunk, hrefs)?];
            layout.values = Values::Chunks(HashMap::from([(Vec::new(), pieces)]));
        }
        if let Some(array) = variable.first("FixedLengthStringArray") {
            let len = number(array.require("string_length")?)?;
            let len = usize::try_from(len).ok().filter(|n| (1..=1 << 20).contains(n));
            let padding =
                if array.attribute("pad") == Some("space") { Padding::Space } else { Padding::Null };
            layout.text =
                Some((len.ok_or_else(|| Error::corrupt("a string of impossible length"))?, padding));
        }
        if let Some(here) = variable.first("compact") {
            layout.values = Values::Here(base64(&here.text)?);
        } else if let Some(here) = variable.first("missingdata") {
            // What build_dmrpp computed itself is in its machine's order.
            layout.big_endian = false;
            layout.values = Values::Deflated(base64(&here.text)?);
        } else if let Some(here) = variable.first("vlsa") {
            layout.values = Values::Strings(here.all("v").map(string).collect::<Result<_>>()?);
        } else if variable.first("specialstructuredata").is_some() {
            return Err(Error::unsupported("structures of strings in DMR++ are not supported"));
        }
        Ok(layout)
    }

    fn read_chunks(&mut self, chunks: &Element<'_>, legacy: bool, hrefs: &mut Hrefs) -> Result<()> {
        self.filters = chunks
            .attribute("compressionType")
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        if legacy {
            let rank = |filter: &String| match filter.as_str() {
                "shuffle" => 0,
                "fletcher32" => 2,
                _ => 1,
            };
            self.filters.sort_by_key(rank);
        }
        self.big_endian = match chunks.attribute("byteOrder") {
            None | Some("LE" | "") => false,
            Some("BE") => true,
            Some(_) => return Err(Error::corrupt("a byteOrder other than LE and BE")),
        };
        self.fill = chunks.attribute("fillValue").map(str::to_owned);
        for offset in chunks.attribute("structOffset").unwrap_or_default().split_whitespace() {
            let offset = usize::try_from(number(offset)?).ok().filter(|n| *n <= 1 << 20);
            self.offsets.push(offset.ok_or_else(|| Error::corrupt("a structure of impossible size"))?);
        }
        if let Some(sizes) = chunks.first("chunkDimensionSizes") {
            let sizes = sizes.text.split_whitespace().map(number).collect::<Result<Vec<_>>>()?;
            if sizes.contains(&0) {
                return Err(Error::corrupt("a chunk of no elements"));
            }
            self.chunk_shape = Some(sizes).filter(|sizes| !sizes.is_empty());
        }
        let mut found: HashMap<Vec<u64>, Vec<Piece>> = HashMap::new();
        let linked = chunks.attribute("LBChunk") == Some("true");
        for element in &chunks.children {
            let (position, joined) = match element.name {
                "chunk" => (position(element.attribute("chunkPositionInArray").unwrap_or_default())?, linked),
                "block" => (Vec::new(), true),
                _ => continue,
            };
            let pieces = found.entry(position).or_default();
            if !pieces.is_empty() && !joined {
                return Err(Error::corrupt("two chunks at one place"));
            }
            pieces.push(piece(element, hrefs)?);
        }
        // Hyrax marks what it cannot read so.
        let marked = self.fill.as_deref().is_some_and(|fill| fill.starts_with("unsupported-"));
        if marked {
            self.fill = None;
        }
        if !(marked && found.is_empty()) {
            self.values = Values::Chunks(found);
        }
        Ok(())
    }
}

fn piece(chunk: &Element<'_>, hrefs: &mut Hrefs) -> Result<Piece> {
    let filter_mask = chunk.attribute("fm").map_or(Ok(0), number)?;
    Ok(Piece {
        href: chunk
            .attribute("href")
            .filter(|href| !href.is_empty())
            .map(|href| hrefs.number(href))
            .transpose()?,
        offset: number(chunk.require("offset")?)?,
        len: number(chunk.require("nBytes")?)?,
        filter_mask: u32::try_from(filter_mask)
            .map_err(|e| Error::corrupt("a filter mask of more than 32 bits").with_source(e))?,
    })
}

/// `[0,10]`.
fn position(text: &str) -> Result<Vec<u64>> {
    let inside = text.trim().trim_start_matches('[').trim_end_matches(']');
    if inside.trim().is_empty() {
        return Ok(Vec::new());
    }
    inside.split(',').map(number).collect()
}

fn number(text: &str) -> Result<u64> {
    text.trim().parse().map_err(|e: std::num::ParseIntError| {
        let shown: String = text.chars().take(40).collect();
        Error::corrupt(format!("'{shown}' where an unsigned number was expected")).with_source(e)
    })
}

fn base64(text: &str) -> Result<Bytes> {
    let code: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let bytes = general_purpose::STANDARD.decode(code);
    bytes.map(Bytes::from).map_err(|e| Error::corrupt("values that are not base64").with_source(e))
}

/// A string and its count; long ones are deflated, and then their length is told.
fn string(v: &Element<'_>) -> Result<(String, u64)> {
    let count = v.attribute("c").map_or(Ok(1), number)?;
    let Some(len) = v.attribute("s") else { return Ok((v.text.clone(), count)) };
    let len = usize::try_from(number(len)?).ok().filter(|n| *n <= 1 << 24);
    let len = len.ok_or_else(|| Error::too_large("a string is too long"))?;
    let code = base64(&v.text)?;
    if len / 1032 > code.len() {
        return Err(Error::corrupt("a string longer than its code can tell"));
    }
    let bytes = crate::chunked::codecs::Codec::decode(&crate::chunked::codecs::Deflate, code, Some(len))?;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml;

    fn read(inside: &str) -> Result<Layout> {
        let text = format!("<Int32 name='v' xmlns:dmrpp='x'>{inside}</Int32>");
        Layout::read(&xml::parse(&text).map_err(xml::Fault::into_error)?, false, &mut Hrefs::default())
    }

    #[test]
    fn chunks() {
        let layout = read(
            "<dmrpp:chunks compressionType='shuffle deflate' fillValue='-99' byteOrder='BE'>
             <dmrpp:chunkDimensionSizes>2 3</dmrpp:chunkDimensionSizes>
             <dmrpp:chunk offset='10' nBytes='20' chunkPositionInArray='[0,3]' fm='2'/>
             <dmrpp:chunk offset='30' nBytes='20' chunkPositionInArray='[2,0]' href='b.h5'/></dmrpp:chunks>",
        )
        .unwrap();
        assert_eq!(
            (layout.chunk_shape, layout.filters.len(), layout.big_endian),
            (Some(vec![2, 3]), 2, true)
        );
        let Values::Chunks(chunks) = layout.values else { panic!() };
        assert_eq!(chunks[&vec![0, 3]], [Piece { href: None, offset: 10, len: 20, filter_mask: 2 }]);
        assert_eq!(chunks[&vec![2, 0]], [Piece { href: Some(0), offset: 30, len: 20, filter_mask: 0 }]);
        let one = read("<dmrpp:chunk offset='1' nBytes='2'/>").unwrap();
        assert!(matches!(one.values, Values::Chunks(chunks) if chunks.len() == 1));
        let blocks = read(
            "<dmrpp:chunks><dmrpp:block offset='1' nBytes='2'/><dmrpp:block offset='7' nBytes='2'/></dmrpp:chunks>",
        );
        assert!(matches!(blocks.unwrap().values, Values::Chunks(chunks) if chunks[&Vec::new()].len() == 2));
        assert!(matches!(
            read("<dmrpp:chunks fillValue='unsupported-string'/>").unwrap().values,
            Values::Unknown
        ));
        assert!(matches!(read("").unwrap().values, Values::Unknown));
    }

    #[test]
    fn values_in_the_document() {
        assert!(
            matches!(read("<dmrpp:compact>AQID\n BA==</dmrpp:compact>").unwrap().values, Values::Here(b) if b[..] == [1, 2, 3, 4])
        );
        let strings = read("<dmrpp:vlsa><v>a</v><v c='3'>b&amp;</v></dmrpp:vlsa>").unwrap();
        let Values::Strings(strings) = strings.values else { panic!() };
        assert_eq!(strings, [("a".to_owned(), 1), ("b&".to_owned(), 3)]);
    }

    #[test]
    fn hostile_chunks_are_refused() {
        for wrong in [
            "<dmrpp:chunk offset='1'/>",
            "<dmrpp:chunk offset='-1' nBytes='2'/>",
            "<dmrpp:chunk offset='x' nBytes='2'/>",
            "<dmrpp:chunk offset='1' nBytes='99999999999999999999'/>",
            "<dmrpp:chunk offset='1' nBytes='2' fm='4294967296'/>",
            "<dmrpp:chunks byteOrder='XE'/>",
            "<dmrpp:chunks><dmrpp:chunkDimensionSizes>0</dmrpp:chunkDimensionSizes></dmrpp:chunks>",
            "<dmrpp:chunks><dmrpp:chunk offset='1' nBytes='2'/><dmrpp:chunk offset='1' nBytes='2'/></dmrpp:chunks>",
            "<dmrpp:chunks><dmrpp:chunk offset='1' nBytes='2' chunkPositionInArray='[a]'/></dmrpp:chunks>",
            "<dmrpp:compact>???</dmrpp:compact>",
            "<dmrpp:vlsa><v c='x'>a</v></dmrpp:vlsa>",
            "<dmrpp:vlsa><v s='9999999'>AAAA</v></dmrpp:vlsa>",
            "<dmrpp:FixedLengthStringArray string_length='0'/>",
        ] {
            assert_eq!(read(wrong).unwrap_err().kind(), cdm::ErrorKind::Corrupt, "{wrong}");
        }
    }
}
