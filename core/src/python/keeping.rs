//! What the recorder asks for: checksums as fast as memory, and a disk that begins early.
#![allow(unsafe_code, reason = "the system's own call")]

use std::io;
use std::os::fd::RawFd;

use pyo3::buffer::PyUntypedBuffer;
use pyo3::prelude::*;

use super::LONG_COPY;
use super::columns::bytes_of;

fn checksum(bytes: &[u8], begun: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(begun);
    hasher.update(bytes);
    hasher.finalize()
}

/// The CRC-32 of zlib over contiguous bytes, begun with that of the bytes before.
#[pyfunction]
#[pyo3(signature = (data, begun = 0))]
pub fn crc32(py: Python<'_>, data: &Bound<'_, PyAny>, begun: u32) -> PyResult<u32> {
    let buffer = PyUntypedBuffer::get(data)?;
    let bytes = bytes_of(&buffer)?;
    if bytes.len() < LONG_COPY {
        return Ok(checksum(bytes, begun));
    }
    Ok(py.detach(|| checksum(bytes, begun)))
}

/// Lets the kernel begin to write a file's dirty pages; waits for none of them.
#[pyfunction]
pub fn start_writeback(py: Python<'_>, fd: RawFd) -> PyResult<()> {
    let begin = || {
        // SAFETY: the call takes plain numbers and touches no memory of ours; a descriptor that is
        // none is an error that it returns.
        match unsafe { libc::sync_file_range(fd, 0, 0, libc::SYNC_FILE_RANGE_WRITE) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    Ok(py.detach(begin)?)
}
