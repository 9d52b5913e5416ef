//! A few threads that go through many short phases together.
//!
//! A training step of the flow lasts a fraction of a millisecond and has three phases, so that waking a sleeping thread for each
//! would cost as much as the work. The threads of a team live for an epoch and spin between phases; where there are more
//! runnable threads than cores they soon yield.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};

/// Looks before a waiting thread begins to yield: some 20 microseconds.
const SPINS: u32 = 4000;

type Job<'a> = &'a (dyn Fn(usize) + Sync);

/// What the members share.
struct Shared {
    /// Phases begun; `usize::MAX` ends the members.
    phase: AtomicUsize,
    /// Members still at work.
    busy: AtomicUsize,
    failed: AtomicBool,
    /// The job of the present phase, its lifetime forgotten: it is called between a rise of `phase` and the fall of `busy` to zero alone.
    job: Mutex<Option<Job<'static>>>,
}

/// The leader's hold on its team.
pub(super) struct Team<'a> {
    shared: &'a Shared,
    size: usize,
}

fn wait(until: impl Fn() -> bool) {
    let mut looks = 0;
    while !until() {
        looks += 1;
        if looks < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
    }
}

/// Calls `lead` with a team of `size` threads, the present one among them.
pub(super) fn with_team<R>(size: usize, lead: impl FnOnce(&Team<'_>) -> R) -> R {
    let shared = Shared {
        phase: AtomicUsize::new(0),
        busy: AtomicUsize::new(0),
        failed: AtomicBool::new(false),
        job: Mutex::new(None),
    };
    /// Sends the members home, also when the leader panics.
    struct Dismiss<'a>(&'a Shared);
    impl Drop for Dismiss<'_> {
        fn drop(&mut self) {
            self.0.phase.store(usize::MAX, Release);
        }
    }
    std::thread::scope(|scope| {
        let _dismiss = Dismiss(&shared);
        for member in 1..size {
            let shared = &shared;
            scope.spawn(move || follow(shared, member));
        }
        lead(&Team { shared: &shared, size })
    })
}

fn follow(shared: &Shared, member: usize) {
    let mut seen = 0;
    loop {
        wait(|| shared.phase.load(Acquire) != seen);
        seen = shared.phase.load(Acquire);
        if seen == usize::MAX {
            return;
        }
        let job = *shared.job.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(job) = job
            && catch_unwind(AssertUnwindSafe(|| job(member))).is_err()
        {
            shared.failed.store(true, Relaxed);
        }
        shared.busy.fetch_sub(1, Release);
    }
}

impl Team<'_> {
    pub fn size(&self) -> usize {
        self.size
    }

    /// One phase: `job(member)` for every member, the leader being member 0. Returns when all are done.
    ///
    /// # Panics
    /// When a member's job does.
    pub fn run(&self, job: Job<'_>) {
        if self.size == 1 {
            return job(0);
        }
        // SAFETY: members call the job before `busy` falls to zero, which is awaited below whatever happens, so that the
        // reference is used within its lifetime alone.
        let forgotten = unsafe { std::mem::transmute::<Job<'_>, Job<'static>>(job) };
        *self.shared.job.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(forgotten);
        self.shared.busy.store(self.size - 1, Relaxed);
        self.shared.phase.fetch_add(1, Release);
        let own = catch_unwind(AssertUnwindSafe(|| job(0)));
        wait(|| self.shared.busy.load(Acquire) == 0);
        match own {
            Err(panic) => resume_unwind(panic),
            Ok(()) => assert!(!self.shared.failed.load(Relaxed), "a thread of the flow's training has panicked"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_takes_part_in_every_phase() {
        for size in [1, 2, 3, 5] {
            let sums: Vec<AtomicUsize> = (0..size).map(|_| AtomicUsize::new(0)).collect();
            with_team(size, |team| {
                for phase in 0..1000 {
                    team.run(&|member| {
                        sums[member].fetch_add(phase, Relaxed);
                    });
                    // A phase ends when all are done.
                    let want = (0..=phase).sum::<usize>();
                    assert!(sums.iter().all(|sum| sum.load(Relaxed) == want));
                }
            });
        }
    }

    #[test]
    fn a_panic_reaches_the_leader() {
        for culprit in [0, 1] {
            let caught = catch_unwind(|| with_team(2, |team| team.run(&|member| assert_ne!(member, culprit))));
            assert!(caught.is_err());
        }
    }
}
