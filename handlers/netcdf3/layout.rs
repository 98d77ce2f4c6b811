//! Where each variable's bytes are, and whether the file holds them.
//!
//! Fixed variables are contiguous; the values of record variables are interleaved record by record. A
//! file that holds less than its header names is refused, because netCDF-C's answer, zeros, is not data.
//! Only padding at the very end may be missing: netCDF-C does not write it.
#![warn(clippy::indexing_slicing)]

use std::collections::HashSet;

use cdm::{Error, Result};

use super::header::{Header, VariableEntry};

/// The layout of a whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Position of the record dimension in the header's list.
    pub(crate) record_dimension: Option<usize>,
    /// Length of the record dimension.
    pub(crate) record_count: u64,
    /// Bytes from one record to the next.
    pub(crate) record_len: u64,
    /// One per variable of the header.
    pub(crate) variables: Vec<Place>,
}

/// The layout of one variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Elements per axis, the record axis first if it has one.
    pub(crate) shape: Vec<u64>,
    /// It is a record variable.
    pub(crate) is_record: bool,
    /// Bytes of its values, of one record if it is a record variable, without padding.
    pub(crate) len: u64,
    /// Bytes of one element.
    pub(crate) element: u64,
}

impl Layout {
    /// The layout that `header` describes in a file of `file_len` bytes.
    ///
    /// # Errors
    /// `Corrupt` when the header contradicts itself or names more than the file holds.
    pub(crate) fn new(header: &Header, file_len: u64) -> Result<Self> {
        let mut names = HashSet::new();
        if let Some(twice) = header.dimensions.iter().find(|d| !names.insert(&d.name)) {
            return Err(Error::corrupt(format!("two dimensions are called {}", twice.name)));
        }
        let mut growing = header.dimensions.iter().enumerate().filter(|(_, d)| d.len == 0).map(|(i, _)| i);
        let record_dimension = growing.next();
        if growing.next().is_some() {
            return Err(Error::corrupt("there are two record dimensions"));
        }
        let mut variables = Vec::with_capacity(header.variables.len());
        for variable in &header.variables {
            variables.push(place(header, record_dimension, variable)?);
        }
        let record_len = record_len(&variables)?;
        let mut layout = Self { record_dimension, record_count: 0, record_len, variables };
        let whole = layout.whole_records(header, file_len);
        layout.record_count = match (header.record_count, whole) {
            // A writer may count a record before it has written it, or the file was cut: what is whole counts,
            // if there is anything.
            (Some(announced), Some(whole @ 1..)) => announced.min(whole),
            (announced, whole) => announced.or(whole).unwrap_or(0),
        };
        for place in layout.variables.iter_mut().filter(|p| p.is_record) {
            if let Some(first) = place.shape.first_mut() {
                *first = layout.record_count;
            }
        }
        layout.check(header, file_len)?;
        Ok(layout)
    }

    /// As many records as the file holds whole; `None` when no variable has any.
    fn whole_records(&self, header: &Header, file_len: u64) -> Option<u64> {
        let records = header.variables.iter().zip(&self.variables).filter(|(_, p)| p.is_record);
        let counts = records.map(|(v, p)| {
            let first_end = v.begin.saturating_add(p.len);
            file_len.checked_sub(first_end).map_or(0, |more| more / self.record_len.max(1) + 1)
        });
        counts.min()
    }

    /// What to say when the header names more records than the file holds.
    pub(crate) fn shortfall(&self, header: &Header) -> Option<String> {
        let announced = header.record_count.filter(|n| *n > self.record_count)?;
        Some(format!(
            "the header names {announced} records, but the file holds {} whole ones: it is cut or still being written",
            self.record_count
        ))
    }

    fn check(&self, header: &Header, file_len: u64) -> Result<()> {
        for (variable, place) in header.variables.iter().zip(&self.variables) {
            let too_large = || Error::corrupt(format!("variable {} is larger than any file", variable.name));
            let before = match (place.is_record, self.record_count.checked_sub(1)) {
                (false, _) => 0,
                (true, None) => continue,
                (true, Some(last)) => last.checked_mul(self.record_len).ok_or_else(too_large)?,
            };
            let end = variable.begin.checked_add(before).and_then(|n| n.checked_add(place.len));
            let end = end.ok_or_else(too_large)?;
            if end > file_len {
                return Err(Error::corrupt(format!(
                    "the header names bytes up to {end} for variable {}, but the file holds {file_len}: {} bytes are \
                     missing",
                    variable.name,
                    end - file_len
                )));
            }
        }
        Ok(())
    }
}

fn place(header: &Header, record_dimension: Option<usize>, variable: &VariableEntry) -> Result<Place> {
    let element = variable.data_type.fixed_size().unwrap_or(1);
    let (mut shape, mut len, mut is_record) = (Vec::new(), element, false);
    for (axis, &id) in variable.dimensions.iter().enumerate() {
        let id = usize::try_from(id).unwrap_or(usize::MAX);
        let Some(dimension) = header.dimensions.get(id) else {
            return Err(Error::corrupt(format!(
                "variable {} names dimension {id} of {}",
                variable.name,
                header.dimensions.len()
            )));
        };
        if Some(id) == record_dimension {
            if axis > 0 {
                let name = &variable.name;
                return Err(Error::corrupt(format!("variable {name} has its record dimension within")));
            }
            is_record = true;
        } else {
            len = len.checked_mul(dimension.len).ok_or_else(|| {
                Error::corrupt(format!("variable {} is larger than any file", variable.name))
            })?;
        }
        shape.push(dimension.len);
    }
    Ok(Place { shape, is_record, len, element })
}

/// Each variable's share of a record is padded to four bytes, except when it is the only one
/// ("Note on padding").
fn record_len(variables: &[Place]) -> Result<u64> {
    let mut records = variables.iter().filter(|p| p.is_record);
    if let (Some(only), None) = (records.next(), records.next()) {
        return Ok(only.len);
    }
    variables.iter().filter(|p| p.is_record).try_fold(0_u64, |sum, p| {
        let padded = p.len.checked_next_multiple_of(4);
        padded
            .and_then(|n| sum.checked_add(n))
            .ok_or_else(|| Error::corrupt("a record is larger than any file"))
    })
}
