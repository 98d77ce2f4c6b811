//! How one variable is put together from parts of members' variables: boxes that do not overlap, and fill for
//! what none covers.

use std::{fmt, ops::Range, sync::Arc};

use bytes::Bytes;
use cdm::{Block, Dataset, Error, FullName, Result, Variable};

use super::conversion::Conversion;

/// Where a variable's values come from.
#[derive(Debug, Clone)]
pub enum Plan {
    /// They are known: all of them, row-major.
    Values(Block),
    /// From members.
    Parts(Arc<Mosaic>),
}

/// A box of the result that one member's variable has.
#[derive(Debug, Clone)]
pub struct Part {
    /// The member's position in the list of members.
    pub member: usize,
    /// The variable in the member.
    pub variable: FullName,
    /// One per axis of the result, outermost first. Parts of variables that lie alike share one list.
    pub axes: Arc<[Span]>,
    /// What is done to the member's values.
    pub conversion: Option<Arc<Conversion>>,
}

/// Where a part lies along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// Its first index in the result.
    pub at: u64,
    /// How many indices of the result it covers.
    pub count: u64,
    /// What it has there.
    pub along: Along,
}

/// What a part has along an axis of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Along {
    /// The member's next axis, from this index on.
    From(u64),
    /// The member's variable has no such axis: its values are repeated along it.
    Repeated,
}

impl Span {
    /// A whole axis of the member, at the beginning of the result's.
    pub fn whole(size: u64) -> Self {
        Self { at: 0, count: size, along: Along::From(0) }
    }

    /// The indices of the result.
    pub fn range(&self) -> Range<u64> {
        self.at..self.at.saturating_add(self.count)
    }
}

impl Part {
    /// All of a member's variable of that shape, where the result has the same shape.
    pub fn whole(member: usize, variable: FullName, shape: &[u64]) -> Self {
        let axes = shape.iter().map(|&n| Span::whole(n)).collect();
        Self { member, variable, axes, conversion: None }
    }
}

impl Plan {
    /// All of one member's variable.
    ///
    /// # Errors
    /// `Internal` when the shape is not the member's.
    pub fn whole(member: usize, variable: FullName, shape: &[u64]) -> Result<Self> {
        Ok(Self::Parts(Mosaic::new(shape, vec![Part::whole(member, variable, shape)], None)?.into()))
    }
}

/// Parts of one variable, found by where they lie.
pub struct Mosaic {
    shape: Vec<u64>,
    /// By where they begin along `axis`.
    parts: Vec<Part>,
    /// The outermost axis along which parts differ; `None` when there is one part at most or no axis.
    axis: Option<usize>,
    /// The largest count along `axis`.
    longest: u64,
    fill: Option<Bytes>,
}

/// Ten thousand parts would drown what one wants to see.
impl fmt::Debug for Mosaic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mosaic")
            .field("shape", &self.shape)
            .field("parts", &self.parts.len())
            .field("fill", &self.fill)
            .finish_non_exhaustive()
    }
}

impl Mosaic {
    /// Parts of a variable of `shape`; `fill` is one element (of a type without a fixed size: its bytes) for
    /// what no part covers, and may be left out when everything is covered.
    ///
    /// # Errors
    /// `Internal` when a part lies outside, two overlap, or something is not covered and there is no fill.
    pub fn new(shape: &[u64], mut parts: Vec<Part>, fill: Option<Bytes>) -> Result<Self> {
        for part in &parts {
            let inside = part.axes.len() == shape.len()
                && part.axes.iter().zip(shape).all(|(span, &size)| span.range().end <= size);
            if !inside {
                return Err(Error::internal(format!("a part of {} lies outside the result", part.variable)));
            }
        }
        parts.retain(|part| part.axes.iter().all(|span| span.count > 0));
        let axis = (0..shape.len()).find(|&a| {
            parts.windows(2).any(|two| match two {
                [one, other] => one.axes[a].range() != other.axes[a].range(),
                _ => false,
            })
        });
        let mut longest = 0;
        if let Some(axis) = axis {
            parts.sort_by_key(|p| p.axes[axis].at);
            longest = parts.iter().map(|p| p.axes[axis].count).max().unwrap_or_default();
        }
        let mosaic = Self { shape: shape.to_vec(), parts, axis, longest, fill };
        mosaic.check()?;
        Ok(mosaic)
    }

    /// That no parts overlap, and that all is covered if there is no fill.
    fn check(&self) -> Result<()> {
        let mut open: Vec<&Part> = Vec::new();
        let mut covered = 0_u64;
        for part in &self.parts {
            if let Some(axis) = self.axis {
                open.retain(|p| p.axes[axis].range().end > part.axes[axis].at);
            }
            if open.iter().any(|other| overlap(&part.axes, &other.axes)) {
                return Err(Error::internal(format!("parts of {} overlap", part.variable)));
            }
            covered = covered.saturating_add(volume(part.axes.iter().map(|s| s.count)));
            open.push(part);
        }
        if self.fill.is_none() && covered != volume(self.shape.iter().copied()) {
            return Err(Error::internal("a variable has parts that no member has, and no fill value"));
        }
        Ok(())
    }

    /// Sizes of the result.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// All parts, by where they begin.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// One element for what no part covers.
    pub fn fill(&self) -> Option<&Bytes> {
        self.fill.as_ref()
    }

    /// The axis along which parts are found quickly.
    pub(super) fn axis(&self) -> Option<usize> {
        self.axis
    }

    /// The parts that may have something of `indices` along [`Mosaic::axis`], with their positions.
    pub(super) fn near(&self, indices: &Range<u64>) -> impl Iterator<Item = (usize, &Part)> {
        let range = match self.axis {
            None => 0..self.parts.len(),
            Some(axis) => {
                let before = indices.start.saturating_sub(self.longest);
                let first = self.parts.partition_point(|p| p.axes[axis].at < before);
                let last = self.parts.partition_point(|p| p.axes[axis].at < indices.end);
                first..last.max(first)
            }
        };
        range.clone().zip(self.parts.get(range).unwrap_or_default())
    }

    /// That parts are of members and variables that exist, fit them, and become elements of `size` bytes.
    pub(super) fn check_members(&self, members: &[super::Member], result: &Variable) -> Result<()> {
        if self.shape != result.shape() {
            return Err(Error::internal(format!("{}: a plan for another shape", result.name)));
        }
        let size = result.data_type.fixed_size();
        if let (Some(size), Some(fill)) = (size, &self.fill)
            && fill.len() as u64 != size
        {
            return Err(Error::internal(format!("{}: a fill value of another size", result.name)));
        }
        for part in &self.parts {
            let member = members
                .get(part.member)
                .ok_or_else(|| Error::internal(format!("{}: a part of no member", result.name)))?;
            part.check(&member.dataset, size).map_err(|e| e.within(&member.name))?;
        }
        Ok(())
    }
}

impl Part {
    /// That the part fits the member's variable and gives elements of `size` bytes.
    fn check(&self, dataset: &Dataset, size: Option<u64>) -> Result<()> {
        let variable = dataset.require(&self.variable)?;
        let own: Vec<_> = self
            .axes
            .iter()
            .filter_map(|span| match span.along {
                Along::From(start) => Some(start.saturating_add(span.count)),
                Along::Repeated => None,
            })
            .collect();
        let fits = own.len() == variable.dimensions.len()
            && own.iter().zip(&variable.dimensions).all(|(&end, dimension)| end <= dimension.size);
        let becomes = match &self.conversion {
            Some(conversion) => conversion.becomes().fixed_size(),
            None => variable.data_type.fixed_size(),
        };
        if fits && becomes == size {
            Ok(())
        } else {
            Err(Error::internal(format!("{} does not fit where it is put", self.variable)))
        }
    }
}

fn overlap(one: &[Span], other: &[Span]) -> bool {
    one.iter().zip(other).all(|(a, b)| a.at < b.range().end && b.at < a.range().end)
}

fn volume(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(1, u64::saturating_mul)
}
