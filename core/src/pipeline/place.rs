//! Where a thread runs and how urgently; what the system refuses is told, not fatal.
#![allow(unsafe_code, reason = "the system's own calls")]

/// Wishes for the threads of a pipeline.
#[derive(Debug, Clone, Default)]
pub struct Placing {
    /// Cores; the branches take them in turn.
    pub cores: Vec<usize>,
    /// Real-time priority, 1 to 99; 0 for none.
    pub priority: i32,
}

/// Puts this thread where it is wished; returns what was refused.
pub fn settle(placing: &Placing, branch: usize) -> Option<String> {
    let pinned = placing.cores.get(branch % placing.cores.len().max(1)).and_then(|core| pin(*core));
    let urgent = (placing.priority > 0).then(|| urge(placing.priority)).flatten();
    match (pinned, urgent) {
        (Some(pinned), Some(urgent)) => Some(format!("{pinned}; {urgent}")),
        (found, other) => found.or(other),
    }
}

fn pin(core: usize) -> Option<String> {
    if core >= libc::CPU_SETSIZE as usize {
        return Some(format!("there is no core {core}"));
    }
    // SAFETY: a set of bits is valid as zeros, `core` was checked, and the call reads only the set.
    let done = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    (done != 0).then(|| format!("not pinned to core {core}: {}", std::io::Error::last_os_error()))
}

fn urge(priority: i32) -> Option<String> {
    // SAFETY: the structure is valid as zeros, and the call only reads it.
    let done = unsafe {
        let mut wanted: libc::sched_param = std::mem::zeroed();
        wanted.sched_priority = priority;
        libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const wanted)
    };
    let error = std::io::Error::last_os_error();
    (done != 0).then(|| format!("no real-time priority {priority}: {error}"))
}
