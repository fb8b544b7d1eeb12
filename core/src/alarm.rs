//! An alarm that one thread sleeps for, and that others set anew without waking it.
#![allow(unsafe_code, reason = "the system's own calls")]

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsRawFd, FromRawFd};

use crate::error::RingError;

const NANOS_PER_SEC: i64 = 1_000_000_000;

/// A timer of the kernel's monotonic clock.
#[derive(Debug)]
pub struct Alarm(File);

impl Alarm {
    /// One that is not set.
    pub fn new() -> Result<Self, RingError> {
        // SAFETY: makes a descriptor and touches no memory.
        let fd = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC) };
        if fd < 0 {
            return Err(RingError::last_os_error("cannot make a timer"));
        }
        // SAFETY: `fd` was just opened and belongs to nobody else.
        Ok(Self(unsafe { File::from_raw_fd(fd) }))
    }

    /// Lets it ring at this time of `clock_nanos`, at once if that is past, and at no other.
    pub fn set(&self, at_nanos: i64) {
        let at_nanos = at_nanos.max(1); // zero would mean never
        let once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let at = libc::timespec {
            tv_sec: (at_nanos / NANOS_PER_SEC) as libc::time_t,
            tv_nsec: (at_nanos % NANOS_PER_SEC) as libc::c_long,
        };
        let time = libc::itimerspec { it_interval: once, it_value: at };
        let (fd, absolute) = (self.0.as_raw_fd(), libc::TFD_TIMER_ABSTIME);
        // SAFETY: `time` outlives the call, which writes nothing where the last argument is null.
        let set =
            unsafe { libc::timerfd_settime(fd, absolute, &raw const time, std::ptr::null_mut()) };
        debug_assert_eq!(set, 0, "the time is valid, and so is the descriptor");
    }

    /// Sleeps until it rings. It then rings no more until it is set again.
    pub fn wait(&self) {
        let mut rings = [0; 8];
        while let Err(error) = (&self.0).read(&mut rings) {
            assert_eq!(error.kind(), ErrorKind::Interrupted, "a timer can be read");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::region::clock_nanos;

    #[test]
    fn it_rings_when_it_was_set_to_last_and_not_before() {
        let alarm = Alarm::new().unwrap();
        let begun = clock_nanos();
        alarm.set(begun + 3_600 * NANOS_PER_SEC);
        thread::scope(|scope| {
            let rung = scope.spawn(|| {
                alarm.wait();
                clock_nanos()
            });
            let last = begun + 20_000_000;
            alarm.set(last);
            assert!(rung.join().unwrap() >= last);
        });
    }

    #[test]
    fn a_time_that_is_past_rings_at_once() {
        let alarm = Alarm::new().unwrap();
        for past in [i64::MIN, 0, clock_nanos()] {
            alarm.set(past);
            alarm.wait();
        }
    }

    #[test]
    fn who_comes_late_hears_only_what_was_set_last() {
        let alarm = Alarm::new().unwrap();
        alarm.set(1);
        let last = clock_nanos() + 20_000_000;
        alarm.set(last);
        alarm.wait();
        assert!(clock_nanos() >= last);
    }
}
