//! All variables of all members side by side: the first member that has a variable is where it is read.

use std::{collections::HashMap, sync::Arc};

use cdm::Result;

use super::{
    Assembled, Combined, Known, Member, build::Description, combine::version_of, kinds::Kinds, parts::Plan,
    structure::Structure,
};
use crate::ncml::document::Aggregation;

/// `union`.
pub(super) fn union(name: &str, aggregation: &Aggregation, members: Vec<Member>) -> Result<Combined> {
    let version = version_of(aggregation, &members);
    let kinds = Kinds::new(&members);
    let structure = Structure::of_first(&members, &kinds);
    let mut description = Description::like(&members[0].dataset);
    let mut plans = HashMap::new();
    for &at in &structure.kept {
        let member = &members[at];
        description.add_types(&member.dataset);
        description.add_attributes(&member.dataset);
        for (full, variable) in member.dataset.variables() {
            if plans.contains_key(&full) {
                continue;
            }
            let plan = match member.known.get(&full) {
                Some(Known::Values(block)) => Plan::Values(block.clone()),
                _ => Plan::whole(at, full.clone(), &variable.shape())?,
            };
            plans.insert(full.clone(), plan);
            description.add(&full, variable.clone());
        }
    }
    let source = Assembled::new(description.finish(name)?, version, members.into(), plans)?;
    Ok(Combined { source: Arc::new(source), notes: structure.notes })
}
