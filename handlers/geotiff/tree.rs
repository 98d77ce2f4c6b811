//! The dataset of a file: groups, dimensions, coordinates, the grid mapping, bands, masks and palettes.

#![warn(clippy::indexing_slicing)]

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use cdm::{Attribute, Attributes, DataType, Dimension, Error, FullName, Group, Result, Variable};

use super::{
    Values,
    bands::Bands,
    cf::{Axes, GridMapping},
    chunks,
    coordinates::Coordinates,
    crs,
    directory::Directory,
    geokeys::GeoKeys,
    georeference::{ControlPoint, Georeference, Transform, is_rotated},
    image::{Image, Role},
    metadata, nodata, tags,
};
use crate::{
    chunked::{ChunkLocation, ChunkedArray, Numbers, OneChunk, codecs::Pipeline},
    coordinate_maps::assign_maps,
    storage::Object,
};

/// A dataset and where its values come from.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) root: Group,
    pub(crate) values: HashMap<FullName, Values>,
}

/// A full image with what belongs to it.
#[derive(Debug)]
struct Scene {
    image: Image,
    overviews: Vec<Image>,
    masks: Vec<Image>,
}

/// The dataset of a file's directories.
///
/// # Errors
/// `Corrupt` and `Unsupported` when the first image is not one that can be described.
pub(crate) fn build(directories: Vec<Directory>, object: &Arc<Object>) -> Result<Tree> {
    let mut scenes: Vec<Scene> = Vec::new();
    for (i, directory) in directories.into_iter().enumerate() {
        let image = match Image::new(directory) {
            Ok(image) => image,
            Err(e) if i == 0 => return Err(e),
            Err(e) => {
                tracing::warn!(file = %object.name, image = i, error = %e, "an image is left out");
                continue;
            }
        };
        match (scenes.last_mut(), image.role) {
            (Some(scene), Role::Overview) => scene.overviews.push(image),
            (Some(scene), Role::Mask) => scene.masks.push(image),
            _ => scenes.push(Scene { image, overviews: Vec::new(), masks: Vec::new() }),
        }
    }
    let mut building = Building { object: Arc::clone(object), values: HashMap::new() };
    let mut root: Option<Group> = None;
    for (i, scene) in scenes.iter().enumerate() {
        let name = match &root {
            None => FullName::root(),
            Some(_) => FullName::root().join(&format!("image_{}", i + 1)),
        };
        let group = building.scene(name, scene);
        match &mut root {
            None => root = Some(group),
            Some(root) => root.groups.push(group),
        }
    }
    let mut root = root.ok_or_else(|| Error::corrupt("there is no image in the file"))?;
    assign_maps(&mut root);
    Ok(Tree { root, values: building.values })
}

/// What the images of a scene share.
#[derive(Debug)]
struct Shared {
    keys: GeoKeys,
    text: Option<String>,
    mapping: GridMapping,
    bands: Bands,
    nodata: Option<String>,
}

/// A group being filled.
#[derive(Debug)]
struct Frame {
    group: Group,
    /// Down and across.
    dimensions: [Dimension; 2],
    /// Attributes of everything that lies on the grid.
    on_grid: Attributes,
}

#[derive(Debug)]
struct Building {
    object: Arc<Object>,
    values: HashMap<FullName, Values>,
}

impl Building {
    fn scene(&mut self, name: FullName, scene: &Scene) -> Group {
        let image = &scene.image;
        let directory = &image.directory;
        let items = directory.text(tags::GDAL_METADATA).map(|text| metadata::items(&text));
        let items = items.unwrap_or(Ok(Vec::new())).unwrap_or_else(|e| {
            tracing::warn!(file = %self.object.name, error = %e, "GDAL's metadata are left out");
            Vec::new()
        });
        let keys = GeoKeys::of(directory);
        let text = crs::well_known_text(&keys);
        let mapping = text
            .as_deref()
            .map_or_else(|| GridMapping { axes: Axes::Unknown, attributes: Vec::new() }, GridMapping::of);
        let shared = Shared {
            bands: Bands::of(&items, image.samples),
            nodata: directory.text(tags::GDAL_NODATA),
            keys,
            text,
            mapping,
        };
        let georeference = Georeference::of(directory, &shared.keys);
        let mut group = self.image(name, image, &georeference, &shared);
        group.attributes = scene_attributes(directory, &shared, &items);
        self.mask(&mut group, image, &scene.masks);
        for (i, overview) in scene.overviews.iter().enumerate() {
            let name = group.name.join(&format!("overview_{}", i + 1));
            if overview.samples != image.samples {
                tracing::warn!(file = %self.object.name, overview = i + 1, "an overview of other bands");
                continue;
            }
            let full = (image.width, image.height);
            let georeference = georeference.resized(full, (overview.width, overview.height));
            let mut child = self.image(name, overview, &georeference, &shared);
            self.mask(&mut child, overview, &scene.masks);
            group.groups.push(child);
        }
        group
    }

    /// The group of one image: coordinates, grid mapping and bands.
    fn image(
        &mut self,
        name: FullName,
        image: &Image,
        georeference: &Georeference,
        shared: &Shared,
    ) -> Group {
        let names = if shared.mapping.axes == Axes::Geographic { ["lat", "lon"] } else { ["y", "x"] };
        let dimensions = [(names[0], image.height), (names[1], image.width)];
        let dimensions = dimensions.map(|(short, size)| Dimension::shared(name.join(short), size));
        let mut frame = Frame { group: Group::new(name), dimensions, on_grid: Attributes::default() };
        frame.group.dimensions.extend(frame.dimensions.iter().cloned());
        if let Some(transform) = &georeference.transform {
            self.coordinates(&mut frame, transform, &shared.mapping.axes);
        }
        self.grid_mapping(&mut frame, georeference, shared);
        self.bands(&mut frame, image, shared);
        self.palette(&mut frame.group, image);
        self.control_points(&mut frame.group, &georeference.control_points);
        frame.group
    }

    /// Positions of cell centres: along each axis, or of each cell when the image is rotated.
    fn coordinates(&mut self, frame: &mut Frame, transform: &Transform, axes: &Axes) {
        let [x, x_column, x_row, y, y_column, y_row] = *transform;
        let [down, across] = frame.dimensions.clone();
        let rotated = is_rotated(transform);
        let names = match (rotated, axes) {
            (false, Axes::Geographic) => ["lat", "lon"],
            (false, _) => ["y", "x"],
            (true, Axes::Geographic) => ["latitude", "longitude"],
            (true, _) => ["projection_y", "projection_x"],
        };
        let parts = [(names[0], y, y_column, y_row, &down), (names[1], x, x_column, x_row, &across)];
        for (i, (name, origin, along, along_rows, dimension)) in parts.into_iter().enumerate() {
            let mut variable = if rotated {
                let axes = vec![(down.size, along_rows), (across.size, along)];
                self.values
                    .insert(frame.group.name.join(name), Values::Computed(Coordinates { origin, axes }));
                Variable::new(name, DataType::Float64, vec![down.clone(), across.clone()])
            } else {
                let axes = vec![(dimension.size, if i == 0 { along_rows } else { along })];
                self.values
                    .insert(frame.group.name.join(name), Values::Computed(Coordinates { origin, axes }));
                Variable::new(name, DataType::Float64, vec![dimension.clone()])
            };
            variable.attributes = axis_attributes(axes, i == 0, !rotated);
            frame.group.variables.push(variable);
        }
        if rotated {
            frame.on_grid.set(Attribute::text("coordinates", &names.join(" ")));
        }
    }

    /// The scalar that describes the reference system, when there is anything to say.
    fn grid_mapping(&mut self, frame: &mut Frame, georeference: &Georeference, shared: &Shared) {
        let mut attributes: Attributes = shared.mapping.attributes.iter().cloned().collect();
        if let Some(text) = &shared.text {
            attributes.set(Attribute::text("crs_wkt", text));
            attributes.set(Attribute::text("spatial_ref", text));
        }
        if let Some(code) = crs::epsg(&shared.keys) {
            attributes.set(Attribute::text("epsg_code", &format!("EPSG:{code}")));
        }
        if let Some(transform) = &georeference.transform {
            let numbers: Vec<String> = transform.iter().map(ToString::to_string).collect();
            attributes.set(Attribute::text("GeoTransform", &numbers.join(" ")));
        }
        if attributes.is_empty() {
            return;
        }
        let mut variable = Variable::new("crs", DataType::Int32, Vec::new());
        variable.attributes = attributes;
        self.hold(&mut frame.group, variable, Bytes::from_static(&[0; 4]));
        frame.on_grid.set(Attribute::text("grid_mapping", "crs"));
    }

    fn bands(&mut self, frame: &mut Frame, image: &Image, shared: &Shared) {
        let data_type = image.sample.data_type();
        let missing = shared.nodata.as_deref().and_then(|text| nodata::element(text, image.sample));
        let apart = shared.bands.are_variables();
        let group = frame.group.name.clone();
        let array_name = group.join(if apart && image.samples == 1 { "band_1" } else { "data" });
        let size = usize::try_from(image.sample.size()).unwrap_or(1);
        let fill = |big_endian: bool| match &missing {
            Some((_, big)) if big.len() == size && big_endian => big.clone(),
            Some((_, big)) if big.len() == size => big.iter().rev().copied().collect(),
            _ => Bytes::from(vec![0; size]),
        };
        let array = chunks::array(image, &self.object, array_name, fill).map(Arc::new);
        // First, as in netCDF.
        let mut fill_value = None;
        let mut common = Attributes::default();
        if let Some((native, _)) = &missing {
            fill_value = Some(Attribute::numbers("_FillValue", data_type.clone(), native.clone()));
        } else if let Some(text) = shared.nodata.as_deref().filter(|t| !t.is_empty()) {
            // Beyond the type: no value can equal it.
            common.set(Attribute::text("GDAL_NODATA", text));
        }
        frame.on_grid.iter().for_each(|a| common.set(a.clone()));
        common.set(Attribute::text("photometric_interpretation", image.photometric_name()));
        if image.directory.value(tags::COLOR_MAP).is_some() {
            common.set(Attribute::text("palette", "palette"));
        }
        let with = |own: Attributes| fill_value.iter().chain(&own).chain(&common).cloned().collect();
        let plane = frame.dimensions.to_vec();
        if apart {
            for i in 0..image.samples {
                let mut variable = Variable::new(format!("band_{}", i + 1), data_type.clone(), plane.clone());
                variable.attributes =
                    with(shared.bands.attributes_of(usize::try_from(i).unwrap_or(usize::MAX)));
                let values = match &array {
                    Ok(array) if image.samples == 1 => whole(image, array),
                    Ok(array) => Values::Band(Arc::clone(array), i),
                    Err(e) => Values::Unreadable(e.shared()),
                };
                self.values.insert(group.join(&variable.name), values);
                frame.group.variables.push(variable);
            }
            return;
        }
        let axis = Dimension::shared(group.join("band"), image.samples);
        frame.group.dimensions.insert(0, axis.clone());
        let mut numbers = Variable::new("band", DataType::Int32, vec![axis.clone()]);
        numbers.attributes.set(Attribute::text("long_name", "band number"));
        if let Some(all) = shared.bands.descriptions() {
            numbers.attributes.set(Attribute::strings("descriptions", &all));
        }
        let count = i32::try_from(image.samples).unwrap_or(0);
        self.hold(&mut frame.group, numbers, (1..=count).flat_map(i32::to_ne_bytes).collect());
        let dimensions = std::iter::once(axis).chain(plane).collect();
        let mut variable = Variable::new("data", data_type, dimensions);
        variable.attributes = with(shared.bands.attributes());
        let values = match &array {
            Ok(array) => whole(image, array),
            Err(e) => Values::Unreadable(e.shared()),
        };
        self.values.insert(group.join("data"), values);
        frame.group.variables.push(variable);
    }

    /// Which pixels are valid, when one of `masks` is of the image's size.
    fn mask(&mut self, group: &mut Group, image: &Image, masks: &[Image]) {
        let fits = |m: &&Image| m.width == image.width && m.height == image.height && m.samples == 1;
        let Some(mask) = masks.iter().find(fits) else { return };
        let name = group.name.join("mask");
        let Some(band) = group.variables.iter().find(|v| matches!(&*v.name, "band_1" | "data")) else {
            return;
        };
        let plane = band.dimensions.iter().rev().take(2).rev().cloned().collect();
        let on_grid = |name| band.attributes.get(name).cloned();
        let mut attributes = Attributes::default();
        attributes.set(Attribute::text("long_name", "mask of valid pixels"));
        if mask.sample.data_type() == DataType::UInt8 {
            let valid = if mask.sample.bits == 1 { 1 } else { 255 };
            let values = Bytes::copy_from_slice(&[0, valid]);
            attributes.set(Attribute::numbers("flag_values", DataType::UInt8, values));
            attributes.set(Attribute::text("flag_meanings", "invalid valid"));
        }
        ["grid_mapping", "coordinates"].into_iter().filter_map(on_grid).for_each(|a| attributes.set(a));
        let size = usize::try_from(mask.sample.size()).unwrap_or(1);
        let values = match chunks::array(mask, &self.object, name.clone(), |_| Bytes::from(vec![0; size])) {
            Ok(array) => whole(mask, &Arc::new(array)),
            Err(e) => Values::Unreadable(e),
        };
        let mut variable = Variable::new("mask", mask.sample.data_type(), plane);
        variable.attributes = attributes;
        self.values.insert(name, values);
        group.variables.push(variable);
    }

    /// The colours of a palette, as stored.
    fn palette(&mut self, group: &mut Group, image: &Image) {
        let Some(colors) = image.directory.uints(tags::COLOR_MAP) else { return };
        let entries = colors.len() as u64 / 3;
        let colors: Vec<u16> = colors.into_iter().filter_map(|c| c.try_into().ok()).collect();
        if entries == 0 || colors.len() as u64 != entries * 3 {
            return;
        }
        let component = Dimension::shared(group.name.join("palette_component"), 3);
        let entry = Dimension::shared(group.name.join("palette_entry"), entries);
        group.dimensions.extend([component.clone(), entry.clone()]);
        let mut variable = Variable::new("palette", DataType::UInt16, vec![component, entry]);
        let text = "red, green and blue of each value, 0 to 65535";
        variable.attributes.set(Attribute::text("long_name", text));
        self.hold(group, variable, colors.into_iter().flat_map(u16::to_ne_bytes).collect());
    }

    fn control_points(&mut self, group: &mut Group, points: &[ControlPoint]) {
        if points.is_empty() {
            return;
        }
        let dimension = Dimension::shared(group.name.join("gcp"), points.len() as u64);
        group.dimensions.push(dimension.clone());
        let names = [
            ("gcp_column", "column of a ground control point, from the outer edge of the first"),
            ("gcp_row", "row of a ground control point, from the outer edge of the first"),
            ("gcp_x", "x of a ground control point"),
            ("gcp_y", "y of a ground control point"),
            ("gcp_z", "z of a ground control point"),
        ];
        for (i, (name, meaning)) in names.into_iter().enumerate() {
            let mut variable = Variable::new(name, DataType::Float64, vec![dimension.clone()]);
            variable.attributes.set(Attribute::text("long_name", meaning));
            let values = points.iter().filter_map(|p| p.get(i)).flat_map(|n| n.to_ne_bytes());
            self.hold(group, variable, values.collect());
        }
    }

    /// A small variable whose values are in memory.
    fn hold(&mut self, group: &mut Group, variable: Variable, values: Bytes) {
        let name = group.name.join(&variable.name);
        let size = variable.data_type.fixed_size().and_then(|n| n.try_into().ok()).unwrap_or(1);
        let array = ChunkedArray {
            name: name.clone(),
            version: Arc::clone(&self.object.version.identity),
            shape: variable.shape(),
            chunk_shape: variable.shape(),
            stored_size: size,
            fill: Bytes::from(vec![0; size]),
            pipeline: Pipeline::default(),
            index: Arc::new(OneChunk(Some(ChunkLocation::Inline(values)))),
            elements: Arc::new(Numbers::Native),
        };
        self.values.insert(name, Values::Array(Arc::new(array)));
        group.variables.push(variable);
    }
}

fn whole(image: &Image, array: &Arc<ChunkedArray>) -> Values {
    let array = Arc::clone(array);
    if chunks::are_whole(image) { Values::Array(array) } else { Values::Cut(array) }
}

/// CF's attributes of a coordinate; `rows`: the one that changes from row to row.
fn axis_attributes(axes: &Axes, rows: bool, is_axis: bool) -> Attributes {
    let (standard, long, unit) = match (axes, rows) {
        (Axes::Geographic, true) => (Some("latitude"), "latitude", Some("degrees_north")),
        (Axes::Geographic, false) => (Some("longitude"), "longitude", Some("degrees_east")),
        (Axes::Projected(unit), true) => {
            (Some("projection_y_coordinate"), "y coordinate of projection", Some(unit.as_str()))
        }
        (Axes::Projected(unit), false) => {
            (Some("projection_x_coordinate"), "x coordinate of projection", Some(unit.as_str()))
        }
        (Axes::Unknown, true) => (None, "y coordinate", None),
        (Axes::Unknown, false) => (None, "x coordinate", None),
    };
    let mut found = Attributes::default();
    if let Some(name) = standard {
        found.set(Attribute::text("standard_name", name));
    }
    found.set(Attribute::text("long_name", long));
    if let Some(unit) = unit {
        found.set(Attribute::text("units", unit));
    }
    if is_axis {
        found.set(Attribute::text("axis", if rows { "Y" } else { "X" }));
    }
    found
}

/// What is said of a full image as a whole.
fn scene_attributes(directory: &Directory, shared: &Shared, items: &[metadata::Item]) -> Attributes {
    let mut found = Attributes::default();
    found.set(Attribute::text("Conventions", "CF-1.11"));
    let area_or_point = if shared.keys.is_point() { "Point" } else { "Area" };
    if !shared.keys.is_empty() {
        found.set(Attribute::text("AREA_OR_POINT", area_or_point));
    }
    for (tag, name) in tags::TEXTS {
        if let Some(text) = directory.text(tag).filter(|t| !t.is_empty()) {
            found.set(Attribute::text(name, &text));
        }
    }
    for item in items.iter().filter(|i| i.sample.is_none() && !i.domain.starts_with("xml:")) {
        let name =
            if item.domain.is_empty() { item.name.clone() } else { format!("{}_{}", item.domain, item.name) };
        if !name.is_empty() && found.get(&name).is_none() {
            found.set(Attribute::text(name, &item.value));
        }
    }
    found
}
