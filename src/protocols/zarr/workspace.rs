//! Memory for chunks that are not streamed: all requests share it, and a chunk gives its part back when
//! the client has it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use cdm::{Error, ErrorKind, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a permit stands for, in bytes.
const UNIT: u64 = 1 << 10;
/// How long a chunk waits for memory.
const PATIENCE: Duration = Duration::from_secs(20);

/// So much memory.
#[derive(Debug, Clone)]
pub struct Workspace {
    free: Arc<Semaphore>,
    units: u32,
}

impl Workspace {
    /// Of so many bytes.
    pub fn new(bytes: u64) -> Self {
        let units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).clamp(1, 1 << 28);
        Self { free: Arc::new(Semaphore::new(units as usize)), units }
    }

    /// Room for so many bytes; a chunk that needs more than there is waits until it is alone.
    ///
    /// # Errors
    /// `Overloaded` when it waits in vain.
    pub(super) async fn room(&self, bytes: u64) -> Result<Room> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.units);
        let wait = Arc::clone(&self.free).acquire_many_owned(units);
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(Ok(permit)) => Ok(Room(permit)),
            _ => Err(Error::new(
                ErrorKind::Overloaded,
                "the server has no memory left for chunks now; try again later",
            )),
        }
    }
}

/// Memory that is taken.
#[derive(Debug)]
pub(super) struct Room(OwnedSemaphorePermit);

impl Room {
    /// `bytes`, which hold the room until they are gone; what they do not need returns now.
    pub(super) fn hold(mut self, bytes: impl Into<Bytes>) -> Bytes {
        let bytes = bytes.into();
        let needed = usize::try_from((bytes.len() as u64).div_ceil(UNIT)).unwrap_or(usize::MAX);
        let spare = self.0.num_permits().saturating_sub(needed.max(1));
        drop(self.0.split(spare));
        Bytes::from_owner(Held { bytes, _room: self })
    }
}

struct Held {
    bytes: Bytes,
    _room: Room,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn memory_returns_with_the_bytes() {
        let workspace = Workspace::new(64 << 10);
        let whole = workspace.room(1 << 30).await.unwrap();
        assert_eq!(workspace.room(1).await.unwrap_err().kind(), ErrorKind::Overloaded);
        let held = whole.hold(vec![0; 10 << 10]);
        assert_eq!(workspace.free.available_permits(), 54);
        let part = held.slice(..1);
        drop(held);
        assert_eq!(workspace.free.available_permits(), 54);
        drop(part);
        assert_eq!(workspace.free.available_permits(), 64);
    }
}
