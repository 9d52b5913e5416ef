//! A survey over the ranks of an MPI job: rank 0 keeps the table and hands out work, and works itself; every other rank asks it.
//!
//! A row costs one message each way. Nobody spins: whoever waits looks for a message every millisecond, so that rank 0 can compute on all
//! the cores that it was given. Only the thread that started MPI calls it.

use super::deal::{Foreman, Hub, Order, Report};
use super::work::Worker;
use super::{Asked, Opened};
use crate::analysis::Observer;
use crate::device::Device;
use crate::{Error, Result};
use mpi::Threading;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Destination, Equivalence, Source};
use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Duration;

const REPORT: i32 = 1;
const ORDER: i32 = 2;
/// How often whoever waits looks for a message.
const LOOK: Duration = Duration::from_millis(1);

/// This process among those of its job.
pub struct Ranks {
    world: SimpleCommunicator,
    /// Rank among those of this machine, and how many there are.
    local: [usize; 2],
    /// Ranks of this machine that may use the same cores.
    sharing: usize,
    /// Other ranks that have not been sent home.
    at_work: Cell<usize>,
    _universe: Universe,
}

impl Ranks {
    /// Joins the job. `cores`: a number for the set of cores that this process may use, the same in processes that share them.
    ///
    /// # Errors
    /// An MPI library that cannot be used by a program with threads.
    pub fn join(cores: u64) -> Result<Ranks> {
        let Some((universe, threading)) = mpi::initialize_with_threading(Threading::Funneled) else {
            return Err(Error::Input("MPI was started twice".into()));
        };
        if threading < Threading::Funneled {
            return Err(Error::Input(
                "this MPI library does not serve programs with threads (MPI_THREAD_FUNNELED)".into(),
            ));
        }
        let world = universe.world();
        let machine = world.split_shared(world.rank());
        let mut all = vec![0u64; machine.size() as usize];
        machine.all_gather_into(&cores, &mut all[..]);
        let sharing = all.iter().filter(|other| **other == cores).count();
        let local = [machine.rank() as usize, machine.size() as usize];
        let at_work = Cell::new(world.size() as usize - 1);
        Ok(Ranks { world, local, sharing, at_work, _universe: universe })
    }

    /// Number of this process, from 0.
    pub fn rank(&self) -> usize {
        self.world.rank() as usize
    }

    /// Processes of the job.
    pub fn size(&self) -> usize {
        self.world.size() as usize
    }

    /// Number of this process among those of its machine, from 0.
    pub fn local_rank(&self) -> usize {
        self.local[0]
    }

    /// Processes of the job on this machine.
    pub fn on_this_machine(&self) -> usize {
        self.local[1]
    }

    /// Processes of the job that share the cores of this one.
    pub fn sharing_cores(&self) -> usize {
        self.sharing
    }

    fn send(&self, to: usize, tag: i32, value: &impl serde::Serialize) -> Result<()> {
        let bytes = serde_json::to_vec(value).map_err(|error| Error::Input(format!("a message: {error}")))?;
        self.world.process_at_rank(to as i32).send_with_tag(&bytes[..], tag);
        Ok(())
    }

    /// A message of this kind, if there is one, and its sender.
    fn receive<T: serde::de::DeserializeOwned>(&self, tag: i32) -> Result<Option<(usize, T)>> {
        let Some((message, status)) = self.world.any_process().immediate_matched_probe_with_tag(tag) else {
            return Ok(None);
        };
        let mut bytes = vec![0u8; status.count(u8::equivalent_datatype()) as usize];
        message.matched_receive_into(&mut bytes[..]);
        let from = status.source_rank();
        let value = serde_json::from_slice(&bytes);
        let value = value.map_err(|error| Error::Input(format!("a message from rank {from}: {error}")))?;
        Ok(Some((from as usize, value)))
    }

    /// Sends every rank home that has not been: as soon as it reports.
    ///
    /// # Errors
    /// Messages that cannot be read.
    pub fn dismiss(&self) -> Result<()> {
        let mut left = self.at_work.get();
        self.at_work.set(0);
        while left > 0 {
            match self.receive::<Report>(REPORT)? {
                Some((from, _)) => {
                    self.send(from, ORDER, &Order::Stop)?;
                    left -= 1;
                }
                None => std::thread::sleep(LOOK),
            }
        }
        Ok(())
    }
}

/// Rank 0 at the other end of messages.
struct Far<'a> {
    ranks: &'a Ranks,
}

impl Foreman for Far<'_> {
    fn report(&mut self, report: Report) -> Result<Order> {
        self.ranks.send(0, REPORT, &report)?;
        // Rank 0 decides when to stop: it answers, whatever signals this rank was sent.
        loop {
            match self.ranks.receive(ORDER)? {
                Some((_, order)) => return Ok(order),
                None => std::thread::sleep(LOOK),
            }
        }
    }
}

/// The hub in another thread of this process.
struct Near {
    reports: Sender<Report>,
    orders: Receiver<Order>,
}

impl Foreman for Near {
    fn report(&mut self, report: Report) -> Result<Order> {
        let gone = |_| Error::Inference("rank 0 has stopped to hand out work".into());
        self.reports.send(report).map_err(|error| gone(error.to_string()))?;
        self.orders.recv().map_err(|error| gone(error.to_string()))
    }
}

/// Reports and leaves, for a rank that cannot begin.
///
/// # Errors
/// Messages that cannot be read.
pub fn leave(ranks: &Ranks, why: &Error) -> Result<()> {
    let text = format!("rank {} cannot begin: {why}", ranks.rank());
    Far { ranks }.report(Report::Failed { text, status: why.exit_status() }).map(drop)
}

/// The work of a rank other than 0.
///
/// # Errors
/// What keeps this rank from going on; rank 0 has been told.
pub fn work(asked: &Asked<'_>, ranks: &Ranks, device: &Device) -> Result<()> {
    let mut far = Far { ranks };
    let worked = Worker::new(asked, device).work(&mut far);
    if let Err(error) = &worked {
        let text = format!("rank {}: {error}", ranks.rank());
        far.report(Report::Failed { text, status: error.exit_status() })?;
    }
    worked
}

/// Rank 0: keeps the table and hands out work, its own among it.
///
/// # Errors
/// What stopped a rank, those of the table, and interruptions, once all ranks have ended their rows.
pub fn run(asked: &Asked<'_>, opened: &mut Opened, ranks: &Ranks, device: &Device) -> Result<()> {
    let (reports, inbox) = channel();
    let (orders, own_orders) = channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut near = Near { reports, orders: own_orders };
            let worked = catch_unwind(AssertUnwindSafe(|| Worker::new(asked, device).work(&mut near)));
            let failed = match worked {
                Ok(Ok(())) => return,
                Ok(Err(error)) => Report::Failed { text: error.to_string(), status: error.exit_status() },
                Err(_) => Report::Failed { text: "rank 0: internal error".into(), status: 2 },
            };
            let _ = near.report(failed);
        });
        let mut post = Post { ranks, inbox, orders, waiting: VecDeque::new(), busy: ranks.size() };
        let served = post.serve(&mut opened.hub, asked.observer);
        if served.is_err() {
            // The table cannot be kept: let everybody go before this is told.
            post.let_go()?;
        }
        served
    })?;
    opened.hub.end()
}

/// What comes in and goes out at rank 0.
struct Post<'a> {
    ranks: &'a Ranks,
    inbox: Receiver<Report>,
    orders: Sender<Order>,
    /// Workers that wait for an order.
    waiting: VecDeque<usize>,
    /// Workers that have not been sent home.
    busy: usize,
}

impl Post<'_> {
    fn serve(&mut self, hub: &mut Hub, observer: &dyn Observer) -> Result<()> {
        while self.busy > 0 {
            if observer.interrupted() {
                let status = Error::Interrupted.exit_status();
                hub.take(0, Report::Failed { text: "interrupted".into(), status }, observer)?;
            }
            let come = self.come()?;
            let idle = come.is_none();
            if let Some((rank, report)) = come {
                // Whatever comes of it, the rank waits for an answer.
                self.waiting.push_back(rank);
                hub.take(rank, report, observer)?;
            }
            for _ in 0..self.waiting.len() {
                let Some(&rank) = self.waiting.front() else { break };
                let order = hub.next(rank)?;
                self.waiting.pop_front();
                match order {
                    Some(order) => self.give(rank, order)?,
                    None => self.waiting.push_back(rank),
                }
            }
            if idle {
                std::thread::sleep(LOOK);
            }
        }
        Ok(())
    }

    /// A report, from this process or another one.
    fn come(&self) -> Result<Option<(usize, Report)>> {
        match self.inbox.try_recv() {
            Ok(report) => return Ok(Some((0, report))),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
        }
        self.ranks.receive(REPORT)
    }

    fn give(&mut self, rank: usize, order: Order) -> Result<()> {
        let home = usize::from(matches!(order, Order::Stop));
        self.busy -= home;
        match rank {
            // A worker of this process that is gone has said why.
            0 => drop(self.orders.send(order)),
            rank => {
                self.ranks.at_work.set(self.ranks.at_work.get().saturating_sub(home));
                self.ranks.send(rank, ORDER, &order)?;
            }
        }
        Ok(())
    }

    /// Sends everybody home as they report.
    fn let_go(&mut self) -> Result<()> {
        while self.busy > 0 {
            let next = self.waiting.pop_front().map(Ok).or_else(|| self.come().map(|come| Some(come?.0)).transpose());
            match next.transpose()? {
                Some(rank) => self.give(rank, Order::Stop)?,
                None => std::thread::sleep(LOOK),
            }
        }
        Ok(())
    }
}
