//! What was made of a dataset, kept beside it: views and indices that each request would otherwise make anew.

use std::{
    any::{Any, TypeId},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use crate::Result;

/// One value of each type. A copy begins empty.
#[derive(Default)]
pub(crate) struct Derived(Mutex<Vec<(TypeId, Arc<dyn Any + Send + Sync>)>>);

impl Derived {
    /// See [`crate::Dataset::derived`].
    pub(crate) fn get_or_make<T: Any + Send + Sync>(
        &self,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<Arc<T>> {
        if let Some(found) = self.find() {
            return Ok(found);
        }
        // Not while others are kept waiting: two may make it at once, and the first stays.
        let new = Arc::new(make()?);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(find_in(&all).unwrap_or_else(|| {
            all.push((TypeId::of::<T>(), Arc::clone(&new) as Arc<dyn Any + Send + Sync>));
            new
        }))
    }

    fn find<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        find_in(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn find_in<T: Any + Send + Sync>(all: &[(TypeId, Arc<dyn Any + Send + Sync>)]) -> Option<Arc<T>> {
    let (_, found) = all.iter().find(|(kind, _)| *kind == TypeId::of::<T>())?;
    Arc::clone(found).downcast().ok()
}

impl Clone for Derived {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for Derived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn each_type_has_one_value_which_is_made_once() {
        let derived = Derived::default();
        let first = derived.get_or_make(|| Ok(1_u8)).unwrap();
        let again = derived.get_or_make(|| Ok(2_u8)).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!(*derived.get_or_make(|| Ok(3_u16)).unwrap(), 3);
        assert_eq!(*derived.clone().get_or_make(|| Ok(4_u8)).unwrap(), 4);
    }

    #[test]
    fn a_failure_is_not_kept() {
        let derived = Derived::default();
        assert!(derived.get_or_make(|| Err::<u8, _>(Error::corrupt("no"))).is_err());
        assert_eq!(*derived.get_or_make(|| Ok(1_u8)).unwrap(), 1);
    }

    #[test]
    fn what_is_made_may_ask_for_something_else() {
        let derived = Derived::default();
        let made = derived.get_or_make(|| Ok(u16::from(*derived.get_or_make(|| Ok(1_u8))?)));
        assert_eq!(*made.unwrap(), 1);
    }
}
