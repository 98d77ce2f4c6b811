//! Coordinates as clients use them: variables that others name must be there, and values along an axis must
//! run in one direction. What axes mean is nobody's business here.

use std::sync::Arc;

use cdm::{Attribute, Dataset, FullName, Selection, Slice, Source, Value, Variable, values};
use futures::StreamExt;

use super::{advice::Finding, inspect::is_number};

/// Values of a coordinate that are looked at.
const MOST_VALUES: u64 = 1 << 20;

/// Attributes that name other variables (CF conventions, sections 5, 7 and 5.6).
const NAMING: [&str; 4] = ["coordinates", "bounds", "climatology", "grid_mapping"];

/// Attributes that tell a coordinate from a mere list of numbers.
const MEANING: [&str; 4] = ["units", "axis", "standard_name", "positive"];

/// What is wrong with the coordinates of `variable`, and with it as one.
pub(super) async fn of(source: &Arc<dyn Source>, name: &FullName, variable: &Variable) -> Vec<Finding> {
    let mut found = missing(source.dataset(), name, variable);
    if is_coordinate(name, variable)
        && let Some(what) = disorder(source, name, variable).await
    {
        let consequence = "clients that look up an index by value (nearest, ranges of time or place) fail or find \
                           the wrong one";
        let fix = "sort the data along this dimension, give every place a value, or choose another _FillValue (ncap2, xarray sortby)";
        found.push(Finding::warning(what, consequence, fix).about(name.as_str()));
    }
    found
}

fn missing(dataset: &Dataset, name: &FullName, variable: &Variable) -> Vec<Finding> {
    let named = NAMING.into_iter().filter_map(|attribute| {
        let text = variable.attributes.text(attribute)?;
        let text = text.trim_end_matches('\0').to_owned();
        let lost: Vec<String> = words(attribute, &text)
            .filter(|word| !is_there(dataset, &name.parent(), word))
            .map(str::to_owned)
            .collect();
        (!lost.is_empty()).then_some((attribute, lost.join(", ")))
    });
    named
        .map(|(attribute, lost)| {
            let what = format!("its attribute {attribute} names what is not there: {lost}");
            let consequence = "clients that follow the CF conventions do not know where its values are";
            let fix = "add the variable, or correct the attribute (ncatted -a)";
            Finding::warning(what, consequence, fix).about(name.as_str())
        })
        .collect()
}

/// The names in the attribute's text. The long form of a grid mapping (`crs: x y`) ends the mapping's own
/// name with a colon.
fn words<'a>(attribute: &str, text: &'a str) -> impl Iterator<Item = &'a str> {
    let is_long = attribute == "grid_mapping";
    text.split_whitespace().map(move |word| if is_long { word.trim_end_matches(':') } else { word })
}

/// Whether `word`, said in `group`, names a variable: as it is, there, or in a group above.
fn is_there(dataset: &Dataset, group: &FullName, word: &str) -> bool {
    if word.starts_with('/') {
        return dataset.variable(&FullName::new(word)).is_some();
    }
    let mut group = group.clone();
    loop {
        if dataset.variable(&group.join(word)).is_some() {
            return true;
        }
        if group.is_root() {
            return false;
        }
        group = group.parent();
    }
}

fn is_coordinate(name: &FullName, variable: &Variable) -> bool {
    let [dimension] = variable.dimensions.as_slice() else { return false };
    dimension.name.as_ref() == Some(name)
        && dimension.size > 1
        && is_number(&variable.data_type)
        && MEANING.iter().any(|attribute| variable.attributes.get(attribute).is_some())
}

/// Why the values do not run in one direction, if they do not.
async fn disorder(source: &Arc<dyn Source>, name: &FullName, variable: &Variable) -> Option<String> {
    let shape = variable.shape();
    let count = variable.element_count().min(MOST_VALUES);
    let selection = Selection::new(vec![vec![Slice::new(0, 1, count).ok()?]], &shape).ok()?;
    let fill = variable.attributes.get("_FillValue").and_then(first_number);
    let mut order = Order::default();
    let mut blocks = source.read(name, &selection);
    while let Some(block) = blocks.next().await {
        // A failure has been told by the one who read it first.
        let block = block.ok()?;
        for value in values(&variable.data_type, &block) {
            if let Some(problem) = order.next(&value, fill) {
                return Some(problem);
            }
        }
    }
    None
}

fn first_number(attribute: &Attribute) -> Option<f64> {
    values(&attribute.data_type, &attribute.values).next()?.as_f64()
}

/// Values seen so far.
#[derive(Debug, Default)]
struct Order {
    index: u64,
    last: Option<Number>,
    is_rising: Option<bool>,
}

/// Integers are compared as such: they may be larger than a float can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Number {
    Integer(i128),
    Float(f64),
}

impl Order {
    fn next(&mut self, value: &Value<'_>, fill: Option<f64>) -> Option<String> {
        let number = match value.as_integer() {
            Some(integer) => Number::Integer(integer),
            None => Number::Float(value.as_f64()?),
        };
        let index = self.index;
        self.index += 1;
        let float = value.as_f64()?;
        if float.is_nan() {
            return Some(format!("it is the coordinate of its dimension, and has no value at index {index}"));
        }
        if fill == Some(float) {
            return Some(format!(
                "it is the coordinate of its dimension, and its value at index {index} is the one that stands for \
                 missing values (_FillValue)"
            ));
        }
        let last = self.last.replace(number)?;
        let is_rising = last < number;
        if last == number || *self.is_rising.get_or_insert(is_rising) != is_rising {
            return Some(format!(
                "it is the coordinate of its dimension, and its values do not run in one direction (index {index})"
            ));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_problem(numbers: &[f64], fill: Option<f64>) -> Option<String> {
        let mut order = Order::default();
        numbers.iter().find_map(|&n| order.next(&Value::Float64(n), fill))
    }

    #[test]
    fn values_run_in_one_direction() {
        assert_eq!(first_problem(&[1.0, 2.0, 5.0], None), None);
        assert_eq!(first_problem(&[3.0, 2.0, -5.0], Some(-9.0)), None);
        for (numbers, index) in
            [(&[1.0, 2.0, 2.0][..], 2), (&[1.0, 3.0, 2.0], 2), (&[1.0, f64::NAN], 1), (&[-9.0, 1.0], 0)]
        {
            let problem = first_problem(numbers, Some(-9.0)).unwrap();
            assert!(problem.contains(&format!("index {index}")), "{problem}");
        }
        let mut order = Order::default();
        let wide = (1_i64 << 60..).take(3).find_map(|n| order.next(&Value::Int(n), None));
        assert_eq!(wide, None, "neighbours beyond what a float tells apart");
    }

    #[test]
    fn grid_mappings_have_a_long_form() {
        assert_eq!(words("grid_mapping", "crs: x y").collect::<Vec<_>>(), ["crs", "x", "y"]);
        assert_eq!(words("coordinates", "lat lon").collect::<Vec<_>>(), ["lat", "lon"]);
    }
}
