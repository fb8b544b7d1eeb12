//! Looking for a message for a little while, as going to sleep and being woken takes longer.
#![allow(unsafe_code, reason = "the system's own call")]

use std::io;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// What one call receives at most; what is left comes with the next one.
const ROOM: usize = 4 << 10;

/// What has come to a socket; `None` where nothing has.
fn received(fd: RawFd, room: &mut [u8; ROOM]) -> io::Result<Option<usize>> {
    // SAFETY: the kernel writes at most `room.len()` bytes there, and `room` is ours alone; a
    // descriptor that is no socket is an error that the call returns.
    let count = unsafe { libc::recv(fd, room.as_mut_ptr().cast(), room.len(), libc::MSG_DONTWAIT) };
    if let Ok(count) = usize::try_from(count) {
        return Ok(Some(count));
    }
    match io::Error::last_os_error() {
        e if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
        e => Err(e),
    }
}

fn look(fd: RawFd, room: &mut [u8; ROOM], patience: Duration) -> io::Result<Option<usize>> {
    let begun = Instant::now();
    loop {
        if let Some(count) = received(fd, room)? {
            return Ok(Some(count));
        }
        // Whoever waits for this processor gets it now. Where that took long there is none to
        // spare, and the caller hears that looking was in vain.
        std::thread::yield_now();
        if begun.elapsed() >= patience {
            return Ok(None);
        }
    }
}

/// The bytes that come to a socket within so many nanoseconds, without going to sleep: none of them
/// at its end, `None` where nothing came. Other threads run meanwhile.
#[pyfunction]
pub fn receive_soon(
    py: Python<'_>,
    fd: RawFd,
    patience_nanos: u64,
) -> PyResult<Option<Bound<'_, PyBytes>>> {
    let mut room = [0; ROOM];
    let found = py.detach(|| look(fd, &mut room, Duration::from_nanos(patience_nanos)))?;
    Ok(found.map(|count| PyBytes::new(py, &room[..count])))
}
