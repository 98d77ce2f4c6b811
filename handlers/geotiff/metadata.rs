//! GDAL's metadata in XML (tag 42112): items of the whole image and of its bands. Text that declares a
//! document type is refused: entities are never defined by a file.

#![warn(clippy::indexing_slicing)]

use cdm::{Error, Result};
use quick_xml::{Reader, events::BytesStart, events::Event};

/// Items of one image that are kept.
const MOST_ITEMS: usize = 20_000;

/// One item.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) value: String,
    /// The band, from 0; `None`: the whole image.
    pub(crate) sample: Option<usize>,
    /// `scale`, `offset`, `description`, `unittype`, or nothing.
    pub(crate) role: String,
    /// GDAL's domain; nothing for ordinary items.
    pub(crate) domain: String,
}

/// The items of `text`.
///
/// # Errors
/// `Corrupt` when it is not well-formed, or defines entities.
pub(crate) fn items(text: &str) -> Result<Vec<Item>> {
    let damaged = |e: quick_xml::Error| Error::corrupt("the metadata are no XML").with_source(e);
    let mut reader = Reader::from_str(text);
    let mut found = Vec::new();
    let mut open: Option<Item> = None;
    let mut depth = 0_usize;
    loop {
        match reader.read_event().map_err(damaged)? {
            Event::Eof => return Ok(found),
            Event::DocType(_) => return Err(Error::corrupt("the metadata declare a document type")),
            Event::Start(element) => {
                depth += 1;
                if depth == 2 && element.name().as_ref() == "Item" {
                    open = Some(item(&element)?);
                }
            }
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                if depth == 1
                    && let Some(item) = open.take()
                {
                    if found.len() >= MOST_ITEMS {
                        return Err(Error::unsupported(format!("more than {MOST_ITEMS} metadata items")));
                    }
                    // GDAL escapes values before it writes them as XML, which escapes them again.
                    let value = quick_xml::escape::unescape(&item.value).map(Into::into);
                    found.push(Item { value: value.unwrap_or(item.value.clone()), ..item });
                }
            }
            Event::Text(part) => {
                if let (2, Some(item)) = (depth, &mut open) {
                    item.value.push_str(&part);
                }
            }
            Event::CData(part) => {
                if let (2, Some(item)) = (depth, &mut open) {
                    item.value.push_str(&part);
                }
            }
            Event::GeneralRef(name) => {
                if let (2, Some(item)) = (depth, &mut open) {
                    item.value.push_str(&unescaped(&format!("&{};", &*name))?);
                }
            }
            _ => {}
        }
    }
}

fn unescaped(text: &str) -> Result<String> {
    let found = quick_xml::escape::unescape(text);
    found.map(Into::into).map_err(|e| Error::corrupt("the metadata name an unknown entity").with_source(e))
}

fn item(element: &BytesStart<'_>) -> Result<Item> {
    let mut item = Item::default();
    for attribute in element.attributes() {
        let attribute = attribute.map_err(|e| Error::corrupt("the metadata are no XML").with_source(e))?;
        let value = unescaped(&attribute.value)?;
        match attribute.key.as_ref() {
            "name" => item.name = value,
            "sample" => item.sample = value.trim().parse().ok(),
            "role" => item.role = value,
            "domain" => item.domain = value,
            _ => {}
        }
    }
    Ok(item)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_images_and_bands() {
        let text = r#"<GDALMetadata>
  <Item name="A">x &lt; &#233; &amp;amp; <![CDATA[<y>]]></Item>
  <Item name="SCALE" sample="1" role="scale">0.1</Item>
  <Item name="E" domain="D"/>
  <Item name="S" domain="xml:X"><inner>1</inner></Item>
</GDALMetadata>"#;
        let found = items(text).unwrap();
        assert_eq!((found[0].name.as_str(), found[0].value.as_str()), ("A", "x < é & <y>"));
        assert_eq!((found[1].sample, found[1].role.as_str()), (Some(1), "scale"));
        assert_eq!(found.last().unwrap().value, "");
    }

    #[test]
    fn entities_are_never_defined() {
        let text = r#"<!DOCTYPE x [<!ENTITY a "b">]><GDALMetadata><Item name="A">&a;</Item></GDALMetadata>"#;
        assert!(items(text).is_err());
        assert!(items(r#"<GDALMetadata><Item name="A">&a;</Item></GDALMetadata>"#).is_err());
    }
}
