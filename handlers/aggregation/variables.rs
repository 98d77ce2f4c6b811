//! One variable as several members have it, made one: types, packing, fill and units agreed on, or the members
//! that differ too much refused.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use cdm::{Attribute, Block, DataType, FullName, Result, Variable, coordinates::time::TimeUnits};

use super::{
    conversion::{Arithmetic, Conversion},
    fill::{default_fill, element, is_default, nan},
};

/// A variable that members agree on.
#[derive(Debug)]
pub(super) struct Agreed {
    /// The first's, with the type and attributes of the result; dimensions are the first's.
    pub(super) variable: Variable,
    /// What is done to values, by kind of member; nothing where there is none.
    pub(super) conversions: HashMap<usize, Arc<Conversion>>,
    /// One element that means "no value", if the type has one.
    pub(super) fill: Option<Bytes>,
    /// What was converted in which kinds, in words.
    pub(super) converted: Vec<(usize, String)>,
}

/// Kinds of members that cannot be used, and why.
pub(super) type Refused = Vec<(usize, String)>;

/// How a member's variable is stored.
struct Stored<'a> {
    kind: usize,
    variable: &'a Variable,
    /// The type its bits are to be read as (`_Unsigned`).
    effective: DataType,
    scale: Option<f64>,
    offset: Option<f64>,
    /// Elements that mean "no value", `_FillValue` first.
    missing: Vec<Bytes>,
    units: Option<String>,
    time: Option<TimeUnits>,
}

impl<'a> Stored<'a> {
    fn new(kind: usize, variable: &'a Variable) -> Self {
        let number = |name: &str| {
            let attribute = variable.attributes.get(name)?;
            cdm::values(&attribute.data_type, &attribute.values).next()?.as_f64()
        };
        let is_unsigned =
            variable.attributes.text("_Unsigned").is_some_and(|t| t.eq_ignore_ascii_case("true"));
        let effective = match (&variable.data_type, is_unsigned) {
            (DataType::Int8, true) => DataType::UInt8,
            (DataType::Int16, true) => DataType::UInt16,
            (DataType::Int32, true) => DataType::UInt32,
            (DataType::Int64, true) => DataType::UInt64,
            (other, _) => other.clone(),
        };
        let missing = ["_FillValue", "missing_value"]
            .iter()
            .filter_map(|name| variable.attributes.get(name))
            .flat_map(|attribute| elements(attribute, &variable.data_type))
            .collect();
        let units = variable.attributes.text("units").map(|t| t.trim().to_owned());
        let calendar = variable.attributes.text("calendar").unwrap_or_default();
        let time = units.as_deref().and_then(|units| TimeUnits::parse(units, &calendar).ok());
        let (scale, offset) = (number("scale_factor"), number("add_offset"));
        Self { kind, variable, effective, scale, offset, missing, units, time }
    }

    fn is_packed(&self) -> bool {
        self.scale.is_some() || self.offset.is_some()
    }

    /// What differs so that values cannot be joined.
    fn refuses(&self, first: &Self, joined: &[FullName]) -> Option<String> {
        let dimensions = |v: &Variable| -> Vec<(Option<FullName>, Option<u64>)> {
            let free = |d: &cdm::Dimension| d.name.as_ref().is_some_and(|n| joined.contains(n));
            v.dimensions.iter().map(|d| (d.name.clone(), (!free(d)).then_some(d.size))).collect()
        };
        if dimensions(self.variable) != dimensions(first.variable) {
            let shape = |v: &Variable| -> String {
                let names = v.dimensions.iter().map(|d| {
                    let name = d.name.as_ref().map_or("", |n| n.short());
                    format!("{name} = {}", d.size)
                });
                names.collect::<Vec<_>>().join(", ")
            };
            return Some(format!(
                "has dimensions ({}) where the others have ({})",
                shape(self.variable),
                shape(first.variable)
            ));
        }
        match (&self.time, &first.time) {
            (Some(here), Some(there)) if here.map_to(there, 0.0, 0.0).is_err() => {
                return Some(format!(
                    "has the calendar {} where the others have {}",
                    here.calendar(),
                    there.calendar()
                ));
            }
            (Some(_), Some(_)) => {}
            _ if self.units != first.units => {
                let shown = |units: &Option<String>| {
                    units.as_ref().map_or("no units".to_owned(), |u| format!("units \"{u}\""))
                };
                return Some(format!(
                    "has {} where the others have {}",
                    shown(&self.units),
                    shown(&first.units)
                ));
            }
            _ => {}
        }
        if unified(&self.unpacked(), &first.unpacked()).is_none() {
            return Some(format!(
                "has type {} where the others have {}, and no type holds both",
                self.variable.data_type.name(),
                first.variable.data_type.name()
            ));
        }
        None
    }

    fn has_same_packing(&self, other: &Self) -> bool {
        let bits = |n: Option<f64>| n.map(f64::to_bits);
        (bits(self.scale), bits(self.offset)) == (bits(other.scale), bits(other.offset))
    }

    fn is_stored_alike(&self, other: &Self) -> bool {
        self.variable.data_type == other.variable.data_type
            && self.effective == other.effective
            && self.has_same_packing(other)
            && self.missing == other.missing
            && match (&self.time, &other.time) {
                (Some(here), Some(there)) => here.map_to(there, 0.0, 0.0).is_ok_and(|map| map.is_identity()),
                _ => true,
            }
    }

    /// The type of its values when they are unpacked: Float32 where that loses nothing that packing kept.
    fn unpacked(&self) -> DataType {
        if !self.is_packed() {
            return self.effective.clone();
        }
        let is_short = self.effective.fixed_size().is_some_and(|n| n <= 2);
        let is_single = ["scale_factor", "add_offset"]
            .iter()
            .all(|name| self.variable.attributes.get(name).is_none_or(|a| a.data_type == DataType::Float32));
        let is_float32 = self.effective == DataType::Float32;
        if (is_short || is_float32) && is_single { DataType::Float32 } else { DataType::Float64 }
    }
}

/// The same type, attributes and dimensions, but for the size of joined ones.
fn is_described_alike(one: &Variable, other: &Variable, joined: &[FullName]) -> bool {
    one.data_type == other.data_type
        && one.attributes == other.attributes
        && one.dimensions.len() == other.dimensions.len()
        && one.dimensions.iter().zip(&other.dimensions).all(|(a, b)| {
            a.name == b.name && (a.size == b.size || a.name.as_ref().is_some_and(|n| joined.contains(n)))
        })
}

/// All values of a numeric attribute as elements of `data_type`, as far as they are such.
fn elements(attribute: &Attribute, data_type: &DataType) -> Vec<Bytes> {
    let Some(size) = attribute.data_type.fixed_size().and_then(|n| usize::try_from(n).ok()) else {
        return Vec::new();
    };
    let Block::Fixed(bytes) = &attribute.values else { return Vec::new() };
    bytes.chunks_exact(size.max(1)).filter_map(|one| element(&attribute.data_type, one, data_type)).collect()
}

/// The smallest type that holds every value of both.
pub(super) fn unified(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::{Float32, Float64, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
    if a == b {
        return Some(a.clone());
    }
    if !(a.is_numeric() && b.is_numeric()) {
        let is_text = |t: &DataType| matches!(t, DataType::String | DataType::Url);
        return (is_text(a) && is_text(b)).then_some(DataType::String);
    }
    let holds = |wide: &DataType, narrow: &DataType| {
        // Bits of integers below 0 (sign) and above.
        let range = |t: &DataType| match t {
            Int8 => Some((true, 7)),
            Int16 => Some((true, 15)),
            Int32 => Some((true, 31)),
            Int64 => Some((true, 63)),
            UInt8 => Some((false, 8)),
            UInt16 => Some((false, 16)),
            UInt32 => Some((false, 32)),
            UInt64 => Some((false, 64)),
            _ => None,
        };
        match (wide, range(wide), narrow, range(narrow)) {
            (_, Some((signed, bits)), _, Some((n_signed, n_bits))) => (signed || !n_signed) && bits >= n_bits,
            (Float32, _, _, Some((_, bits))) => bits <= 24,
            (Float64, _, _, Some((_, bits))) => bits <= 53,
            (Float64, _, Float32, _) => true,
            (wide, _, narrow, _) => wide == narrow,
        }
    };
    [Int8, UInt8, Int16, UInt16, Int32, UInt32, Int64, UInt64, Float32, Float64]
        .into_iter()
        .find(|t| holds(t, a) && holds(t, b))
}

/// Makes `having` (by kind, the first is the one that others are measured by) one. Sizes of dimensions in
/// `joined` may differ. `is_missing` tells that some member has no such variable, or that parts of the result
/// have no value. The second list: the kinds that are refused, and why.
pub(super) fn agree(
    name: &FullName,
    having: &[(usize, &Variable)],
    joined: &[FullName],
    is_missing: bool,
) -> Result<(Option<Agreed>, Refused)> {
    let mut refused = Vec::new();
    let Some(((first_kind, first), others)) = having.split_first() else { return Ok((None, refused)) };
    // Most are described as the first one is: what it needs they need.
    let (alike, others): (Vec<_>, Vec<_>) =
        others.iter().partition(|(_, v)| is_described_alike(v, first, joined));
    let first = Stored::new(*first_kind, first);
    let stored = others.iter().map(|(kind, variable)| Stored::new(*kind, variable));
    let mut kept = Vec::new();
    let mut raw = Some(first.effective.clone());
    let mut unpacked = first.unpacked();
    for one in stored {
        let wider = unified(&unpacked, &one.unpacked());
        match (one.refuses(&first, joined), wider) {
            (None, Some(wider)) => {
                unpacked = wider;
                raw = raw.and_then(|raw| unified(&raw, &one.effective));
                kept.push(one);
            }
            (Some(reason), _) => refused.push((one.kind, format!("{name} {reason}"))),
            (None, None) => {
                let reason =
                    format!("{name} has type {}, which no type holds with the others", one.effective.name());
                refused.push((one.kind, reason));
            }
        }
    }
    let mut agreed = Agreed {
        variable: first.variable.clone(),
        conversions: HashMap::new(),
        fill: None,
        converted: Vec::new(),
    };
    if kept.iter().all(|one| one.is_stored_alike(&first)) {
        agreed.fill = first.missing.first().cloned();
        if agreed.fill.is_none() && is_missing {
            agreed.add_default_fill();
            let kinds = having.iter().map(|(kind, _)| *kind).filter(|k| refused.iter().all(|(r, _)| r != k));
            agreed.reserve_bytes(kinds)?;
        }
        return Ok((Some(agreed), refused));
    }
    let all = || std::iter::once(&first).chain(&kept);
    let is_repacked = !all().all(|one| one.has_same_packing(&first)) || raw.is_none();
    // Values in another unit of time are whole numbers only where every map makes them such.
    let keeps_integers = all().all(|one| match (&one.time, &first.time) {
        (Some(here), Some(there)) => here.map_to(there, 0.0, 0.0).is_ok_and(|m| m.keeps_integers()),
        _ => true,
    });
    let to = match raw {
        Some(raw) if !is_repacked && (keeps_integers || !raw.is_integer()) => raw,
        Some(_) if !is_repacked => DataType::Float64,
        _ if unpacked.is_integer() => DataType::Float64,
        _ => unpacked,
    };
    if !to.is_numeric() {
        // Texts of either type are the same bytes.
        agreed.variable.data_type = to;
        return Ok((Some(agreed), refused));
    }
    agreed.become_type(&to, is_repacked, all());
    if agreed.fill.is_none() && (is_missing || all().any(|one| !one.missing.is_empty())) {
        agreed.add_default_fill();
    }
    for one in all() {
        agreed.convert(one, &first, is_repacked)?;
    }
    let of_first = agreed.conversions.get(&first.kind).cloned();
    let told = agreed.converted.iter().find(|(kind, _)| *kind == first.kind).map(|(_, text)| text.clone());
    for (kind, _) in alike {
        agreed.conversions.extend(of_first.clone().map(|conversion| (kind, conversion)));
        agreed.converted.extend(told.clone().map(|text| (kind, text)));
    }
    Ok((Some(agreed), refused))
}

impl Agreed {
    /// The netCDF default of the type, said in `_FillValue`.
    fn add_default_fill(&mut self) {
        self.fill = default_fill(&self.variable.data_type);
        if let Some(fill) = &self.fill
            && self.variable.data_type.is_numeric()
        {
            let fill = Attribute::numbers("_FillValue", self.variable.data_type.clone(), fill.clone());
            self.variable.attributes.set(fill);
        }
    }

    /// Any byte may be a value: one that is taken for the fill value that was added is an error.
    fn reserve_bytes(&mut self, kinds: impl Iterator<Item = usize>) -> Result<()> {
        let data_type = &self.variable.data_type;
        let Some(fill) = self.fill.clone() else { return Ok(()) };
        if !data_type.is_integer() || is_default(data_type, &fill) {
            return Ok(());
        }
        let same = Conversion::new(data_type.clone(), data_type.clone(), Arithmetic::Same)?;
        let same = Arc::new(same.with_missing(Vec::new(), fill)?.reserving_fill());
        self.conversions.extend(kinds.map(|kind| (kind, Arc::clone(&same))));
        Ok(())
    }

    /// Type and attributes of the result.
    fn become_type<'a>(
        &mut self,
        to: &DataType,
        is_repacked: bool,
        all: impl Iterator<Item = &'a Stored<'a>>,
    ) {
        let attributes = &mut self.variable.attributes;
        attributes.retain(|a| &*a.name != "_Unsigned");
        if is_repacked {
            let packing =
                ["scale_factor", "add_offset", "missing_value", "valid_min", "valid_max", "valid_range"];
            attributes.retain(|a| !packing.contains(&&*a.name));
            self.fill = nan(to);
        } else {
            // The first one's, else the first that there is.
            let mut found = all.filter_map(|one| {
                let bytes = one.missing.first()?;
                element(&one.effective, bytes, to)
            });
            self.fill = found.next();
            for name in ["missing_value", "valid_min", "valid_max", "valid_range"] {
                let Some(old) = attributes.get(name) else { continue };
                let values: Vec<u8> = elements(old, to).concat();
                if old.data_type.is_numeric() && !values.is_empty() {
                    let converted = Attribute::numbers(name, to.clone(), values.into());
                    attributes.set(converted);
                }
            }
        }
        self.variable.data_type = to.clone();
        if let Some(fill) = &self.fill {
            self.variable.attributes.set(Attribute::numbers("_FillValue", to.clone(), fill.clone()));
        }
    }

    /// What one kind's values need.
    fn convert(&mut self, one: &Stored<'_>, first: &Stored<'_>, is_repacked: bool) -> Result<()> {
        let to = &self.variable.data_type;
        let arithmetic = match (&one.time, &first.time) {
            _ if is_repacked && one.is_packed() => {
                Arithmetic::Real { factor: one.scale.unwrap_or(1.0), add: one.offset.unwrap_or(0.0) }
            }
            (Some(here), Some(there)) => match here.map_to(there, 0.0, 0.0)? {
                map if map.is_identity() => Arithmetic::Same,
                map => Arithmetic::Linear(map),
            },
            _ => Arithmetic::Same,
        };
        let only_fill = matches!(one.missing.as_slice(), [only] if Some(only) == self.fill.as_ref());
        let is_same = arithmetic == Arithmetic::Same && one.variable.data_type == *to && one.effective == *to;
        let needs_fill = !one.missing.is_empty() && !only_fill;
        // A value that is none in the result, but is one here: cannot be told apart, so it is an error. What
        // netCDF fills with anyway is none everywhere.
        let reserves = self
            .fill
            .as_ref()
            .is_some_and(|fill| to.is_integer() && !one.missing.contains(fill) && !is_default(to, fill));
        if is_same && !needs_fill && !reserves {
            return Ok(());
        }
        let mut conversion = Conversion::new(one.effective.clone(), to.clone(), arithmetic)?;
        if let Some(fill) = &self.fill {
            conversion = conversion.with_missing(one.missing.clone(), fill.clone())?;
            if reserves {
                conversion = conversion.reserving_fill();
            }
        }
        self.conversions.insert(one.kind, conversion.into());
        let mut what = Vec::new();
        if is_repacked && one.is_packed() {
            what.push("unpacked".to_owned());
        }
        if matches!(arithmetic, Arithmetic::Linear(_)) {
            what.push(format!("converted to {}", first.units.as_deref().unwrap_or_default()));
        }
        if one.effective != *to || one.variable.data_type != *to {
            what.push(format!("made {}", to.name()));
        }
        if needs_fill {
            what.push("given another fill value".to_owned());
        }
        if !what.is_empty() {
            self.converted.push((one.kind, what.join(", ")));
        }
        Ok(())
    }
}
