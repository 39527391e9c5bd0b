//! Runs code out of a downloaded file, a chat template, within bounds of memory and time. It gets a
//! thread of its own with a deep stack, whose allocations are counted.
//!
//! An allocation cannot fail in Rust without ending the process, and no thread can be ended from
//! outside. So work that exceeds its bounds stops for good where it next allocates, and keeps what
//! it holds: whoever ran it is to refuse to run it again.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::panic::{catch_unwind, set_hook, take_hook, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{channel, RecvTimeoutError};
use std::sync::{Arc, Mutex, Once};
use std::thread::{sleep, Builder, Result as Caught};
use std::time::{Duration, Instant};

/// Values nest as deeply as memory allows, and are dropped by recursion. Only what is used of a
/// stack is ever real.
const STACK_BYTES: [usize; 2] = [1 << 30, 64 << 20];

static MEMORY: AtomicU64 = AtomicU64::new(128 << 20);
static MILLISECONDS: AtomicU64 = AtomicU64::new(10_000);

/// Sets what `run` allows from now on, in bytes and milliseconds.
pub fn set_limits(memory: u64, milliseconds: u64) {
    MEMORY.store(memory, Relaxed);
    MILLISECONDS.store(milliseconds, Relaxed);
}

struct Budget {
    left: AtomicIsize,
    spent: AtomicBool,     // said by the thread: it has stopped
    cancelled: AtomicBool, // said to the thread: stop
}

thread_local! {
    static BUDGET: Cell<*const Budget> = const { Cell::new(std::ptr::null()) };
}

fn charge(bytes: isize) {
    let budget = BUDGET.try_with(Cell::get).unwrap_or(std::ptr::null());
    // It lives as long as the thread whose cell points to it.
    let Some(budget) = (unsafe { budget.as_ref() }) else {
        return;
    };
    let left = budget.left.fetch_sub(bytes, Relaxed) - bytes;
    if bytes > 0 && (left < 0 || budget.cancelled.load(Relaxed)) {
        budget.spent.store(true, Relaxed);
        loop {
            sleep(Duration::from_secs(3600));
        }
    }
}

struct Counting;

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        charge(layout.size() as isize);
        System.alloc(layout)
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        charge(layout.size() as isize);
        System.alloc_zeroed(layout)
    }
    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        charge(size as isize - layout.size() as isize);
        System.realloc(place, layout, size)
    }
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        charge(-(layout.size() as isize));
        System.dealloc(place, layout);
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Reporting a panic takes memory, and locks that every thread may want: it is not to stop there.
fn panics_are_reported_in_full() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = take_hook();
        set_hook(Box::new(move |panic| {
            let _ = BUDGET.try_with(|cell| cell.set(std::ptr::null()));
            report(panic);
        }));
    });
}

#[derive(Debug, PartialEq, Eq)]
pub enum Stopped {
    Memory,
    Time,
    NoThread,
}

/// `extra`: bytes to allow besides, for what the work is given.
pub fn run<T: Send + 'static>(
    extra: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Caught<T>, Stopped> {
    let memory = MEMORY.load(Relaxed).saturating_add(extra as u64);
    let budget = Arc::new(Budget {
        left: AtomicIsize::new(isize::try_from(memory).unwrap_or(isize::MAX)),
        spent: AtomicBool::new(false),
        cancelled: AtomicBool::new(false),
    });
    panics_are_reported_in_full();
    let (sender, receiver) = channel();
    let slot = Arc::new(Mutex::new(Some(work)));
    let start = |bytes: usize| {
        let (shared, sender, slot) = (Arc::clone(&budget), sender.clone(), Arc::clone(&slot));
        Builder::new().stack_size(bytes).spawn(move || {
            let Some(work) = slot.lock().ok().and_then(|mut slot| slot.take()) else {
                return;
            };
            drop(slot);
            BUDGET.with(|cell| cell.set(Arc::as_ptr(&shared)));
            let result = catch_unwind(AssertUnwindSafe(work));
            BUDGET.with(|cell| cell.set(std::ptr::null()));
            let _ = sender.send(result);
        })
    };
    if !STACK_BYTES.iter().any(|bytes| start(*bytes).is_ok()) {
        return Err(Stopped::NoThread);
    }
    drop(sender);
    let end = Instant::now() + Duration::from_millis(MILLISECONDS.load(Relaxed));
    loop {
        match receiver.recv_timeout(Duration::from_millis(20)) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Disconnected) => return Err(Stopped::NoThread),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if budget.spent.load(Relaxed) {
            return Err(Stopped::Memory);
        }
        if Instant::now() >= end {
            budget.cancelled.store(true, Relaxed);
            return Err(Stopped::Time);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_within_its_bounds_gives_its_result() {
        assert_eq!(
            run(0, || vec![7u8; 1 << 20].len()).unwrap().unwrap(),
            1 << 20
        );
        assert!(run(0, || panic!("work's own")).unwrap().is_err());
        // A budget that the panic's message alone exceeds.
        let panics = || {
            charge(MEMORY.load(Relaxed) as isize - 64);
            panic!("without room");
        };
        for _ in 0..2 {
            assert!(run(0, panics).unwrap().is_err());
        }
    }

    #[test]
    fn work_that_allocates_without_end_is_left_behind() {
        let start = Instant::now();
        let grow = || {
            let mut kept: Vec<Vec<u8>> = Vec::new();
            while kept.len() < 1 << 20 {
                kept.push(Vec::with_capacity(1 << 20));
            }
            kept.len()
        };
        assert_eq!(run(0, grow).err(), Some(Stopped::Memory));
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}
