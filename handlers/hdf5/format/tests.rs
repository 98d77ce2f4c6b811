//! The fixtures against what libhdf5 says is in them, through `testdata/expected.json`.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use super::*;
use crate::storage::MemoryObject;

pub(super) fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("hdf5/format/testdata").join(name);
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

pub(super) fn expected() -> serde_json::Map<String, Value> {
    let all: Value = serde_json::from_slice(&fixture("expected.json")).unwrap();
    all.as_object().unwrap().clone()
}

pub(super) fn open(bytes: Vec<u8>) -> Result<File> {
    File::open(MemoryObject::object("test.h5", bytes))
}

fn order(order: ByteOrder) -> &'static str {
    match order {
        ByteOrder::Little => "le",
        ByteOrder::Big => "be",
        ByteOrder::Vax => "vax",
    }
}

fn text_kind(padding: StringPadding, charset: Charset) -> (u8, u8) {
    let padding = match padding {
        StringPadding::NullTerminated => 0,
        StringPadding::NullPadded => 1,
        StringPadding::SpacePadded => 2,
    };
    (padding, u8::from(charset == Charset::Utf8))
}

fn describe_type(datatype: &Datatype) -> Value {
    match datatype {
        Datatype::FixedPoint { size, order: o, signed, bit_offset, precision } => {
            json!(["int", size, order(*o), signed, bit_offset, precision])
        }
        Datatype::Float(f) => json!([
            "float",
            f.size,
            order(f.order),
            f.bit_offset,
            f.precision,
            f.sign_position,
            f.exponent_position,
            f.exponent_size,
            f.mantissa_position,
            f.mantissa_size,
            f.exponent_bias
        ]),
        Datatype::Time { size, .. } => json!(["time", size]),
        Datatype::String { size, padding, charset } => {
            let (padding, charset) = text_kind(*padding, *charset);
            json!(["string", size, padding, charset])
        }
        Datatype::Bitfield { size, order: o, bit_offset, precision } => {
            json!(["bits", size, order(*o), bit_offset, precision])
        }
        Datatype::Opaque { size, tag } => json!(["opaque", size, &**tag]),
        Datatype::Compound { size, members } => {
            let members: Vec<Value> =
                members.iter().map(|m| json!([&*m.name, m.offset, describe_type(&m.datatype)])).collect();
            json!(["compound", size, members])
        }
        Datatype::Reference { .. } => json!(["reference"]),
        Datatype::Enum { base, members } => {
            let members: Vec<Value> = members
                .iter()
                .map(|(name, value)| {
                    // The fixtures' enumerations have one-byte values.
                    assert_eq!(value.len(), 1);
                    json!([&**name, value[0]])
                })
                .collect();
            json!(["enum", describe_type(base), members])
        }
        Datatype::VarLen { kind: VarLenKind::Sequence, base, .. } => json!(["vlen", describe_type(base)]),
        Datatype::VarLen { kind: VarLenKind::String { padding, charset }, .. } => {
            let (padding, charset) = text_kind(*padding, *charset);
            json!(["text", padding, charset])
        }
        Datatype::Array { dims, base } => json!(["array", dims, describe_type(base)]),
        Datatype::Complex { base } => json!(["complex", describe_type(base)]),
    }
}

fn describe_space(space: &Dataspace) -> Value {
    match space {
        Dataspace::Null => Value::Null,
        Dataspace::Scalar => json!([]),
        Dataspace::Simple { dims, .. } => {
            json!(dims.iter().zip(space.limits()).map(|(d, m)| json!([d, m])).collect::<Vec<_>>())
        }
    }
}

fn texts(file: &File, attribute: &RawAttribute) -> Vec<String> {
    let width = file.size_of_offsets();
    attribute
        .data
        .chunks(width + 8)
        .map(|element| {
            let len = u32::from_le_bytes(element[..4].try_into().unwrap()) as usize;
            let mut address = [0; 8];
            address[..width].copy_from_slice(&element[4..4 + width]);
            let address = u64::from_le_bytes(address);
            let index = u32::from_le_bytes(element[4 + width..].try_into().unwrap());
            if len == 0 || address == 0 {
                return String::new();
            }
            let bytes = file.global_heap_object(address, index).unwrap();
            String::from_utf8(bytes[..len].to_vec()).unwrap()
        })
        .collect()
}

fn check_attributes(place: &str, file: &File, address: u64, wanted: &Value) {
    let mut found = file.attributes(address).unwrap_or_else(|e| panic!("{place}: {e}"));
    assert!(found.is_sorted_by_key(|a| a.creation_order), "{place}: attributes out of order");
    found.sort_by(|a, b| a.name.cmp(&b.name));
    let wanted = wanted.as_array().unwrap();
    let names: Vec<&str> = found.iter().map(|a| &*a.name).collect();
    let wanted_names: Vec<&str> = wanted.iter().map(|a| a["name"].as_str().unwrap()).collect();
    assert_eq!(names, wanted_names, "{place}");
    for (attribute, wanted) in found.iter().zip(wanted) {
        let place = format!("{place} attribute {}", attribute.name);
        assert_eq!(describe_type(&attribute.datatype), wanted["type"], "{place}");
        assert_eq!(describe_space(&attribute.dataspace), wanted["space"], "{place}");
        if let Some(crc) = wanted["crc32"].as_u64() {
            assert_eq!(u64::from(crc32fast::hash(&attribute.data)), crc, "{place}");
        }
        if let Some(raw) = wanted["raw"].as_str() {
            assert_eq!(hex(&attribute.data), raw, "{place}");
        }
        if let Some(wanted) = wanted["texts"].as_array() {
            assert_eq!(texts(file, attribute), *wanted, "{place}");
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}

fn check_links(place: &str, file: &File, node: &Node, wanted: &Value) {
    let links = file.links(node.address).unwrap_or_else(|e| panic!("{place}: {e}"));
    let found: Vec<Value> = links
        .iter()
        .map(|link| match &link.target {
            LinkTarget::Hard(address) => json!([&*link.name, "hard", address]),
            LinkTarget::Soft(path) => json!([&*link.name, "soft", path]),
            LinkTarget::External { file, path } => json!([&*link.name, "external", [file, path]]),
            LinkTarget::UserDefined(_) => json!([&*link.name, "user"]),
        })
        .collect();
    assert_eq!(json!(found), wanted["links"], "{place}");
    assert_eq!(json!(node.tracks_link_order), wanted["tracks_order"], "{place}");
}

fn check_chunks(place: &str, file: &File, info: &DatasetInfo, chunked: &ChunkedLayout, wanted: &Value) {
    assert_eq!(json!(chunked.chunk_shape), wanted["chunk"], "{place}");
    let table = file.chunk_table(info).unwrap_or_else(|e| panic!("{place}: {e}"));
    let wanted = wanted["chunks"].as_array().unwrap();
    assert_eq!(table.len(), wanted.len(), "{place}");
    for chunk in wanted {
        let offset: Vec<u64> = serde_json::from_value(chunk[0].clone()).unwrap();
        let position: Vec<u64> = offset.iter().zip(&chunked.chunk_shape).map(|(o, c)| o / c).collect();
        let found = table.locate(&position).unwrap_or_else(|| panic!("{place}: no chunk {position:?}"));
        assert_eq!(
            [found.offset, found.len],
            [chunk[1].as_u64().unwrap(), chunk[2].as_u64().unwrap()],
            "{place} {position:?}"
        );
        let over = |(at, (chunk, dim)): (&u64, (&u64, &u64))| (at + 1) * chunk > *dim;
        let edge = position.iter().zip(chunked.chunk_shape.iter().zip(info.dataspace.dims())).any(over);
        let mask = if chunked.edge_chunks_unfiltered && edge { json!(u32::MAX) } else { chunk[3].clone() };
        assert_eq!(json!(found.filter_mask), mask, "{place} {position:?}");
    }
}

fn check_dataset(place: &str, file: &File, info: &DatasetInfo, wanted: &Value) {
    assert_eq!(describe_type(&info.datatype), wanted["type"], "{place}");
    assert_eq!(describe_space(&info.dataspace), wanted["space"], "{place}");
    let filters: Vec<Value> =
        info.filters.iter().map(|f| json!([f.id, u8::from(f.optional), f.client_data])).collect();
    assert_eq!(json!(filters), wanted["filters"], "{place}");
    let state = match info.fill.state {
        FillState::Undefined => "undefined",
        FillState::Default => "default",
        FillState::Given => "given",
    };
    assert_eq!(state, wanted["fill"], "{place}");
    if let Some(raw) = wanted["fill_raw"].as_str() {
        assert_eq!(hex(info.fill.value.as_ref().unwrap()), raw, "{place}");
    }
    let layout = match &info.layout {
        Layout::Compact(data) => {
            assert_eq!(hex(data), wanted["raw"].as_str().unwrap(), "{place}");
            "compact"
        }
        Layout::Contiguous { offset, .. } => {
            assert_eq!(json!(offset), wanted["offset"], "{place}");
            "contiguous"
        }
        Layout::Chunked(chunked) => {
            check_chunks(place, file, info, chunked, wanted);
            "chunked"
        }
        Layout::Virtual => "virtual",
    };
    assert_eq!(layout, wanted["layout"], "{place}");
}

#[test]
fn everything_is_as_libhdf5_says() {
    let mut kinds = Vec::new();
    for (name, wanted) in expected() {
        let file = open(fixture(&name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(json!(file.root()), wanted["root"], "{name}");
        for (address, wanted) in wanted["objects"].as_object().unwrap() {
            let place = format!("{name} object {address}");
            let address: u64 = address.parse().unwrap();
            let node = file.object(address).unwrap_or_else(|e| panic!("{place}: {e}"));
            let kind = match &node.kind {
                NodeKind::Group => {
                    check_links(&place, &file, &node, wanted);
                    "group"
                }
                NodeKind::Dataset(info) => {
                    check_dataset(&place, &file, info, wanted);
                    if let Layout::Chunked(chunked) = &info.layout {
                        kinds.push((chunked.index.clone(), !info.filters.is_empty()));
                    }
                    "dataset"
                }
                NodeKind::NamedType(datatype) => {
                    assert_eq!(describe_type(datatype), wanted["type"], "{place}");
                    "type"
                }
            };
            assert_eq!(kind, wanted["kind"], "{place}");
            check_attributes(&place, &file, address, &wanted["attributes"]);
        }
    }
    // Every index there is, with filters and without, was among them.
    for (index, filtered) in [
        (ChunkIndexKind::BTree1, true),
        (ChunkIndexKind::BTree1, false),
        (ChunkIndexKind::Single { filtered: None }, false),
        (ChunkIndexKind::Implicit, false),
        (ChunkIndexKind::FixedArray, true),
        (ChunkIndexKind::FixedArray, false),
        (ChunkIndexKind::ExtensibleArray, true),
        (ChunkIndexKind::ExtensibleArray, false),
        (ChunkIndexKind::BTree2, true),
        (ChunkIndexKind::BTree2, false),
    ] {
        assert!(kinds.contains(&(index.clone(), filtered)), "no {index:?}, filtered: {filtered}");
    }
    assert!(kinds.iter().any(|(index, _)| matches!(index, ChunkIndexKind::Single { filtered: Some(_) })));
}

#[test]
fn committed_types_external_storage_and_virtual_layouts_are_reported() {
    let file = open(fixture("latest.h5")).unwrap();
    let find = |group: u64, name: &str| {
        let links = file.links(group).unwrap();
        match links.iter().find(|l| *l.name == *name).map(|l| &l.target) {
            Some(LinkTarget::Hard(address)) => *address,
            other => panic!("{name}: {other:?}"),
        }
    };
    let info = |address| match file.object(address).unwrap().kind {
        NodeKind::Dataset(info) => *info,
        other => panic!("{other:?}"),
    };
    let datasets = find(file.root(), "datasets");
    let committed = find(file.root(), "committed");
    assert_eq!(info(find(datasets, "uses")).committed, Some(committed));
    assert!(file.attributes(datasets).unwrap().iter().any(|a| a.committed == Some(committed)));
    assert!(info(find(datasets, "outside")).external_storage);
    assert_eq!(info(find(file.root(), "virtual")).layout, Layout::Virtual);
}

#[test]
fn a_file_that_was_cut_off_is_refused() {
    for name in expected().keys() {
        let mut bytes = fixture(name);
        bytes.pop();
        // A superblock may name a smaller end than the file has; then nothing was lost.
        if let Err(e) = open(bytes) {
            assert_eq!(e.kind(), cdm::ErrorKind::Corrupt, "{name}: {e}");
            assert!(e.message().contains("truncated"), "{name}: {e}");
        } else {
            panic!("{name} was opened");
        }
    }
}

#[test]
fn a_changed_byte_in_checksummed_metadata_is_found() {
    let mut bytes = fixture("latest.h5");
    let file = open(bytes.clone()).unwrap();
    let root = usize::try_from(file.root()).unwrap();
    bytes[root + 20] ^= 1;
    let error = open(bytes).unwrap().links(file.root()).unwrap_err();
    assert!(error.message().contains("checksum"), "{error}");
}

#[test]
fn a_file_keeps_no_block_of_a_chunk_index() {
    let file = open(fixture("latest.h5")).unwrap();
    let mut indexes = 0;
    for address in expected()["latest.h5"]["objects"].as_object().unwrap().keys() {
        if let NodeKind::Dataset(info) = file.object(address.parse().unwrap()).unwrap().kind
            && let Layout::Chunked(_) = info.layout
        {
            assert_ne!(file.0.input.kept(), 0);
            file.chunk_table(&info).unwrap();
            assert_eq!(file.0.input.kept(), 0);
            indexes += 1;
        }
    }
    assert!(indexes > 5);
}
