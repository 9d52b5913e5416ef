//! A few threads that go through many short phases together.
//!
//! A training step of the flow lasts a fraction of a millisecond and has three phases, so that waking a sleeping thread for each
//! would cost as much as the work. The threads of a team live for an epoch and spin between phases; where there are more
//! runnable threads than cores they soon yield. A phase has so many shares, whatever the number of threads: what is summed over shares
//! has the same bits on every machine. Everyone does its own shares first (their data are in that core's cache) and then those that
//! nobody has begun: a member without a core holds nobody up. What a share computes does not depend on who does it.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::*};

/// Looks before a waiting thread begins to yield: some 20 microseconds.
const SPINS: u32 = 4000;

type Job<'a> = &'a (dyn Fn(usize) + Sync);

/// What the members share.
struct Shared {
    /// Phases begun; `usize::MAX` ends the members.
    phase: AtomicUsize,
    /// Per share the last phase in which somebody has begun it.
    begun: Vec<AtomicUsize>,
    /// Shares of the present phase that are not done.
    open: AtomicUsize,
    /// The first panic of a phase.
    panic: Mutex<Option<Box<dyn std::any::Any + Send>>>,
    /// The job of the present phase, its lifetime forgotten: it is called between a rise of `phase` and the fall of `open` to zero alone.
    job: Mutex<Option<Job<'static>>>,
}

impl Shared {
    /// Does what is left of a phase, from share `first` on.
    fn work(&self, phase: usize, first: usize) {
        let Some(job) = *self.job.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) else { return };
        let size = self.begun.len();
        for share in (first..size).chain(0..first) {
            // A late member may hold the job of a later phase than `phase` or of one that is over: then every share of `phase` has
            // been begun, and this fails. Where it succeeds the phase is not over, and `job` is its job.
            if self.begun[share].compare_exchange(phase - 1, phase, AcqRel, Relaxed).is_err() {
                continue;
            }
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| job(share))) {
                self.panic.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(panic);
            }
            self.open.fetch_sub(1, Release);
        }
    }
}

/// The leader's hold on its team.
pub(super) struct Team<'a> {
    shared: &'a Shared,
}

fn wait(until: impl Fn() -> bool) {
    let mut looks = 0;
    while !until() {
        looks += 1;
        if looks < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
    }
}

/// Calls `lead` with a team of `threads` threads, the present one among them, whose phases have `shares` shares. More threads than
/// shares would have nothing to do.
pub(super) fn with_team<R>(threads: usize, shares: usize, lead: impl FnOnce(&Team<'_>) -> R) -> R {
    let (shares, threads) = (shares.max(1), threads.clamp(1, shares.max(1)));
    let shared = Shared {
        phase: AtomicUsize::new(0),
        begun: (0..shares).map(|_| AtomicUsize::new(0)).collect(),
        open: AtomicUsize::new(0),
        panic: Mutex::new(None),
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
        for member in 1..threads {
            let shared = &shared;
            scope.spawn(move || follow(shared, member * shares / threads));
        }
        lead(&Team { shared: &shared })
    })
}

fn follow(shared: &Shared, first: usize) {
    let mut seen = 0;
    loop {
        wait(|| shared.phase.load(Acquire) != seen);
        seen = shared.phase.load(Acquire);
        if seen == usize::MAX {
            return;
        }
        shared.work(seen, first);
    }
}

impl Team<'_> {
    /// Shares of a phase.
    pub fn shares(&self) -> usize {
        self.shared.begun.len()
    }

    /// One phase: `job(share)` for every share. Returns when all are done.
    ///
    /// # Panics
    /// When a share's job does.
    pub fn run(&self, job: Job<'_>) {
        let shared = self.shared;
        if self.shares() == 1 {
            return job(0);
        }
        // SAFETY: a share is begun, and so the job called, before `open` falls to zero, which is awaited below whatever happens, so
        // that the reference is used within its lifetime alone.
        let forgotten = unsafe { std::mem::transmute::<Job<'_>, Job<'static>>(job) };
        *shared.job.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(forgotten);
        shared.open.store(self.shares(), Relaxed);
        let phase = shared.phase.fetch_add(1, Release) + 1;
        shared.work(phase, 0);
        wait(|| shared.open.load(Acquire) == 0);
        if let Some(panic) = shared.panic.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take() {
            resume_unwind(panic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_share_is_done_once_in_every_phase() {
        for (threads, shares) in [(1, 1), (1, 4), (2, 2), (2, 5), (3, 3), (5, 5), (7, 2)] {
            let sums: Vec<AtomicUsize> = (0..shares).map(|_| AtomicUsize::new(0)).collect();
            with_team(threads, shares, |team| {
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

    /// Members that are late find their shares done, each once.
    #[test]
    fn shares_of_a_late_member_are_done_by_others() {
        let sums: Vec<AtomicUsize> = (0..4).map(|_| AtomicUsize::new(0)).collect();
        with_team(3, 4, |team| {
            for phase in 0..200 {
                team.run(&|share| {
                    sums[share].fetch_add(1, Relaxed);
                    if (phase + share) % 7 == 0 {
                        std::thread::sleep(std::time::Duration::from_micros(300));
                    }
                });
                assert!(sums.iter().all(|sum| sum.load(Relaxed) == phase + 1));
            }
        });
    }

    #[test]
    fn a_panic_reaches_the_leader() {
        for culprit in [0, 1] {
            let caught = catch_unwind(|| with_team(2, 2, |team| team.run(&|member| assert_ne!(member, culprit))));
            assert!(caught.is_err());
        }
    }
}
