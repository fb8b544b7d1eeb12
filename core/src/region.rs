//! The files behind a ring: made, mapped, measured and locked. One of the places with `unsafe`.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::ptr::NonNull;

use crate::error::RingError;
use crate::layout::HEADER_SIZE;
use crate::long_copy::{LINE, copy_past_caches, expect_line, fetch_line};
use crate::memory::{Memory, MemoryMut};
use crate::sync::{AtomicU64, Ordering};

/// Only the owner may read or write a ring and its wake file.
pub const PRIVATE_MODE: u32 = 0o600;
/// A group may read a ring and its wake file.
pub const GROUP_MODE: u32 = 0o640;

/// The mode of rings in a directory: readable by its group if the directory is, and hands its group
/// on to what is made in it.
pub fn ring_mode(directory: &Path) -> u32 {
    const HANDED_ON: u32 = 0o2050;
    let found = std::fs::metadata(directory).map_or(0, |found| found.permissions().mode());
    if found & HANDED_ON == HANDED_ON { GROUP_MODE } else { PRIVATE_MODE }
}

/// A shared mapping of a whole file.
#[derive(Debug)]
pub struct Region {
    file: File,
    start: NonNull<u8>,
    len: usize,
    writable: bool,
}

// SAFETY: the mapping stays where it is until the region is dropped, and is reached only through
// atomics and through copies whose results are checked before they are believed.
unsafe impl Send for Region {}
// SAFETY: as above; two threads of one process are to each other what two processes are.
unsafe impl Sync for Region {}

fn c_path(path: &Path) -> Result<CString, RingError> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| RingError::Invalid(format!("a path holds a zero byte: {}", path.display())))
}

fn open_file(path: &Path, flags: i32, mode: u32) -> Result<File, RingError> {
    let name = c_path(path)?;
    // SAFETY: `name` is a valid C string for the length of the call.
    let fd = unsafe { libc::open(name.as_ptr(), flags | libc::O_NOFOLLOW | libc::O_CLOEXEC, mode) };
    if fd < 0 {
        return Err(RingError::last_os_error(format!("cannot open {}", path.display())));
    }
    // SAFETY: `fd` was just opened and belongs to nobody else.
    Ok(unsafe { File::from_raw_fd(fd) })
}

fn map(file: &File, len: usize, protection: i32) -> Result<NonNull<u8>, RingError> {
    let fd = file.as_raw_fd();
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
    let start =
        unsafe { libc::mmap(std::ptr::null_mut(), len, protection, libc::MAP_SHARED, fd, 0) };
    if start == libc::MAP_FAILED {
        return Err(RingError::last_os_error(format!("cannot map {len} bytes of a ring")));
    }
    NonNull::new(start.cast()).ok_or_else(|| RingError::corrupt("a mapping at address 0"))
}

fn free_bytes(file: &File) -> u64 {
    // SAFETY: `statvfs` is plain numbers, for which zeros are a value.
    let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open and `found` outlives the call.
    if unsafe { libc::fstatvfs(file.as_raw_fd(), &raw mut found) } != 0 {
        return 0;
    }
    #[allow(clippy::unnecessary_cast, reason = "the fields are narrower on other machines")]
    (found.f_bavail as u64).saturating_mul(found.f_frsize as u64)
}

fn allocate(file: &File, len: u64) -> Result<(), RingError> {
    let bytes = libc::off_t::try_from(len)
        .map_err(|_| RingError::Invalid(format!("a ring of {len} bytes is too large")))?;
    loop {
        // SAFETY: the descriptor is open; the call changes only the file.
        match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, bytes) } {
            0 => return Ok(()),
            libc::EINTR => {}
            libc::ENOSPC | libc::EFBIG | libc::EDQUOT => {
                return Err(RingError::NoSpace { needed: len, free: free_bytes(file) });
            }
            code => {
                let error = io::Error::from_raw_os_error(code);
                return Err(RingError::Io(format!("cannot take {len} bytes"), error));
            }
        }
    }
}

/// Sets the mode whatever the umask is.
fn set_mode(file: &File, mode: u32) -> Result<(), RingError> {
    file.set_permissions(Permissions::from_mode(mode))
        .map_err(|e| RingError::Io(format!("cannot set the mode {mode:o}"), e))
}

fn clock(id: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` outlives the call.
    unsafe { libc::clock_gettime(id, &raw mut now) };
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64)
}

/// The coarse monotonic clock, in nanoseconds.
pub fn coarse_clock_nanos() -> u64 {
    clock(libc::CLOCK_MONOTONIC_COARSE)
}

/// The monotonic clock, in nanoseconds.
pub fn clock_nanos() -> i64 {
    clock(libc::CLOCK_MONOTONIC) as i64
}

/// Sixteen random bytes.
pub fn random_id() -> Result<[u8; 16], RingError> {
    let mut id = [0u8; 16];
    // SAFETY: the buffer has the length that is given.
    let found = unsafe { libc::getrandom(id.as_mut_ptr().cast(), id.len(), 0) };
    if found != id.len() as isize {
        return Err(RingError::last_os_error("cannot draw a random id"));
    }
    Ok(id)
}

fn lock_request(kind: i32) -> libc::flock {
    // SAFETY: `flock` is plain numbers, for which zeros are a value.
    let mut request: libc::flock = unsafe { std::mem::zeroed() };
    request.l_type = kind as libc::c_short;
    request.l_whence = libc::SEEK_SET as libc::c_short;
    request.l_len = 1;
    request
}

fn is_locked(file: &File) -> bool {
    let mut request = lock_request(libc::F_RDLCK);
    // SAFETY: the descriptor is open and `request` outlives the call.
    let done = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut request) };
    done == 0 && i32::from(request.l_type) != libc::F_UNLCK
}

/// Whether somebody holds the owner's lock of a file, whatever is in it; false where there is none.
pub fn is_owned(path: &Path) -> Result<bool, RingError> {
    match open_file(path, libc::O_RDONLY | libc::O_NONBLOCK, 0) {
        Ok(file) => Ok(is_locked(&file)),
        Err(RingError::Io(_, error)) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

impl Region {
    /// Makes a new file with all its bytes taken, and maps it for writing.
    ///
    /// Refuses a path where anything exists already, a symbolic link included.
    pub fn create(path: &Path, len: u64, mode: u32) -> Result<Self, RingError> {
        let file = open_file(path, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, mode)?;
        let made = set_mode(&file, mode)
            .and_then(|()| allocate(&file, len))
            .and_then(|()| Self::mapped(file, len as usize, true));
        if made.is_err() {
            let _ = std::fs::remove_file(path);
        }
        made
    }

    /// Maps an existing regular file as it is.
    pub fn open(path: &Path, writable: bool) -> Result<Self, RingError> {
        let flags = if writable { libc::O_RDWR } else { libc::O_RDONLY };
        // Not blocking: a FIFO planted at the path must not hang whoever opens it.
        let file = open_file(path, flags | libc::O_NONBLOCK, 0)?;
        let found = file
            .metadata()
            .map_err(|e| RingError::Io(format!("cannot measure {}", path.display()), e))?;
        if !found.is_file() {
            return Err(RingError::corrupt(format!("not a regular file: {}", path.display())));
        }
        let len = usize::try_from(found.len())
            .map_err(|_| RingError::corrupt(format!("{} bytes cannot be mapped", found.len())))?;
        if len == 0 {
            return Err(RingError::corrupt(format!("an empty file: {}", path.display())));
        }
        Self::mapped(file, len, writable)
    }

    fn mapped(file: File, len: usize, writable: bool) -> Result<Self, RingError> {
        let protection =
            if writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        let start = map(&file, len, protection)?;
        Ok(Self { file, start, len, writable })
    }

    /// Bytes of the mapping.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the mapping has no bytes, which never happens.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Address of the first byte, for those who read it in other ways.
    pub fn address(&self) -> *const u8 {
        self.start.as_ptr()
    }

    /// Whether this side may write.
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// Bytes where they lie, to be looked at by whoever bears that they may change.
    pub fn slice(&self, at: usize, len: usize) -> &[u8] {
        self.check_range(at, len);
        // SAFETY: in bounds, and mapped as long as `self`. That the writer may change the bytes is
        // the caller's to bear: no offset is followed through them, and no value is believed before
        // the reader's check.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(at), len) }
    }

    /// Has the kernel put all bytes in place now, so that nobody waits for them later. Kernels that
    /// cannot do it put them in place as they are touched.
    pub fn populate(&self) {
        let wanted =
            if self.writable { libc::MADV_POPULATE_WRITE } else { libc::MADV_POPULATE_READ };
        // SAFETY: the range is this mapping, and no byte of it changes.
        unsafe { libc::madvise(self.start.as_ptr().cast(), self.len, wanted) };
    }

    /// Bytes that the file has now; fewer than the mapping means that somebody cut it.
    pub fn file_size(&self) -> Result<u64, RingError> {
        // Asking for the end is the cheapest question that tells the size; nobody reads the file by
        // its position.
        // SAFETY: the descriptor is open; the call touches no memory.
        let end = unsafe { libc::lseek(self.file.as_raw_fd(), 0, libc::SEEK_END) };
        u64::try_from(end).map_err(|_| RingError::last_os_error("cannot measure a ring"))
    }

    /// Refuses to go on if the file was cut: touching the missing bytes would kill the process.
    pub fn check_size(&self) -> Result<(), RingError> {
        self.check_reaches(self.len)
    }

    /// The same for those who touch nothing but a ring's header.
    pub fn check_header(&self) -> Result<(), RingError> {
        self.check_reaches(HEADER_SIZE)
    }

    fn check_reaches(&self, wanted: usize) -> Result<(), RingError> {
        let found = self.file_size()?;
        if found < wanted as u64 {
            return Err(RingError::corrupt(format!(
                "the ring's file should have {} bytes; it was cut to {found}",
                self.len
            )));
        }
        Ok(())
    }

    /// Takes the owner's lock for as long as the region lives; the kernel gives it back at death.
    pub fn lock_as_owner(&self) -> Result<(), RingError> {
        let request = lock_request(libc::F_WRLCK);
        // SAFETY: the descriptor is open and `request` outlives the call.
        let done =
            unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_OFD_SETLK, &raw const request) };
        if done != 0 {
            return Err(RingError::last_os_error("cannot take the ring's owner lock"));
        }
        Ok(())
    }

    /// Whether somebody holds the owner's lock.
    pub fn is_owned(&self) -> bool {
        is_locked(&self.file)
    }

    #[inline(always)]
    fn check_range(&self, at: usize, len: usize) {
        // Not an `assert!`, which puts what it would say where it can be seen, each time.
        if self.len.checked_sub(len).is_none_or(|last| at > last) {
            out_of_range(at, len, self.len);
        }
    }

    /// The addresses of the lines of a range, as far as it is in bounds.
    #[inline(always)]
    fn lines(&self, at: usize, len: usize) -> impl Iterator<Item = *const u8> {
        let end = at.saturating_add(len).min(self.len);
        // SAFETY: in bounds.
        (at..end).step_by(LINE).map(|at| unsafe { self.address().add(at) })
    }

    #[inline(always)]
    fn word(&self, at: usize) -> &AtomicU64 {
        self.check_range(at, 8);
        if !at.is_multiple_of(8) {
            out_of_line(at);
        }
        // SAFETY: in bounds and aligned (a mapping begins at a page), alive as long as `self`, and
        // every process treats these words as atomics only.
        unsafe { AtomicU64::from_ptr(self.start.as_ptr().add(at).cast()) }
    }
}

#[cold]
fn out_of_range(at: usize, len: usize, whole: usize) -> ! {
    panic!("{len} bytes at {at} lie beyond a mapping of {whole} bytes");
}

#[cold]
fn out_of_line(at: usize) -> ! {
    panic!("the word at {at} is not aligned");
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this length, and nothing borrowed from it outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

impl Memory for Region {
    #[inline(always)]
    fn load(&self, at: usize, order: Ordering) -> u64 {
        self.word(at).load(order)
    }

    #[inline(always)]
    fn copy_out(&self, at: usize, into: &mut [u8]) {
        self.check_range(at, into.len());
        // SAFETY: in bounds, and `into` is not part of the mapping. The writer may change the source
        // meanwhile: the bytes are then mixed, and the caller's check throws them away unread.
        unsafe {
            std::ptr::copy_nonoverlapping(
                self.start.as_ptr().add(at),
                into.as_mut_ptr(),
                into.len(),
            )
        }
    }

    #[inline(always)]
    fn fetch(&self, at: usize, len: usize) {
        self.lines(at, len).for_each(fetch_line);
    }
}

impl MemoryMut for Region {
    #[inline(always)]
    fn store(&self, at: usize, value: u64, order: Ordering) {
        assert!(self.writable, "a reader's mapping is never written");
        self.word(at).store(value, order);
    }

    #[inline(always)]
    fn copy_in(&self, at: usize, from: &[u8]) {
        assert!(self.writable, "a reader's mapping is never written");
        self.check_range(at, from.len());
        // SAFETY: in bounds, writable, and `from` is not part of the mapping. Readers that look at
        // these bytes meanwhile find out by their check.
        unsafe { copy_past_caches(from, self.start.as_ptr().add(at)) }
    }

    #[inline(always)]
    fn expect(&self, at: usize, len: usize) {
        self.lines(at, len).for_each(expect_line);
    }
}
