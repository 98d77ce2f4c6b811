//! Where an image lies: the affine transform from pixels to the reference system, or points that tie both.

#![warn(clippy::indexing_slicing)]

use super::{directory::Directory, geokeys::GeoKeys, tags};

/// GDAL's six numbers: `x = t[0] + column t[1] + row t[2]`, `y = t[3] + column t[4] + row t[5]`, where whole
/// numbers are the corners of cells.
pub(crate) type Transform = [f64; 6];

/// A pixel and where it is: column, row, x, y, z. Whole numbers are the corners of cells.
pub(crate) type ControlPoint = [f64; 5];

/// Where an image lies.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Georeference {
    pub(crate) transform: Option<Transform>,
    /// Only when there is no transform.
    pub(crate) control_points: Vec<ControlPoint>,
}

impl Georeference {
    /// What the tags of a directory say, in GDAL's order of preference.
    pub(crate) fn of(directory: &Directory, keys: &GeoKeys) -> Self {
        let floats = |tag| directory.floats(tag).unwrap_or_default();
        let scale = floats(tags::MODEL_PIXEL_SCALE);
        let ties = floats(tags::MODEL_TIEPOINT);
        let matrix = floats(tags::MODEL_TRANSFORMATION);
        let half = if keys.is_point() { 0.5 } else { 0.0 };
        let transform = match (scale.as_slice(), ties.as_slice(), matrix.as_slice()) {
            ([sx, sy, ..], [column, row, _, x, y, ..], _) if *sx != 0.0 && *sy != 0.0 => {
                let (width, height) = (*sx, -sy.abs());
                Some([x - column * width, width, 0.0, y - row * height, 0.0, height])
            }
            (_, _, [x_column, x_row, _, x, y_column, y_row, _, y, ..]) => {
                Some([*x, *x_column, *x_row, *y, *y_column, *y_row])
            }
            _ => None,
        };
        // Cells that are numbered are not positions: GDAL takes it for no transform, too.
        let numbered: Transform = [0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
        let usable = |t: &Transform| {
            t.iter().all(|n| n.is_finite()) && t.map(f64::to_bits) != numbered.map(f64::to_bits)
        };
        let transform = transform.filter(usable).map(|mut t| {
            let [_, a, b, _, d, e] = t;
            if half > 0.0 {
                t[0] -= a * half + b * half;
                t[3] -= d * half + e * half;
            }
            t
        });
        let control_points = if transform.is_some() {
            Vec::new()
        } else {
            let point = |tie: &[f64]| match *tie {
                [column, row, _, x, y, z] => Some([column + half, row + half, x, y, z]),
                _ => None,
            };
            ties.chunks_exact(6).filter_map(point).collect()
        };
        Self { transform, control_points }
    }

    /// Of the same image in another number of cells.
    pub(crate) fn resized(&self, full: (u64, u64), small: (u64, u64)) -> Self {
        let across = full.0 as f64 / small.0.max(1) as f64;
        let down = full.1 as f64 / small.1.max(1) as f64;
        Self {
            transform: self
                .transform
                .map(|[x, a, b, y, d, e]| [x, a * across, b * down, y, d * across, e * down]),
            control_points: self
                .control_points
                .iter()
                .map(|&[column, row, x, y, z]| [column / across, row / down, x, y, z])
                .collect(),
        }
    }
}

/// The transform is not along the axes.
pub(crate) fn is_rotated(transform: &Transform) -> bool {
    transform[2] != 0.0 || transform[4] != 0.0
}
