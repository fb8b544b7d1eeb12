//! Running out of memory in a script, told instead of an abort.
//!
//! A script's process has a soft limit on its memory and a reserve up to the hard one. Where an
//! allocation fails, the reserve is freed and the script told at its next step. Where even the
//! reserve is too small, a last function is called, which ends the process with a word.
#![cfg_attr(test, allow(dead_code, reason = "tests count allocations with another"))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether memory ran out.
pub static EXHAUSTED: AtomicBool = AtomicBool::new(false);
/// Whether a script runs in this process; no other has a reserve.
pub static ARMED: AtomicBool = AtomicBool::new(false);

/// What is called last.
pub static LAST: OnceLock<fn()> = OnceLock::new();

struct Reserved;

#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: Reserved = Reserved;

// SAFETY: every call is the system allocator's own; a failed one is tried again with the same
// arguments.
unsafe impl GlobalAlloc for Reserved {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the allocator's contract.
        again(|| unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        again(|| unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above; a failed `realloc` leaves the old block as it was.
        again(|| unsafe { System.realloc(pointer, layout, size) })
    }
}

fn again(allocate: impl Fn() -> *mut u8) -> *mut u8 {
    let pointer = allocate();
    if !pointer.is_null() || !ARMED.load(Ordering::Relaxed) {
        return pointer;
    }
    if !EXHAUSTED.swap(true, Ordering::Relaxed) {
        free_reserve();
        let pointer = allocate();
        if !pointer.is_null() {
            return pointer;
        }
    }
    ARMED.store(false, Ordering::Relaxed);
    LAST.get().inspect(|end| end());
    pointer
}

fn free_reserve() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls only read and write the local structure.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_AS, &raw const limit);
        }
    }
}
