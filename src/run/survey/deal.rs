//! Who does what next: trainings of networks first, then rows of their own way, which take longest, then rows of the networks that stand.
//!
//! A worker reports what it has done and is told what to do next; whether it sits in this process or at the other end of a message is not seen from
//! here. A report and an order are all that a row costs.

use super::list::{List, Row};
use super::plan::{Network, Plan};
use super::table::Table;
use crate::analysis::Observer;
use crate::report::tables::safe_field;
use crate::result::SurveyRow;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A row with its place in the list (from 0).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Job {
    pub at: usize,
    pub row: Row,
}

/// What a worker is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Order {
    /// Train network `k` (from 0) on a row.
    Train { k: usize, network: Box<Network>, row: Box<Row> },
    /// Compute rows, through a network or by the way of this name.
    Rows { network: Option<usize>, way: String, jobs: Vec<Job> },
    /// There is nothing left to do.
    Stop,
}

/// A row that is done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Done {
    pub row: SurveyRow,
    pub seconds: f64,
}

/// What a worker has done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Report {
    /// It is there, with this device.
    Ready { device: String },
    /// A network stands.
    Trained { k: usize, seconds: f64 },
    /// These rows are done.
    Rows(Vec<Done>),
    /// It cannot go on: why, and the exit status.
    Failed { text: String, status: u8 },
}

/// Where a worker reports and gets its next order.
pub(super) trait Foreman {
    /// # Errors
    /// Interruptions, and those of whoever keeps the table.
    fn report(&mut self, report: Report) -> Result<Order>;
}

/// How far a network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Wanted,
    AtWork,
    Stands,
}

/// The work that is left.
#[derive(Debug)]
pub(super) struct Dealer {
    networks: Vec<(Network, Row, State)>,
    /// Rows of each network.
    shared: Vec<VecDeque<Job>>,
    own: VecDeque<Job>,
    way: String,
    batch: usize,
}

impl Dealer {
    /// `left`: rows (from 0) that are to be computed.
    pub fn new(plan: &Plan, list: &List, left: &[usize], batch: usize) -> Dealer {
        let mut shared: Vec<VecDeque<Job>> = plan.networks.iter().map(|_| VecDeque::new()).collect();
        let mut own = VecDeque::new();
        for &at in left {
            let job = Job { at, row: list.rows[at].clone() };
            match plan.rows[at].network {
                Some(k) => shared[k].push_back(job),
                None => own.push_back(job),
            }
        }
        let networks = plan.networks.iter().zip(&shared).map(|(network, rows)| {
            // Nobody needs it any more.
            let state = if rows.is_empty() { State::Stands } else { State::Wanted };
            (network.clone(), list.rows[network.row].clone(), state)
        });
        Dealer { networks: networks.collect(), shared, own, way: plan.own.clone(), batch: batch.max(1) }
    }

    /// Rows that nobody has been told to compute.
    pub fn left(&self) -> usize {
        self.own.len() + self.shared.iter().map(VecDeque::len).sum::<usize>()
    }

    /// What to do next for a worker that has network `has` in memory. `None`: nothing now, until a network stands.
    fn next(&mut self, has: Option<usize>) -> Option<Order> {
        let wanted = (0..self.networks.len()).filter(|&k| self.networks[k].2 == State::Wanted);
        // The longest queue first.
        if let Some(k) = wanted.max_by_key(|&k| (self.shared[k].len(), std::cmp::Reverse(k))) {
            let (network, row, state) = &mut self.networks[k];
            *state = State::AtWork;
            let (network, row) = (Box::new(network.clone()), Box::new(row.clone()));
            return Some(Order::Train { k, network, row });
        }
        if let Some(job) = self.own.pop_front() {
            return Some(Order::Rows { network: None, way: self.way.clone(), jobs: vec![job] });
        }
        let ready = |k: &usize| self.networks[*k].2 == State::Stands && !self.shared[*k].is_empty();
        let longest = || (0..self.networks.len()).filter(ready).max_by_key(|&k| self.shared[k].len());
        if let Some(k) = has.filter(ready).or_else(longest) {
            let n = self.batch.min(self.shared[k].len());
            let jobs = self.shared[k].drain(..n).collect();
            return Some(Order::Rows { network: Some(k), way: format!("network {}", k + 1), jobs });
        }
        (self.left() == 0).then_some(Order::Stop)
    }
}

/// What keeps the table: takes reports, gives orders.
pub(super) struct Hub {
    dealer: Dealer,
    table: Table,
    times: (PathBuf, File),
    /// By worker, the network that it has in memory.
    has: BTreeMap<usize, usize>,
    computed: usize,
    /// Why no more is handed out.
    stopped: Option<(String, u8)>,
}

impl Hub {
    /// # Errors
    /// Those of the file of times.
    pub fn new(dealer: Dealer, table: Table, times: &Path) -> Result<Hub> {
        let there = times.exists();
        let file = OpenOptions::new().create(true).append(true).open(times).map_err(Error::io(times))?;
        let mut hub =
            Hub { dealer, table, times: (times.to_path_buf(), file), has: BTreeMap::new(), computed: 0, stopped: None };
        if !there {
            hub.time("what,name,rank,way,seconds\n")?;
        }
        Ok(hub)
    }

    fn time(&mut self, line: &str) -> Result<()> {
        self.times.1.write_all(line.as_bytes()).map_err(Error::io(&self.times.0))
    }

    /// Rows that this call has added to the table.
    pub fn computed(&self) -> usize {
        self.computed
    }

    /// Rows that are to be handed out.
    pub fn left(&self) -> usize {
        self.dealer.left()
    }

    /// Takes what worker `rank` has done.
    ///
    /// # Errors
    /// Those of the files.
    pub fn take(&mut self, rank: usize, report: Report, observer: &dyn Observer) -> Result<()> {
        match report {
            Report::Ready { device } => self.time(&format!("ready,{},{rank},,\n", safe_field(&device))),
            Report::Trained { k, seconds } => {
                self.dealer.networks[k].2 = State::Stands;
                observer.message(&format!("network {} stands ({seconds:.1} s)", k + 1));
                self.time(&format!("trained,network {},{rank},npe,{seconds:.3}\n", k + 1))
            }
            Report::Rows(rows) => {
                observer.advance(rows.len() as u64);
                for Done { row, seconds } in rows {
                    self.table.append(&row)?;
                    self.computed += 1;
                    self.time(&format!("done,{},{rank},{},{seconds:.4}\n", safe_field(&row.name), row.way))?;
                }
                Ok(())
            }
            Report::Failed { text, status } => {
                self.stopped.get_or_insert((text, status));
                Ok(())
            }
        }
    }

    /// What worker `rank` is to do next; `None`: to wait.
    ///
    /// # Errors
    /// Those of the files.
    pub fn next(&mut self, rank: usize) -> Result<Option<Order>> {
        if self.stopped.is_some() {
            return Ok(Some(Order::Stop));
        }
        let order = self.dealer.next(self.has.get(&rank).copied());
        if let Some(Order::Rows { network, jobs, way }) = &order {
            match network {
                Some(k) => self.has.insert(rank, *k),
                None => self.has.remove(&rank),
            };
            let begun = jobs.iter().map(|job| format!("begun,{},{rank},{way},\n", safe_field(&job.row.name)));
            let begun: String = begun.collect();
            self.time(&begun)?;
        }
        Ok(order)
    }

    /// Puts the table on the disk, and says why work was stopped.
    ///
    /// # Errors
    /// What stopped it.
    pub fn end(&mut self) -> Result<()> {
        self.table.flush()?;
        match self.stopped.take() {
            None => Ok(()),
            Some((_, 130)) => Err(Error::Interrupted),
            Some((text, 4)) => Err(Error::Inference(text)),
            Some((text, _)) => Err(Error::Input(text)),
        }
    }
}

/// The only worker, in the process that keeps the table.
pub(super) struct Alone<'a> {
    pub hub: &'a mut Hub,
    pub observer: &'a dyn Observer,
}

impl Foreman for Alone<'_> {
    fn report(&mut self, report: Report) -> Result<Order> {
        self.hub.take(0, report, self.observer)?;
        self.observer.check()?;
        // Nobody else is at work: there is nothing to wait for.
        Ok(self.hub.next(0)?.unwrap_or(Order::Stop))
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::PlannedRow;
    use super::*;

    fn row(name: &str) -> Row {
        Row {
            name: name.into(),
            line: 0,
            written: String::new(),
            spectrum: PathBuf::new(),
            response: None,
            area: super::super::list::Companion::None,
            background: super::super::list::Companion::None,
            values: Vec::new(),
            digest: String::new(),
            files: Vec::new(),
        }
    }

    fn dealer(ways: &[Option<usize>], batch: usize) -> Dealer {
        let rows: Vec<Row> = (0..ways.len()).map(|i| row(&i.to_string())).collect();
        let network = |k: usize| Network {
            row: ways.iter().position(|way| *way == Some(k)).unwrap(),
            rows: 0,
            exposure: None,
            background: None,
            scale: None,
        };
        let n = ways.iter().flatten().max().map_or(0, |k| k + 1);
        let planned = |way: &Option<usize>| PlannedRow { name: String::new(), digest: String::new(), network: *way };
        let plan = Plan {
            version: String::new(),
            settings: Default::default(),
            own: "npe".into(),
            networks: (0..n).map(network).collect(),
            notes: Vec::new(),
            rows: ways.iter().map(planned).collect(),
        };
        let left: Vec<usize> = (0..ways.len()).collect();
        Dealer::new(&plan, &List { path: PathBuf::new(), rows }, &left, batch)
    }

    #[test]
    fn every_row_is_handed_out_once_and_no_sooner_than_its_network_stands() {
        let ways = [Some(0), None, Some(1), Some(1), Some(0), Some(1), None];
        let mut dealer = dealer(&ways, 2);
        // Two workers: the longer queue's network first, then the other one.
        assert!(matches!(dealer.next(None), Some(Order::Train { k: 1, .. })));
        assert!(matches!(dealer.next(None), Some(Order::Train { k: 0, .. })));
        let mut seen = Vec::new();
        let mut take = |order: Option<Order>| match order {
            Some(Order::Rows { network, jobs, .. }) => {
                seen.extend(jobs.iter().map(|job| job.at));
                Some(network)
            }
            _ => None,
        };
        assert_eq!(take(dealer.next(None)), Some(None));
        assert_eq!(take(dealer.next(None)), Some(None));
        assert!(dealer.next(None).is_none(), "rows of networks that do not stand");
        dealer.networks[0].2 = State::Stands;
        assert_eq!(take(dealer.next(None)), Some(Some(0)));
        assert!(dealer.next(None).is_none());
        dealer.networks[1].2 = State::Stands;
        assert_eq!(take(dealer.next(Some(0))), Some(Some(1)));
        assert_eq!(take(dealer.next(Some(1))), Some(Some(1)));
        assert!(matches!(dealer.next(Some(1)), Some(Order::Stop)));
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn networks_without_rows_are_not_trained() {
        let ways = [Some(0), None];
        let plan_rows: Vec<Row> = (0..2).map(|i| row(&i.to_string())).collect();
        let networks = dealer(&ways, 1).networks.into_iter().map(|(network, ..)| network).collect();
        let planned = |way: &Option<usize>| PlannedRow { name: String::new(), digest: String::new(), network: *way };
        let plan = Plan {
            version: String::new(),
            settings: Default::default(),
            own: "npe".into(),
            networks,
            notes: Vec::new(),
            rows: ways.iter().map(planned).collect(),
        };
        let mut dealer = Dealer::new(&plan, &List { path: PathBuf::new(), rows: plan_rows }, &[1], 1);
        assert!(matches!(dealer.next(None), Some(Order::Rows { network: None, .. })));
        assert!(matches!(dealer.next(None), Some(Order::Stop)));
    }
}
