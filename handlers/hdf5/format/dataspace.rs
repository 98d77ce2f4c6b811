//! Dataspaces: how many elements there are, and in what shape.

/// The shape of a dataset or attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dataspace {
    /// No elements at all.
    Null,
    /// One element.
    Scalar,
    /// An array of rank 1 to 32.
    Simple {
        /// Sizes, outermost first.
        dims: Vec<u64>,
        /// What each may grow to, `None` = without limit; empty when none may grow.
        max_dims: Vec<Option<u64>>,
    },
}

impl Dataspace {
    /// Sizes, outermost first; empty for a scalar and for no elements.
    pub fn dims(&self) -> &[u64] {
        match self {
            Self::Null | Self::Scalar => &[],
            Self::Simple { dims, .. } => dims,
        }
    }

    /// What each size may grow to; `None` = without limit.
    pub fn limits(&self) -> Vec<Option<u64>> {
        match self {
            Self::Simple { max_dims, .. } if !max_dims.is_empty() => max_dims.clone(),
            _ => self.dims().iter().copied().map(Some).collect(),
        }
    }

    /// Number of elements; the product was checked when the dataspace was read.
    pub fn element_count(&self) -> u64 {
        match self {
            Self::Null => 0,
            Self::Scalar => 1,
            Self::Simple { dims, .. } => {
                if dims.contains(&0) {
                    0
                } else {
                    dims.iter().fold(1, |n, d| n.saturating_mul(*d))
                }
            }
        }
    }
}
