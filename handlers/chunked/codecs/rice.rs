//! Extended Rice coding (CCSDS 121.0-B): the algorithm under szip, without any frame.
//!
//! Samples come in blocks; each block says how it is coded (section 3.1 of the standard); blocks come in
//! segments, each of which starts with a sample that stands for itself when samples are predicted.

#![warn(clippy::indexing_slicing)]

use cdm::{Error, Result};

use super::bits::Bits;

/// The parameters, agreed on outside the coded bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rice {
    /// Bits of a sample, 1 to 24.
    pub(super) bits: u32,
    /// Samples of a block, even, 2 to 64.
    pub(super) block: u32,
    /// Blocks of a segment.
    pub(super) blocks_per_segment: u32,
    /// Each sample is coded as its difference from the one before.
    pub(super) predicted: bool,
    /// Byte order of samples in the output.
    pub(super) big_endian: bool,
}

impl Rice {
    /// Bytes of a sample in the output.
    pub(super) fn sample_size(&self) -> usize {
        match self.bits {
            0..=8 => 1,
            9..=16 => 2,
            _ => 4,
        }
    }
}

/// How a block is coded.
enum Coding {
    Zeros,
    SecondExtension,
    Split(u32),
    Plain,
}

/// Decodes segments until `out` is full. Only the first `kept` samples of each segment go there; the rest
/// fills the segment's last block.
pub(super) fn decode(rice: &Rice, input: &[u8], kept: usize, out: &mut [u8]) -> Result<()> {
    let mut bits = Bits::new(input);
    let segment_len = rice.block.saturating_mul(rice.blocks_per_segment);
    let mut segment = Vec::with_capacity(usize::try_from(segment_len).unwrap_or(0).min(1 << 16));
    let size = rice.sample_size();
    for scanline in out.chunks_mut(kept.saturating_mul(size).max(1)) {
        let wanted = scanline.len() / size;
        decode_segment(rice, &mut bits, wanted, &mut segment)?;
        if rice.predicted {
            undo_prediction(rice.bits, &mut segment);
        }
        for (target, sample) in scanline.chunks_exact_mut(size).zip(&segment) {
            if rice.big_endian {
                target.copy_from_slice(sample.to_be_bytes().get(4 - size..).unwrap_or_default());
            } else {
                target.copy_from_slice(sample.to_le_bytes().get(..size).unwrap_or_default());
            }
        }
    }
    Ok(())
}

/// Reads blocks of one segment until `wanted` samples are there.
fn decode_segment(rice: &Rice, bits: &mut Bits<'_>, wanted: usize, samples: &mut Vec<u32>) -> Result<()> {
    samples.clear();
    let mut block = 0;
    while block < rice.blocks_per_segment && samples.len() < wanted {
        let reference = u32::from(rice.predicted && block == 0);
        let coding = coding(rice, bits)?;
        if reference == 1 && !matches!(coding, Coding::Plain) {
            samples.push(read(bits, rice.bits)?);
        }
        match coding {
            Coding::Plain => {
                for _ in 0..rice.block {
                    samples.push(read(bits, rice.bits)?);
                }
            }
            Coding::Split(low_bits) => split(bits, rice.block - reference, low_bits, samples)?,
            Coding::SecondExtension => second_extension(bits, rice.block, reference, samples)?,
            Coding::Zeros => {
                let run = zero_run(bits, rice.blocks_per_segment - block, block)?;
                let zeros = run * rice.block - reference;
                samples.extend(std::iter::repeat_n(0, usize::try_from(zeros).unwrap_or(0)));
                block += run - 1;
            }
        }
        block += 1;
    }
    Ok(())
}

fn read(bits: &mut Bits<'_>, count: u32) -> Result<u32> {
    u32::try_from(bits.read(count)?).map_err(|e| Error::corrupt("a sample is too wide").with_source(e))
}

/// The option identifier at the head of a block (section 5.1.3).
fn coding(rice: &Rice, bits: &mut Bits<'_>) -> Result<Coding> {
    let id_len = match rice.bits {
        0..=8 => 3,
        9..=16 => 4,
        _ => 5,
    };
    let id = read(bits, id_len)?;
    Ok(match id {
        0 if bits.read(1)? == 0 => Coding::Zeros,
        0 => Coding::SecondExtension,
        id if id == (1 << id_len) - 1 => Coding::Plain,
        id => Coding::Split(id - 1),
    })
}

/// `count` samples: all high parts in unary, then all low parts.
fn split(bits: &mut Bits<'_>, count: u32, low_bits: u32, samples: &mut Vec<u32>) -> Result<()> {
    let first = samples.len();
    for _ in 0..count {
        let high = bits.zeros_before_one()?;
        let too_large = || Error::corrupt("a sample is too large");
        samples.push(high.checked_mul(1 << low_bits).ok_or_else(too_large)?);
    }
    if low_bits > 0 {
        for sample in samples.iter_mut().skip(first) {
            *sample |= read(bits, low_bits)?;
        }
    }
    Ok(())
}

/// Pairs of samples as one unary number each (section 3.5.2).
fn second_extension(bits: &mut Bits<'_>, count: u32, reference: u32, samples: &mut Vec<u32>) -> Result<()> {
    // The reference sample takes the place of its pair's first member.
    let mut place = reference;
    while place < count {
        let pair = bits.zeros_before_one()?;
        // The pair number is sum (sum + 1) / 2 + second; larger sums are never coded so.
        let sum = (0..=12_u32).rev().find(|sum| sum * (sum + 1) / 2 <= pair).unwrap_or(0);
        let second = pair - sum * (sum + 1) / 2;
        if second > sum {
            return Err(Error::corrupt("a pair of samples is too large"));
        }
        if place.is_multiple_of(2) {
            samples.push(sum - second);
            place += 1;
        }
        samples.push(second);
        place += 1;
    }
    Ok(())
}

/// How many blocks of zeros follow, this one included, when `left` are left in the segment (section 3.5.3).
fn zero_run(bits: &mut Bits<'_>, left: u32, block: u32) -> Result<u32> {
    let run = match bits.zeros_before_one()? {
        code @ 0..=3 => code + 1,
        // To the end of the segment or of its current 64 blocks.
        4 => left.min(64 - block % 64),
        code => code,
    };
    if run > left { Err(Error::corrupt("zeros run past their segment")) } else { Ok(run) }
}

/// Residuals to samples (section 4.4): small ones alternate around the sample before, larger ones than its
/// distance from the nearer end of the range count from that end.
fn undo_prediction(bits: u32, samples: &mut [u32]) {
    let largest = (1_u32 << bits) - 1;
    let middle = largest / 2 + 1;
    let mut samples = samples.iter_mut();
    let Some(mut before) = samples.next().map(|s| *s) else { return };
    for sample in samples {
        let residual = *sample;
        let flip = if before & middle == 0 { 0 } else { largest };
        let value = if residual.div_ceil(2) <= flip ^ before {
            let half = residual >> 1;
            before.wrapping_add(if residual & 1 == 0 { half } else { !half })
        } else {
            flip ^ residual
        };
        *sample = value & largest;
        before = *sample;
    }
}
