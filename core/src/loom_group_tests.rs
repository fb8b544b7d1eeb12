//! Sleeping under loom where readers may not write the bell: nobody is forgotten.

use std::time::Duration;

use loom::sync::Arc;
use loom::thread;

use crate::loom_memory::{GEOMETRY, LoomBell, LoomMemory};
use crate::loom_tests::{append, assert_read_is_true, check_up_to, written};
use crate::reader::Reader;
use crate::sync::AtomicU32;
use crate::wake::{Bell, ring_bell, wait_once};

/// The bell as its writer has it, or as a reader of the group.
struct SharedBell {
    bell: Arc<LoomBell>,
    is_writer: bool,
}

impl Bell for SharedBell {
    fn word(&self) -> &AtomicU32 {
        self.bell.word()
    }

    fn sleep(&self, value: u32, timeout: Duration) {
        self.bell.sleep(value, timeout);
    }

    fn wake_one(&self) {
        self.bell.wake_one();
    }

    fn wake_all(&self) {
        self.bell.wake_all();
    }

    fn is_writable(&self) -> bool {
        self.is_writer
    }

    fn is_shared(&self) -> bool {
        self.is_writer
    }
}

fn sleep_and_read(memory: Arc<LoomMemory>, bell: Arc<LoomBell>) {
    let reader = Reader::new(memory, GEOMETRY);
    let bell = SharedBell { bell, is_writer: false };
    while !wait_once(&reader, &bell, 0, Duration::MAX) {}
    assert_read_is_true(&reader, 0);
}

#[test]
fn loom_sleepers_that_may_not_write_are_never_forgotten() {
    check_up_to(2, || {
        let (memory, mut writer) = written(0);
        let bell = LoomBell::new();
        let (other_memory, other_bell) = (Arc::clone(&memory), Arc::clone(&bell));
        let sleeping = thread::spawn(move || sleep_and_read(other_memory, other_bell));
        let ringing = SharedBell { bell: Arc::clone(&bell), is_writer: true };
        let writing = thread::spawn(move || {
            append(&mut writer);
            ring_bell(&ringing);
        });
        sleep_and_read(memory, bell);
        sleeping.join().unwrap();
        writing.join().unwrap();
    });
}
