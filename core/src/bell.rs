//! What sleepers sleep on, and what wakes them: futexes in `.wake` files, and eventfds. One of the
//! places with `unsafe`.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::path::Path;
use std::time::Duration;

use crate::error::RingError;
use crate::layout::WAKE_SIZE;
use crate::region::{PRIVATE_MODE, Region, clock_nanos};
use crate::sync::AtomicU32;
use crate::wake::Bell;

/// How long one who was woken early looks for its record before it sleeps again.
const LINGER_NANOS: i64 = 50_000;

/// The `.wake` file, mapped for writing by both sides; read-only by readers of a group.
#[derive(Debug)]
pub struct WakeFile {
    region: Region,
    shared: bool,
}

impl WakeFile {
    /// Makes the file.
    pub fn create(path: &Path, mode: u32) -> Result<Self, RingError> {
        let region = Region::create(path, WAKE_SIZE as u64, mode)?;
        Ok(Self { region, shared: mode != PRIVATE_MODE })
    }

    /// Opens the file of a ring, for reading only where more is not allowed.
    pub fn open(path: &Path) -> Result<Self, RingError> {
        let region = match Region::open(path, true) {
            Err(RingError::Io(_, error)) if error.kind() == io::ErrorKind::PermissionDenied => {
                Region::open(path, false)?
            }
            opened => opened?,
        };
        if region.len() < WAKE_SIZE {
            return Err(RingError::corrupt(format!(
                "a ring's wake file has {WAKE_SIZE} bytes; found {}: {}",
                region.len(),
                path.display()
            )));
        }
        Ok(Self { region, shared: false })
    }

    /// Refuses to go on if the file was cut.
    pub fn check_size(&self) -> Result<(), RingError> {
        self.region.check_size()
    }
}

impl Bell for WakeFile {
    fn word(&self) -> &AtomicU32 {
        // SAFETY: the file has `WAKE_SIZE` bytes, a mapping is aligned, lives as long as `self`, and
        // this word is only ever used as an atomic; it is written only where `is_writable`.
        unsafe { AtomicU32::from_ptr(self.region.address().cast_mut().cast()) }
    }

    fn sleep(&self, value: u32, timeout: Duration) {
        let limit = timespec(timeout);
        // SAFETY: the bell is a mapped, aligned word, and `limit` outlives the call. The operation
        // has no PRIVATE flag, as the sleepers are in other processes.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.word().as_ptr(),
                libc::FUTEX_WAIT,
                value,
                &raw const limit,
            );
        }
    }

    fn wake_one(&self) {
        futex_wake(self.word(), 1);
    }

    fn wake_all(&self) {
        futex_wake(self.word(), i32::MAX);
    }

    fn linger(&self, is_due: impl Fn() -> bool) -> bool {
        // Most are there by now, and the clock takes its time.
        if is_due() {
            return true;
        }
        let begun = clock_nanos();
        while clock_nanos() - begun <= LINGER_NANOS {
            // The writer may be waiting for this very processor.
            std::thread::yield_now();
            if is_due() {
                return true;
            }
        }
        false
    }

    fn is_writable(&self) -> bool {
        self.region.is_writable()
    }

    fn is_shared(&self) -> bool {
        self.shared
    }
}

fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: duration.as_secs().min(1 << 30) as libc::time_t,
        tv_nsec: duration.subsec_nanos() as libc::c_long,
    }
}

/// Wakes so many sleepers of a word, of this process or others.
pub fn futex_wake(word: &AtomicU32, most: i32) {
    // SAFETY: the word is mapped and aligned; waking touches no memory.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, most) };
}

/// How many words one thread can sleep on.
pub const MOST_WORDS: usize = 128;

/// One word of `futex_waitv`, as the kernel has it.
#[repr(C)]
struct Waiter {
    value: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

/// Sleeps while each word has its value, at most for the timeout; may return early.
///
/// Fails where the kernel cannot wait for several words: before Linux 5.16, or behind a filter of
/// system calls.
pub fn wait_any(words: &[(&AtomicU32, u32)], timeout: Option<Duration>) -> io::Result<()> {
    const SIZE_U32: u32 = 2;
    let waiter = |(word, value): &(&AtomicU32, u32)| Waiter {
        value: u64::from(*value),
        address: word.as_ptr().addr() as u64,
        flags: SIZE_U32,
        reserved: 0,
    };
    let waiters: Vec<Waiter> = words.iter().map(waiter).collect();
    let limit =
        timeout.map(|left| timespec(Duration::from_nanos(clock_nanos().unsigned_abs()) + left));
    let limit_at = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the list and the limit outlive the call, and every word is borrowed for as long.
    let woken = unsafe {
        libc::syscall(
            libc::SYS_futex_waitv,
            waiters.as_ptr(),
            waiters.len() as libc::c_uint,
            0,
            limit_at,
            libc::CLOCK_MONOTONIC,
        )
    };
    if woken >= 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::ETIMEDOUT | libc::EINTR) => Ok(()),
        _ => Err(error),
    }
}

/// An event that a loop of events can wait for.
#[derive(Debug)]
pub struct EventFd(File);

impl EventFd {
    /// Makes one that has not happened.
    pub fn new() -> Result<Self, RingError> {
        // SAFETY: makes a descriptor and touches no memory.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(RingError::last_os_error("cannot make an eventfd"));
        }
        // SAFETY: `fd` was just opened and belongs to nobody else.
        Ok(Self(unsafe { File::from_raw_fd(fd) }))
    }

    /// The descriptor, readable once the event has happened.
    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Makes it happen. It can fail only when it has happened 2^64 times.
    pub fn set(&self) {
        let _ = (&self.0).write(&1_u64.to_ne_bytes());
    }

    /// Makes it not have happened.
    pub fn clear(&self) {
        let _ = (&self.0).read(&mut [0; 8]);
    }
}
