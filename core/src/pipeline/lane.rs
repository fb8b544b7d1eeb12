//! What lies inside a stage queue: `rtrb` for one sender, `crossbeam` where several join or the
//! oldest must give way, and a plain list while loom checks the protocol around them.

#[cfg(not(loom))]
pub use real::{Entrance, Exit, joined, single};

#[cfg(loom)]
pub use model::{Entrance, Exit, joined, single};

#[cfg(not(loom))]
mod real {
    use std::sync::Arc;

    use crossbeam_queue::ArrayQueue;

    /// Where values go in.
    pub enum Entrance<T> {
        Single(rtrb::Producer<T>),
        Joined(Arc<ArrayQueue<T>>),
    }

    /// Where values come out.
    pub enum Exit<T> {
        Single(rtrb::Consumer<T>),
        Joined(Arc<ArrayQueue<T>>),
    }

    pub fn single<T>(capacity: usize) -> (Entrance<T>, Exit<T>) {
        let (entrance, exit) = rtrb::RingBuffer::new(capacity);
        (Entrance::Single(entrance), Exit::Single(exit))
    }

    pub fn joined<T>(capacity: usize, senders: usize) -> (Vec<Entrance<T>>, Exit<T>) {
        let queue = Arc::new(ArrayQueue::new(capacity));
        let entrances = (0..senders).map(|_| Entrance::Joined(Arc::clone(&queue)));
        (entrances.collect(), Exit::Joined(queue))
    }

    impl<T> Entrance<T> {
        #[inline]
        pub fn push(&mut self, value: T) -> Result<(), T> {
            match self {
                Self::Single(entrance) => {
                    entrance.push(value).map_err(|rtrb::PushError::Full(value)| value)
                }
                Self::Joined(queue) => queue.push(value),
            }
        }

        /// Puts a value in at the cost of the oldest one. Only for joined ones.
        pub fn displace(&mut self, value: T) -> Result<Option<T>, T> {
            match self {
                Self::Single(_) => self.push(value).map(|()| None),
                Self::Joined(queue) => Ok(queue.force_push(value)),
            }
        }
    }

    impl<T> Exit<T> {
        #[inline]
        pub fn pop(&mut self) -> Option<T> {
            match self {
                Self::Single(exit) => exit.pop().ok(),
                Self::Joined(queue) => queue.pop(),
            }
        }

        pub fn len(&self) -> usize {
            match self {
                Self::Single(exit) => exit.slots(),
                Self::Joined(queue) => queue.len(),
            }
        }
    }
}

#[cfg(loom)]
mod model {
    use std::collections::VecDeque;

    use crate::sync::{Arc, Mutex};

    type List<T> = Arc<Mutex<VecDeque<T>>>;

    pub struct Entrance<T>(List<T>, usize);
    pub struct Exit<T>(List<T>);

    pub fn single<T>(capacity: usize) -> (Entrance<T>, Exit<T>) {
        let (mut entrances, exit) = joined(capacity, 1);
        (entrances.remove(0), exit)
    }

    pub fn joined<T>(capacity: usize, senders: usize) -> (Vec<Entrance<T>>, Exit<T>) {
        let list = Arc::new(Mutex::new(VecDeque::new()));
        let entrances = (0..senders).map(|_| Entrance(Arc::clone(&list), capacity));
        (entrances.collect(), Exit(list))
    }

    impl<T> Entrance<T> {
        pub fn push(&mut self, value: T) -> Result<(), T> {
            let mut list = self.0.lock().unwrap();
            if list.len() == self.1 {
                return Err(value);
            }
            list.push_back(value);
            Ok(())
        }

        pub fn displace(&mut self, value: T) -> Result<Option<T>, T> {
            let mut list = self.0.lock().unwrap();
            let oldest = if list.len() == self.1 { list.pop_front() } else { None };
            list.push_back(value);
            Ok(oldest)
        }
    }

    impl<T> Exit<T> {
        pub fn pop(&mut self) -> Option<T> {
            self.0.lock().unwrap().pop_front()
        }

        pub fn len(&self) -> usize {
            self.0.lock().unwrap().len()
        }
    }
}
