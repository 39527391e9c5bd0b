//! Lets a caller end work that takes long. The work counts what it does; now and then, the caller
//! is asked whether it should go on. The caller may do something else before it answers.

use std::cell::Cell;

use crate::error::{Error, Kind, Result};

/// Bytes, or steps of about that cost, between two questions: about a millisecond.
const INTERVAL: usize = 1 << 12;

#[derive(Clone, Copy)]
struct Scope {
    stop: Option<*const dyn Fn() -> bool>,
    done: usize, // since the last question
    stopped: bool,
}

const NONE: Scope = Scope {
    stop: None,
    done: 0,
    stopped: false,
};

thread_local! {
    static SCOPE: Cell<Scope> = const { Cell::new(NONE) };
}

/// Puts the scope around it back, also when the work panics.
struct Restore(Scope);

impl Drop for Restore {
    fn drop(&mut self) {
        SCOPE.with(|cell| cell.set(self.0));
    }
}

/// Runs `work`, which ends early where `stop` says so. Such work may run inside `stop`.
pub fn scope<T>(stop: &dyn Fn() -> bool, work: impl FnOnce() -> T) -> T {
    // The borrow outlives the scope, which Restore ends.
    let stop = unsafe {
        std::mem::transmute::<*const (dyn Fn() -> bool + '_), *const (dyn Fn() -> bool + 'static)>(
            stop,
        )
    };
    let inner = Scope {
        stop: Some(stop),
        ..NONE
    };
    let _restore = Restore(SCOPE.with(|cell| cell.replace(inner)));
    work()
}

/// Counts `steps`; true: what is done now is of no use, so end it anyhow.
pub fn tick(steps: usize) -> bool {
    SCOPE.with(|cell| {
        let mut scope = cell.get();
        scope.done = scope.done.saturating_add(steps);
        if let Some(stop) = scope.stop.filter(|_| scope.done >= INTERVAL) {
            scope.done = 0;
            cell.set(scope);
            scope.stopped |= unsafe { &*stop }();
        }
        cell.set(scope);
        scope.stopped
    })
}

pub fn check() -> Result<()> {
    match SCOPE.with(|cell| cell.get().stopped) {
        false => Ok(()),
        true => Err(Error::new(
            Kind::Cancelled,
            "the text was not encoded to its end",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_stopped_once_and_scopes_nest() {
        assert!(!tick(INTERVAL) && check().is_ok());
        let asked = Cell::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            // Inside, others are asked, and nobody hears of it outside.
            let inner = scope(&|| true, || (tick(INTERVAL), check().is_err()));
            assert_eq!(inner, (true, true));
            asked.get() == 3
        };
        let ticks = scope(&stop, || {
            let ticks = (1..100).find(|_| tick(INTERVAL / 2));
            assert!(tick(0) && check().is_err());
            ticks
        });
        assert_eq!((ticks, asked.get()), (Some(6), 3));
        assert!(!tick(INTERVAL) && check().is_ok());
    }
}
