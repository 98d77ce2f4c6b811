//! What the system says of this process (Linux): memory, open files, time of the processors.

use handlers::storage::{open_files, resident_bytes};
use rustix::{
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};

use super::text::{Document, Kind};

/// Adds what is known; elsewhere than on Linux it is less.
pub(super) fn tell(document: &mut Document) {
    if let Some(bytes) = resident_bytes() {
        document.one(
            Kind::Gauge,
            "process_resident_memory_bytes",
            "Memory of the process that is in RAM.",
            bytes,
        );
    }
    if let Some(files) = open_files() {
        document.one(Kind::Gauge, "process_open_fds", "Files and sockets that are open.", files);
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        document.one(Kind::Gauge, "process_max_fds", "Files and sockets that may be open.", most);
    }
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
    document.one(Kind::Counter, "process_cpu_seconds_total", "Time of processors that was used.", seconds);
}
