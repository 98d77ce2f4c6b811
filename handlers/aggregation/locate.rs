//! Where the locations in a definition lead: inside the definition's own store, or where `references.allow`
//! lets references lead.

use std::sync::Arc;

use cdm::{Error, ErrorKind, Result};

use crate::{
    Registry,
    storage::{Place, Store},
};

/// The dataset that `location`, in a definition at `place`, names.
///
/// # Errors
/// `Forbidden` when it leads where it may not.
pub(super) async fn dataset(location: &str, place: &Place, registry: &Registry) -> Result<Place> {
    let location = location.trim_end_matches('/');
    let target = registry.references().resolve(place, location).await?;
    Ok(Place { store: target.store, path: target.path.into(), name: target.name })
}

/// The folder that `location`, in a definition at `place`, names: its store and its path there.
///
/// # Errors
/// As [`dataset`].
pub(super) async fn folder(
    location: &str,
    place: &Place,
    registry: &Registry,
) -> Result<(Arc<dyn Store>, String)> {
    let inside = match place.store.relative(location) {
        Some(path) => Some(path),
        None if location.starts_with('/') || location.contains(":/") => None,
        None => Some(place.beside(location)?),
    };
    let Some(path) = inside else {
        let target = registry.references().resolve(place, location.trim_end_matches('/')).await?;
        return Ok((target.store, target.path));
    };
    if path.split('/').any(|component| component.starts_with('.') || component.contains('\\')) {
        let message = format!("{location} leads to a hidden folder, which is not served");
        return Err(Error::new(ErrorKind::Forbidden, message));
    }
    Ok((Arc::clone(&place.store), path))
}

/// What tells stores apart while they are open.
pub(super) fn store_id(store: &Arc<dyn Store>) -> usize {
    Arc::as_ptr(store).cast::<()>() as usize
}

/// `path` as the folder of the definition at `place` has it: what people are shown.
pub(super) fn shown(path: &str, place: &Place) -> Arc<str> {
    let folder = place.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let rest = path.strip_prefix(folder).filter(|_| !folder.is_empty()).and_then(|r| r.strip_prefix('/'));
    rest.unwrap_or(path).into()
}
