//! A smaller Source: chosen variables, selections, members and rows of another.

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt, HashSet};
use futures::StreamExt;

use crate::{
    BlockStream, DataType, Dataset, Dimension, Error, FullName, Group, Result, Selection, Source, Variable,
    Version, filter::RowFilter, records, source::failed,
};

/// What is kept of one variable.
#[derive(Debug, Clone)]
pub struct Projection {
    /// Its full name.
    pub variable: FullName,
    /// What is kept of it, and how its axes are called.
    pub part: Part,
}

/// What is kept of a variable or member.
#[derive(Debug, Clone)]
pub struct Part {
    /// Over the variable's (member's) shape.
    pub selection: Selection,
    /// The dimensions of the result, one per axis, sizes as the selection's shape: shared ones keep
    /// (or redefine the size of) a dimension of the dataset, the others are anonymous.
    pub dimensions: Vec<Dimension>,
    /// Of a structure or sequence: the members kept, by position, ascending; `None` = all of them.
    pub fields: Option<Vec<(usize, Part)>>,
    /// Of a sequence: which rows are kept. Positions refer to the *unprojected* members.
    pub rows: Option<RowFilter>,
}

impl Part {
    /// Everything of `variable`.
    pub fn whole(variable: &Variable) -> Self {
        Self {
            selection: Selection::all(&variable.shape()),
            dimensions: variable.dimensions.clone(),
            fields: None,
            rows: None,
        }
    }

    /// What is kept of each element.
    pub fn contents(&self) -> Contents<'_> {
        Contents { fields: self.fields.as_deref(), rows: self.rows.as_ref() }
    }

    /// Checks selections and dimensions against `variable`, member by member.
    fn check(&self, variable: &Variable) -> Result<()> {
        let sizes: Vec<u64> = self.dimensions.iter().map(|d| d.size).collect();
        if self.selection.of_shape() != variable.shape() || self.selection.shape() != sizes {
            return Err(Error::internal(format!("a selection that does not fit {}", variable.name)));
        }
        let Some(fields) = &self.fields else { return Ok(()) };
        let record = variable
            .data_type
            .record()
            .ok_or_else(|| Error::internal(format!("members of {}, which has none", variable.name)))?;
        if !fields.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(Error::internal("members of a projection are not ascending"));
        }
        fields.iter().try_for_each(|(position, part)| {
            let field = record.fields.get(*position);
            part.check(field.ok_or_else(|| Error::internal("a projection names a member that is not there"))?)
        })
    }
}

/// What is kept of each element of a structure or sequence.
#[derive(Debug, Clone, Copy)]
pub struct Contents<'a> {
    /// Members kept, `None` = all.
    pub fields: Option<&'a [(usize, Part)]>,
    /// Rows kept, `None` = all.
    pub rows: Option<&'a RowFilter>,
}

impl Contents<'_> {
    /// True when elements are kept as they are.
    pub fn is_everything(&self) -> bool {
        self.fields.is_none() && self.rows.is_none()
    }
}

/// Keeps only what `projections` name, in dataset order whatever their order.
///
/// The result's dataset has: of the groups the ancestors of what is kept, with their attributes, and
/// the root; the dimensions and types that are still referenced; maps only when their variable is
/// kept and all its named dimensions are among the mapped variable's.
///
/// # Errors
/// `NotFound` for an unknown variable; `Internal` when a part does not fit its variable;
/// `BadRequest` when a variable is named twice.
pub fn subset(source: Arc<dyn Source>, projections: Vec<Projection>) -> Result<Arc<dyn Source>> {
    let mut parts = HashMap::with_capacity(projections.len());
    let mut kept = Kept::default();
    for Projection { variable, part } in projections {
        let whole = source.dataset().require(&variable)?;
        part.check(whole)?;
        let left = Variable {
            data_type: records::project_type(&whole.data_type, &part.contents())?,
            dimensions: part.dimensions.clone(),
            ..whole.clone()
        };
        let (group, position) = source
            .dataset()
            .place(&variable)
            .ok_or_else(|| Error::internal(format!("{variable} is in no group")))?;
        kept.add(&variable, (&group.name, position), left)?;
        if parts.insert(variable.clone(), part).is_some() {
            return Err(Error::bad_request(format!("{variable} is asked for twice")));
        }
    }
    let root = kept.group(source.dataset().root());
    let dataset = Dataset::new(source.dataset().name(), root)?;
    Ok(Arc::new(Subset { source, dataset, parts }))
}

#[derive(Debug)]
struct Subset {
    source: Arc<dyn Source>,
    dataset: Dataset,
    parts: HashMap<FullName, Part>,
}

impl Source for Subset {
    fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    fn version(&self) -> Option<&Version> {
        self.source.version()
    }

    fn read(&self, variable: &FullName, selection: &Selection) -> BlockStream {
        let Some(part) = self.parts.get(variable) else {
            return failed(Error::not_found(format!("there is no variable {variable}")));
        };
        let blocks = match part.selection.then(selection) {
            Ok(composed) => self.source.read(variable, &composed),
            Err(error) => return failed(error),
        };
        if part.contents().is_everything() {
            return blocks;
        }
        let data_type = match self.source.dataset().require(variable) {
            Ok(whole) => whole.data_type.clone(),
            Err(error) => return failed(error),
        };
        let part = part.clone();
        let projected = blocks
            .map(move |block| block.and_then(|b| records::project_block(&data_type, &part.contents(), b)));
        crate::source::end_after_error(projected)
    }
}

/// What is left of a dataset.
#[derive(Default)]
struct Kept {
    variables: HashMap<FullName, Variable>,
    dimensions: HashMap<FullName, Dimension>,
    types: HashSet<FullName>,
    /// The groups that hold something of it, and those around them; of each, its variables with their positions.
    groups: HashMap<FullName, Vec<(usize, FullName)>>,
}

impl Kept {
    fn add(
        &mut self,
        name: &FullName,
        (group, position): (&FullName, usize),
        variable: Variable,
    ) -> Result<()> {
        for dimension in &variable.dimensions {
            let Some(called) = &dimension.name else { continue };
            if let Some(known) = self.dimensions.get(called) {
                if known.size != dimension.size {
                    return Err(Error::internal(format!("dimension {called} has two sizes")));
                }
                continue;
            }
            self.dimensions.insert(called.clone(), dimension.clone());
            self.in_group(&called.parent());
        }
        self.add_types(&variable.data_type);
        self.in_group(group).push((position, name.clone()));
        self.variables.insert(name.clone(), variable);
        Ok(())
    }

    fn add_types(&mut self, data_type: &DataType) {
        match data_type {
            DataType::Enum(e) => self.add_type(&e.name),
            DataType::Opaque(o) => o.name.iter().for_each(|name| self.add_type(name)),
            DataType::Structure(r) | DataType::Sequence(r) => {
                r.name.iter().for_each(|name| self.add_type(name));
                r.fields.iter().for_each(|f| self.add_types(&f.data_type));
            }
            _ => {}
        }
    }

    fn add_type(&mut self, name: &FullName) {
        if self.types.insert(name.clone()) {
            self.in_group(&name.parent());
        }
    }

    /// The variables of `group`, in which something is kept.
    fn in_group(&mut self, group: &FullName) -> &mut Vec<(usize, FullName)> {
        let mut around = group.clone();
        while !around.is_root() && !self.groups.contains_key(&around) {
            self.groups.insert(around.clone(), Vec::new());
            around = around.parent();
        }
        self.groups.entry(group.clone()).or_default()
    }

    /// `group` with only what is kept, itself included even when empty.
    fn group(&mut self, group: &Group) -> Group {
        let mut members = self.groups.remove(&group.name).unwrap_or_default();
        members.sort_unstable_by_key(|(position, _)| *position);
        let variables = members.iter().filter_map(|(_, name)| {
            let mut left = self.variables.get(name)?.clone();
            left.maps.retain(|map| self.still_maps(map, &left.dimensions));
            Some(left)
        });
        let variables = variables.collect();
        let is_kept = |name: &str| !self.types.is_empty() && self.types.contains(&group.name.join(name));
        let types = group.types.iter().filter(|t| is_kept(&t.name)).cloned().collect();
        let dimensions =
            group.dimensions.iter().filter_map(|d| self.dimensions.get(d.name.as_ref()?).cloned()).collect();
        let mut groups = Vec::new();
        for child in &group.groups {
            if self.groups.contains_key(&child.name) {
                groups.push(self.group(child));
            }
        }
        groups.retain(|group| !is_empty(group));
        let (name, attributes) = (group.name.clone(), group.attributes.clone());
        Group { name, dimensions, types, variables, attributes, groups }
    }

    fn still_maps(&self, map: &FullName, dimensions: &[Dimension]) -> bool {
        self.variables.get(map).is_some_and(|target| {
            target.dimensions.iter().all(|d| d.name.is_some() && dimensions.contains(d))
        })
    }
}

fn is_empty(group: &Group) -> bool {
    group.variables.is_empty()
        && group.dimensions.is_empty()
        && group.types.is_empty()
        && group.groups.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Block, RecordType, Slice,
        filter::{Comparison, Operand, Relation},
        fixed_block,
        testing::{MemorySource, collect, source_contract},
        values,
    };

    fn dimension(name: &str, size: u64) -> Dimension {
        Dimension::shared(FullName::new(name), size)
    }

    fn record(fields: Vec<Variable>) -> Arc<RecordType> {
        Arc::new(RecordType { name: None, fields, is_vlen: false })
    }

    /// `lat(lat)`, `sst(lat, 3)` mapped by lat, `points(2)` of { x, label, y[3] }, `s` of rows { a, name }.
    fn source() -> Arc<dyn Source> {
        let mut root = Group::new(FullName::root());
        root.dimensions.push(dimension("/lat", 4));
        let lat = Variable::new("lat", DataType::Int32, vec![dimension("/lat", 4)]);
        let mut sst =
            Variable::new("sst", DataType::Int16, vec![dimension("/lat", 4), Dimension::anonymous(3)]);
        sst.maps.push(FullName::new("/lat"));
        let point = record(vec![
            Variable::new("x", DataType::UInt8, vec![]),
            Variable::new("label", DataType::String, vec![]),
            Variable::new("y", DataType::Int16, vec![Dimension::anonymous(3)]),
        ]);
        let row = record(vec![
            Variable::new("a", DataType::Int32, vec![]),
            Variable::new("name", DataType::String, vec![]),
        ]);
        let points = Variable::new("points", DataType::Structure(point), vec![Dimension::anonymous(2)]);
        let rows = Variable::new("s", DataType::Sequence(row), vec![]);
        let text = |t: &str| [&(t.len() as u64).to_ne_bytes()[..], t.as_bytes()].concat();
        let one_point = |x: u8, label: &str, y: [i16; 3]| {
            [vec![x], text(label), y.iter().flat_map(|v| v.to_ne_bytes()).collect()].concat()
        };
        let one_row = |a: i32, name: &str| [a.to_ne_bytes().to_vec(), text(name)].concat();
        let three_rows =
            [3_u64.to_ne_bytes().to_vec(), one_row(1, "ab"), one_row(5, ""), one_row(-7, "abc")].concat();
        Arc::new(MemorySource::flat(
            "test",
            root,
            vec![
                (lat, fixed_block!([10_i32, 20, 30, 40])),
                (sst, fixed_block!([0_i16, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32])),
                (points, Block::varying([one_point(1, "one", [1, 2, 3]), one_point(2, "", [4, 5, 6])])),
                (rows, Block::varying([three_rows])),
            ],
        ))
    }

    async fn printed(source: &Arc<dyn Source>, name: &str) -> String {
        let name = FullName::new(name);
        let variable = source.dataset().require(&name).unwrap();
        let all = Selection::all(&variable.shape());
        let fixed = variable.data_type.fixed_size().is_some();
        let block = collect(source.read(&name, &all), fixed).await.unwrap();
        format!("{:?}", values(&variable.data_type, &block).collect::<Vec<_>>())
    }

    #[tokio::test]
    async fn index_subsets_keep_resize_or_drop_dimensions_and_maps() {
        let rows = Selection::new(vec![vec![Slice::new(1, 2, 2).unwrap()], vec![Slice::all(3)]], &[4, 3]);
        let rows = rows.unwrap();
        let part = |dimensions| Part { selection: rows.clone(), dimensions, fields: None, rows: None };
        let sliced = vec![dimension("/lat", 2), Dimension::anonymous(3)];
        let sst = Projection { variable: FullName::new("/sst"), part: part(sliced.clone()) };
        let alone = subset(source(), vec![sst.clone()]).unwrap();
        assert_eq!(alone.dataset().root().dimensions, [dimension("/lat", 2)]);
        assert!(alone.dataset().root().variables[0].maps.is_empty(), "its map is not there");
        let lat = Projection {
            variable: FullName::new("/lat"),
            part: Part {
                selection: Selection::new(vec![vec![Slice::new(1, 2, 2).unwrap()]], &[4]).unwrap(),
                dimensions: vec![dimension("/lat", 2)],
                fields: None,
                rows: None,
            },
        };
        let both = subset(source(), vec![sst, lat]).unwrap();
        let names: Vec<_> = both.dataset().variables().map(|(n, _)| n.to_string()).collect();
        assert_eq!(names, ["/lat", "/sst"], "dataset order");
        assert_eq!(both.dataset().root().variables[1].maps.len(), 1);
        assert_eq!(printed(&both, "/sst").await, "[Int(10), Int(11), Int(12), Int(30), Int(31), Int(32)]");
        source_contract(&both, 1, 20).await;
        let anonymous = part(vec![Dimension::anonymous(2), Dimension::anonymous(3)]);
        let nameless =
            subset(source(), vec![Projection { variable: FullName::new("/sst"), part: anonymous }]).unwrap();
        assert!(nameless.dataset().root().dimensions.is_empty());
    }

    #[test]
    fn groups_are_left_that_hold_something_of_it() {
        let scalar = |name: &str| Variable::new(name, DataType::Int8, Vec::new());
        let group = |name: &str, variables: Vec<Variable>, groups: Vec<Group>| Group {
            variables,
            groups,
            ..Group::new(FullName::new(name))
        };
        let mut far = group("/far", vec![scalar("x")], Vec::new());
        far.dimensions.push(dimension("/far/n", 2));
        let deep = group("/g/deep", vec![scalar("p"), scalar("q"), scalar("r")], Vec::new());
        let wide = Variable::new("wide", DataType::Int8, vec![dimension("/far/n", 2)]);
        // As DAP2 shows a variable of a group: its name in the root has a slash.
        let root = group(
            "/",
            vec![scalar("b"), scalar("g/a"), wide],
            vec![group("/g", vec![scalar("c")], vec![deep]), group("/none", vec![scalar("y")], vec![]), far],
        );
        let zeros = |v: &Variable| Block::Fixed(vec![0; usize::try_from(v.element_count()).unwrap()].into());
        let values: Vec<_> =
            root.walk().flat_map(|g| g.variables.iter().map(|v| (g.name.join(&v.name), zeros(v)))).collect();
        let whole: Arc<dyn Source> = Arc::new(MemorySource::new("test", root, values));
        let left = |names: &[&str]| {
            let part = |name: &str| Part::whole(whole.dataset().require(&FullName::new(name)).unwrap());
            let all = names.iter().map(|name| Projection { variable: FullName::new(name), part: part(name) });
            let left = subset(Arc::clone(&whole), all.collect()).unwrap();
            let groups = left.dataset().root().walk().map(|g| {
                let variables: Vec<&str> = g.variables.iter().map(|v| &*v.name).collect();
                format!("{}: {} {}", g.name, variables.join(" "), g.dimensions.len())
            });
            groups.collect::<Vec<_>>().join(", ")
        };
        assert_eq!(left(&["/g/a"]), "/: g/a 0");
        assert_eq!(left(&["/g/deep/r", "/g/deep/p"]), "/:  0, /g:  0, /g/deep: p r 0");
        assert_eq!(left(&["/wide", "/b", "/g/c"]), "/: b wide 0, /g: c 0, /far:  1");
        assert_eq!(left(&[]), "/:  0");
    }

    #[tokio::test]
    async fn members_are_projected_and_sliced() {
        let whole = source();
        let points = whole.dataset().root().variable("points").unwrap();
        let mut part = Part::whole(points);
        let y = Part {
            selection: Selection::new(vec![vec![Slice::new(0, 2, 2).unwrap()]], &[3]).unwrap(),
            dimensions: vec![Dimension::anonymous(2)],
            fields: None,
            rows: None,
        };
        let record = points.data_type.record().unwrap();
        part.fields = Some(vec![(0, Part::whole(&record.fields[0])), (2, y)]);
        let projection = Projection { variable: FullName::new("/points"), part };
        let fixed = subset(Arc::clone(&whole), vec![projection]).unwrap();
        assert_eq!(fixed.dataset().root().variables[0].data_type.fixed_size(), Some(5));
        assert_eq!(
            printed(&fixed, "/points").await,
            "[Record([UInt(1), List([Int(1), Int(3)])]), Record([UInt(2), List([Int(4), Int(6)])])]"
        );
        source_contract(&fixed, 2, 5).await;
        let mut label = Part::whole(points);
        label.fields = Some(vec![(1, Part::whole(&record.fields[1]))]);
        let projection = Projection { variable: FullName::new("/points"), part: label };
        let labels = subset(whole, vec![projection]).unwrap();
        assert_eq!(printed(&labels, "/points").await, r#"[Record([Text("one")]), Record([Text("")])]"#);
    }

    async fn rows_where(comparisons: Vec<Comparison>) -> Result<String> {
        let whole = source();
        let rows = whole.dataset().root().variable("s").unwrap();
        let record = Arc::clone(rows.data_type.record().unwrap());
        let mut part = Part::whole(rows);
        part.fields = Some(vec![(1, Part::whole(&record.fields[1]))]);
        part.rows = Some(RowFilter::new(comparisons, &record)?);
        let filtered = subset(whole, vec![Projection { variable: FullName::new("/s"), part }])?;
        Ok(printed(&filtered, "/s").await)
    }

    fn comparison(left: usize, op: Relation, right: Operand) -> Comparison {
        Comparison { left: Operand::Member(vec![left]), op, right }
    }

    #[tokio::test]
    async fn rows_are_filtered_by_members_that_need_not_be_kept() {
        let less = comparison(0, Relation::Less, Operand::Real(4.5));
        assert_eq!(
            rows_where(vec![less.clone()]).await.unwrap(),
            r#"[List([Record([Text("ab")]), Record([Text("abc")])])]"#
        );
        let matches = comparison(1, Relation::Matches, Operand::Text("b$".into()));
        assert_eq!(rows_where(vec![less, matches]).await.unwrap(), r#"[List([Record([Text("ab")])])]"#);
        let list = Operand::AnyOf(vec![Operand::Integer(5), Operand::Integer(6)]);
        let any = comparison(0, Relation::Equal, list);
        assert_eq!(rows_where(vec![any]).await.unwrap(), r#"[List([Record([Text("")])])]"#);
        let mixed = comparison(0, Relation::Equal, Operand::Text("5".into()));
        assert_eq!(
            rows_where(vec![mixed]).await.unwrap_err().to_string(),
            "a number cannot be compared with a text"
        );
        assert!(rows_where(vec![comparison(1, Relation::Matches, Operand::Text("(".into()))]).await.is_err());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let whole = source();
        let lat = Part::whole(whole.dataset().root().variable("lat").unwrap());
        let named = |name: &str| Projection { variable: FullName::new(name), part: lat.clone() };
        assert!(subset(source(), vec![named("/lat"), named("/lat")]).is_err());
        assert!(subset(source(), vec![named("/nothing")]).is_err());
        assert!(subset(source(), vec![named("/sst")]).is_err());
    }
}
