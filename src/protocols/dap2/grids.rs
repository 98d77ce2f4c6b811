//! Which variables are Grids (protocol section 5.6): arrays all of whose dimensions have a coordinate
//! variable. The maps are listed at top level too; that is [`super::dds`]'s business.

use std::collections::HashMap;

use cdm::{DataType, FullName, Variable};

use super::names;

/// From a dimension's name to the numeric 1-D variable of the same name.
pub(super) type Coordinates = HashMap<FullName, FullName>;

/// The maps of `variable`, one per dimension, if it is a Grid: numeric, of rank 1 or more, no dimension
/// twice, every dimension with a coordinate variable other than itself. A variable of a group stays an
/// array: pydap's Grids cannot have a `/` in their name.
pub(super) fn maps_of(
    name: &FullName,
    variable: &Variable,
    coordinates: &Coordinates,
) -> Option<Vec<FullName>> {
    let in_group = variable.name.contains(names::GROUP_SEPARATOR);
    if in_group || variable.dimensions.is_empty() || !is_numeric(&variable.data_type) {
        return None;
    }
    let mut maps: Vec<FullName> = Vec::with_capacity(variable.dimensions.len());
    for dimension in &variable.dimensions {
        let map = coordinates.get(dimension.name.as_ref()?)?;
        if map == name || maps.contains(map) {
            return None;
        }
        maps.push(map.clone());
    }
    Some(maps)
}

/// Text is kept out of Grids, as array and as map: clients expect numbers there.
pub(super) fn is_numeric(shown: &DataType) -> bool {
    shown.is_numeric()
}
