//! One image of the file: its size, its chunks, and the type of its samples.
//!
//! What is contradictory makes the image `Corrupt`; a sample type or compression that is not read here
//! leaves the image in place, and its values answer with `Unsupported`.

#![warn(clippy::indexing_slicing)]

use std::sync::Arc;

use cdm::{DataType, Error, RecordType, Result, Variable};

use super::{directory::Directory, tags};

/// Bands of one image.
const MOST_SAMPLES: u64 = 65_535;

/// What an image is among the images of a file (tag `NewSubfileType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// An image of its own.
    Full,
    /// A smaller version of the last full image.
    Overview,
    /// Says which pixels of the last full image, or of its overview, are valid.
    Mask,
}

/// One image.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) role: Role,
    pub(crate) width: u64,
    pub(crate) height: u64,
    /// Bands.
    pub(crate) samples: u64,
    /// Each band is stored for itself.
    pub(crate) planar: bool,
    /// Tiles rather than strips.
    pub(crate) tiled: bool,
    /// Pixels of a tile or strip, across.
    pub(crate) chunk_width: u64,
    /// Rows of a tile or strip.
    pub(crate) chunk_height: u64,
    pub(crate) sample: Sample,
    pub(crate) photometric: u64,
    pub(crate) directory: Directory,
}

/// The type of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) kind: Kind,
    /// Bits as stored; of both parts of a complex number.
    pub(crate) bits: u64,
}

/// How a sample's bits are to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Unsigned,
    Signed,
    Float,
    ComplexInt,
    ComplexFloat,
}

impl Sample {
    /// What it is in the model.
    pub(crate) fn data_type(self) -> DataType {
        use Kind::{ComplexFloat, ComplexInt, Float, Signed, Unsigned};
        match (self.kind, self.bits) {
            (Unsigned, 0..=8) => DataType::UInt8,
            (Unsigned, 9..=16) => DataType::UInt16,
            (Unsigned, 17..=32) => DataType::UInt32,
            (Unsigned, _) => DataType::UInt64,
            (Signed, 0..=8) => DataType::Int8,
            (Signed, 9..=16) => DataType::Int16,
            (Signed, 17..=32) => DataType::Int32,
            (Signed, _) => DataType::Int64,
            (Float, 0..=32) => DataType::Float32,
            (Float, _) => DataType::Float64,
            (ComplexInt, 0..=32) => complex(&DataType::Int16),
            (ComplexInt, _) => complex(&DataType::Int32),
            (ComplexFloat, 0..=64) => complex(&DataType::Float32),
            (ComplexFloat, _) => complex(&DataType::Float64),
        }
    }

    /// Whether it is read here.
    pub(crate) fn check(self) -> Result<()> {
        use Kind::{ComplexFloat, ComplexInt, Float, Signed, Unsigned};
        match (self.kind, self.bits) {
            (Unsigned, 1..=16 | 32 | 64)
            | (Signed, 8 | 16 | 32 | 64)
            | (Float, 16 | 32 | 64)
            | (ComplexInt, 32 | 64)
            | (ComplexFloat, 64 | 128) => Ok(()),
            (kind, bits) => Err(Error::unsupported(format!("samples of {bits} bits ({kind:?})"))),
        }
    }

    /// Samples that are not whole bytes, or wider ones that are not numbers of the machine.
    pub(crate) fn is_packed(self) -> bool {
        self.kind == Kind::Unsigned && self.bits < 16 && self.bits != 8
    }

    /// Bytes of a decoded element.
    pub(crate) fn size(self) -> u64 {
        if self.is_packed() { self.bits.div_ceil(8) } else { self.bits / 8 }
    }

    /// Bytes of a number in an element.
    pub(crate) fn number(self) -> u64 {
        match self.kind {
            Kind::ComplexFloat | Kind::ComplexInt => self.size() / 2,
            _ => self.size(),
        }
    }
}

fn complex(part: &DataType) -> DataType {
    let field = |name: &str| Variable::new(name, part.clone(), Vec::new());
    DataType::Structure(Arc::new(RecordType {
        name: None,
        fields: vec![field("r"), field("i")],
        is_vlen: false,
    }))
}

impl Image {
    /// What the directory describes.
    ///
    /// # Errors
    /// `Corrupt` when it lacks what an image needs, or contradicts itself.
    pub(crate) fn new(directory: Directory) -> Result<Self> {
        let required = |tag, name: &str| {
            let value = directory.uint(tag).filter(|n| *n > 0 && *n < 1 << 32);
            value.ok_or_else(|| Error::corrupt(format!("an image without a sensible {name}")))
        };
        let (width, height) =
            (required(tags::IMAGE_WIDTH, "width")?, required(tags::IMAGE_LENGTH, "height")?);
        let samples = directory.uint(tags::SAMPLES_PER_PIXEL).unwrap_or(1);
        if samples == 0 || samples > MOST_SAMPLES {
            return Err(Error::corrupt(format!("an image of {samples} samples a pixel")));
        }
        let planar = directory.uint(tags::PLANAR_CONFIGURATION) == Some(2) && samples > 1;
        let tiled = directory.value(tags::TILE_WIDTH).is_some();
        let (chunk_width, chunk_height) = if tiled {
            (required(tags::TILE_WIDTH, "tile width")?, required(tags::TILE_LENGTH, "tile height")?)
        } else {
            let rows = directory.uint(tags::ROWS_PER_STRIP).unwrap_or(u64::MAX);
            if rows == 0 {
                return Err(Error::corrupt("strips of no rows"));
            }
            (width, rows.min(height))
        };
        let role = match directory.uint(tags::NEW_SUBFILE_TYPE).unwrap_or(0) {
            kind if kind & 4 != 0 => Role::Mask,
            kind if kind & 1 != 0 => Role::Overview,
            _ => Role::Full,
        };
        let sample = sample(&directory)?;
        let photometric = directory.uint(tags::PHOTOMETRIC).unwrap_or(1);
        Ok(Self {
            role,
            width,
            height,
            samples,
            planar,
            tiled,
            chunk_width,
            chunk_height,
            sample,
            photometric,
            directory,
        })
    }

    pub(crate) fn compression(&self) -> u64 {
        self.directory.uint(tags::COMPRESSION).unwrap_or(1)
    }

    /// Samples that lie together in a chunk.
    pub(crate) fn together(&self) -> u64 {
        if self.planar { 1 } else { self.samples }
    }

    /// What the decoded samples are.
    pub(crate) fn photometric_name(&self) -> &'static str {
        match self.photometric {
            6 if self.compression() == 7 && self.together() == 3 => "RGB",
            0 => "MINISWHITE",
            1 => "MINISBLACK",
            2 => "RGB",
            3 => "PALETTE",
            4 => "MASK",
            5 => "SEPARATED",
            6 => "YCBCR",
            8 => "CIELAB",
            9 => "ICCLAB",
            10 => "ITULAB",
            _ => "OTHER",
        }
    }
}

/// The type that all samples have.
fn sample(directory: &Directory) -> Result<Sample> {
    let same = |tag: u16, absent: u64| {
        let all = directory.uints(tag).unwrap_or_default();
        let first = all.first().copied().unwrap_or(absent);
        (first, all.iter().all(|n| *n == first))
    };
    let (bits, same_bits) = same(tags::BITS_PER_SAMPLE, 1);
    let (format, same_format) = same(tags::SAMPLE_FORMAT, 1);
    if bits == 0 || bits > 128 {
        return Err(Error::corrupt(format!("samples of {bits} bits")));
    }
    if !same_bits || !same_format {
        return Err(Error::unsupported("bands of different types in one image"));
    }
    let kind = match format {
        // 4: of unknown meaning.
        1 | 4 => Kind::Unsigned,
        2 => Kind::Signed,
        3 => Kind::Float,
        5 => Kind::ComplexInt,
        6 => Kind::ComplexFloat,
        other => return Err(Error::corrupt(format!("sample format {other}"))),
    };
    Ok(Sample { kind, bits })
}
