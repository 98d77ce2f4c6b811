//! The inside of a zip file as a store: its central directory is read once, its entries on demand.
//!
//! A stored entry is a range of the zip file and is read as one; a deflated entry is decoded whole when it
//! is opened. Encrypted entries and other compressions are refused. A name that leads elsewhere (`..`), or
//! that comes twice, is left out, as a listing could not show it.

#![warn(clippy::indexing_slicing)]

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{Error, Result, Version};
use libdeflater::Decompressor;
use rawzip::{CompressionMethod, ReaderAt, ZipLocator};

use super::{Entry, EntryKind, FileStatus, MemoryObject, Object, Part, ReadRanges, Store, blocking, larger};

/// Bytes at the end that are read first: the end of the directory, and all of a small one.
const TAIL: u64 = 64 << 10;

/// Bytes of the directory read at once.
const BUFFER: usize = 1 << 20;

/// Entries of one zip file.
const MOST_ENTRIES: usize = 4 << 20;

/// Bytes of all names.
const MOST_NAMES: usize = 256 << 20;

/// A deflated entry is never larger.
const LARGEST: u64 = 256 << 20;

/// Deflate's largest possible expansion.
const EXPANSION: u64 = 1032;

/// Bytes of a local header before its name.
const LOCAL_HEADER: u64 = 30;

/// An open zip file.
#[derive(Debug, Clone)]
pub struct ZipStore {
    object: Arc<Object>,
    entries: Arc<BTreeMap<String, ZipEntry>>,
}

/// One entry of the central directory.
#[derive(Debug)]
struct ZipEntry {
    /// Where its local header is.
    header: u64,
    /// Where its data are, once the local header was read.
    data: OnceLock<u64>,
    stored_len: u64,
    len: u64,
    crc: u32,
    method: CompressionMethod,
    encrypted: bool,
}

/// A zip file as `rawzip` reads it: blocks on storage, but for the tail, which is here.
struct Reader {
    object: Object,
    tail: Bytes,
}

impl ReaderAt for Reader {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let len = (buffer.len() as u64).min(self.object.size.saturating_sub(offset));
        if len == 0 {
            return Ok(0);
        }
        let tail = self.object.size - self.tail.len() as u64;
        let bytes = match offset.checked_sub(tail).and_then(|at| usize::try_from(at).ok()) {
            Some(at) => self.tail.slice(at.min(self.tail.len())..),
            None => self.object.read_blocking(offset..offset + len).map_err(io::Error::other)?,
        };
        let count = bytes.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(&bytes) {
            *to = *from;
        }
        Ok(count)
    }
}

impl ZipStore {
    /// Reads the central directory.
    ///
    /// # Errors
    /// `Corrupt` when it is not a zip file; what its storage says.
    pub async fn open(object: Object) -> Result<Self> {
        let tail = object.read(object.size.saturating_sub(TAIL)..object.size).await?;
        blocking(move || {
            let entries = directory(Reader { object: object.clone(), tail })?;
            Ok(Self { object: Arc::new(object), entries: Arc::new(entries) })
        })
        .await
    }

    /// The zip file itself.
    pub fn object(&self) -> &Arc<Object> {
        &self.object
    }

    /// The paths of all entries, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Where in the zip file each of `paths` is, if it is stored as it is: `None` for what is not there or
    /// not stored so.
    ///
    /// # Errors
    /// What the storage says; `Corrupt` when the entry is not where the directory says.
    pub async fn ranges(&self, paths: &[String]) -> Result<Vec<Option<Range<u64>>>> {
        let plain = |path: &String| {
            let entry = self.entries.get(path.as_str());
            entry.filter(|e| !e.encrypted && e.method == CompressionMethod::STORE && e.stored_len == e.len)
        };
        let found: Vec<Option<&ZipEntry>> = paths.iter().map(plain).collect();
        let unknown: Vec<&ZipEntry> =
            found.iter().flatten().filter(|e| e.data.get().is_none()).copied().collect();
        self.resolve(&unknown).await?;
        let range = |entry: &ZipEntry| {
            let start = *entry.data.get()?;
            Some(start..start.checked_add(entry.stored_len)?)
        };
        Ok(found.into_iter().map(|entry| entry.and_then(range)).collect())
    }

    /// Whether there is such an entry.
    pub fn contains(&self, path: &str) -> bool {
        self.entries.contains_key(path)
    }

    /// Finds out where the data of entries are: behind local headers, whose length only they tell.
    async fn resolve(&self, entries: &[&ZipEntry]) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let ends = |start: u64| start.checked_add(LOCAL_HEADER).ok_or_else(misplaced);
        let ranges: Result<Vec<Range<u64>>> = entries.iter().map(|e| Ok(e.header..ends(e.header)?)).collect();
        let headers = self.object.read_ranges(&ranges?).await?;
        for (entry, header) in entries.iter().zip(headers) {
            let short = |at: usize| -> Option<u64> {
                Some(u16::from_le_bytes(*header.get(at..)?.first_chunk()?).into())
            };
            let lens = short(26).zip(short(28)).filter(|_| header.starts_with(b"PK\x03\x04"));
            let (name, extra) = lens.ok_or_else(misplaced)?;
            let start = entry.header + LOCAL_HEADER + name + extra;
            let end = start.checked_add(entry.stored_len).filter(|end| *end <= self.object.size);
            end.ok_or_else(misplaced)?;
            // Another reader may have been first, with the same answer.
            let _ = entry.data.set(start);
        }
        Ok(())
    }

    fn version(&self, path: &str) -> Version {
        let outer = &self.object.version;
        Version { identity: format!("{}!{path}", outer.identity).into(), modified: outer.modified }
    }

    /// The entry as an object.
    async fn entry_object(&self, path: &str, entry: &ZipEntry) -> Result<Object> {
        if entry.encrypted {
            return Err(Error::unsupported(format!("{path} is encrypted in its zip file")));
        }
        if entry.data.get().is_none() {
            self.resolve(&[entry]).await?;
        }
        let start = *entry.data.get().ok_or_else(misplaced)?;
        let stored = start..start + entry.stored_len;
        let object = match entry.method {
            CompressionMethod::STORE => Object {
                name: path.into(),
                size: entry.stored_len,
                version: self.version(path),
                reader: Arc::new(Inside { object: Arc::clone(&self.object), start }),
                url: None,
            },
            CompressionMethod::DEFLATE => {
                let possible = entry.stored_len.saturating_mul(EXPANSION).min(LARGEST);
                if entry.len > possible {
                    return Err(larger(path, entry.len, possible));
                }
                let (bytes, len, crc) = (self.object.read(stored).await?, entry.len, entry.crc);
                let bytes = blocking(move || inflate(&bytes, len, crc)).await?;
                let object = MemoryObject::object(path, bytes);
                Object { version: self.version(path), ..object }
            }
            other => return Err(Error::unsupported(format!("{path} is compressed by method {other}"))),
        };
        Ok(object)
    }
}

fn misplaced() -> Error {
    Error::corrupt("an entry of the zip file is not where its directory says")
}

fn broken(e: rawzip::Error) -> Error {
    Error::corrupt("the zip file is damaged").with_source(e)
}

fn directory(reader: Reader) -> Result<BTreeMap<String, ZipEntry>> {
    let size = reader.object.size;
    let mut buffer = vec![0; BUFFER];
    let archive = ZipLocator::new().locate_in_reader(reader, &mut buffer, size);
    let archive = archive.map_err(|(_, e)| broken(e))?;
    let mut entries = BTreeMap::new();
    let mut names = 0_usize;
    let mut records = archive.entries(&mut buffer);
    while let Some(record) = records.next_entry().map_err(broken)? {
        let path = record.file_path();
        let Ok(path) = std::str::from_utf8(path.as_bytes()) else { continue };
        let safe = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !safe || path.contains(['\\', '\0']) {
            continue;
        }
        names += path.len();
        if entries.len() >= MOST_ENTRIES || names > MOST_NAMES {
            return Err(Error::unsupported("a zip file of that many entries"));
        }
        let entry = ZipEntry {
            header: record.local_header_offset(),
            data: OnceLock::new(),
            stored_len: record.compressed_size_hint(),
            len: record.uncompressed_size_hint(),
            crc: record.crc32(),
            method: record.compression_method(),
            encrypted: record.flags().is_encrypted(),
        };
        entries.insert(path.to_owned(), entry);
    }
    Ok(entries)
}

fn inflate(bytes: &[u8], len: u64, crc: u32) -> Result<Vec<u8>> {
    let damaged = || Error::corrupt("an entry of the zip file is damaged");
    let len = usize::try_from(len).map_err(|e| damaged().with_source(e))?;
    let mut out = vec![0; len];
    let written = Decompressor::new().deflate_decompress(bytes, &mut out);
    let written = written.map_err(|e| damaged().with_source(e))?;
    if written != len || crc32fast::hash(&out) != crc {
        return Err(damaged());
    }
    Ok(out)
}

#[async_trait]
impl Store for ZipStore {
    async fn open(&self, path: &str, part: Part) -> Result<Option<(Object, Bytes)>> {
        let Some(entry) = self.entries.get(path) else { return Ok(None) };
        if let Part::Whole { at_most } = part
            && entry.len > at_most
        {
            return Err(larger(path, entry.len, at_most));
        }
        let object = self.entry_object(path, entry).await?;
        let range = match part {
            Part::Head(len) => 0..len.min(object.size),
            Part::Tail(len) => object.size.saturating_sub(len)..object.size,
            Part::Whole { .. } => 0..object.size,
        };
        let whole = range == (0..object.size);
        let bytes = if range.is_empty() { Bytes::new() } else { object.read(range).await? };
        if whole && entry.method == CompressionMethod::STORE && crc32fast::hash(&bytes) != entry.crc {
            return Err(Error::corrupt(format!("{path} is damaged in its zip file")));
        }
        Ok(Some((object, bytes)))
    }

    async fn stat(&self, path: &str) -> Result<Option<FileStatus>> {
        let status = |entry: &ZipEntry| FileStatus { size: entry.len, version: self.version(path) };
        Ok(self.entries.get(path).map(status))
    }

    async fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let mut found = Vec::new();
        let mut from = prefix.clone();
        while let Some((path, entry)) = self.entries.range(from.clone()..).next() {
            let Some(rest) = path.strip_prefix(&prefix) else { break };
            match rest.split_once('/') {
                None => {
                    let kind = EntryKind::File { size: entry.len, modified: self.object.version.modified };
                    found.push(Entry { name: rest.into(), kind });
                    from = format!("{path}\0");
                }
                Some((name, _)) => {
                    found.push(Entry { name: name.into(), kind: EntryKind::Directory });
                    // `0` follows `/`: past everything inside.
                    from = format!("{prefix}{name}0");
                }
            }
        }
        if found.is_empty() && !folder.is_empty() {
            return Err(Error::not_found("there is no such folder"));
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    fn is_remote(&self) -> bool {
        // Entries are parts of one object; nothing is asked for by name.
        false
    }
}

/// A range of an object as an object.
#[derive(Debug)]
struct Inside {
    object: Arc<Object>,
    start: u64,
}

impl Inside {
    /// The same ranges in the object it is inside of.
    fn moved(&self, ranges: &[Range<u64>]) -> Vec<Range<u64>> {
        ranges.iter().map(|r| r.start + self.start..r.end + self.start).collect()
    }
}

#[async_trait]
impl ReadRanges for Inside {
    async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.object.read_ranges(&self.moved(ranges)).await
    }

    fn read_blocking(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.object.read_ranges_blocking(&self.moved(ranges))
    }

    fn is_near(&self) -> bool {
        self.object.is_near()
    }

    fn read_into(&self, start: u64, out: &mut [u8]) -> Result<()> {
        self.object.read_into(start.saturating_add(self.start), out)
    }
}
