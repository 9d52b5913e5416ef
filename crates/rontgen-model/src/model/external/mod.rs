//! Components computed by a command of the user's: long-lived processes that get parameters and energies over a pipe and return
//! photons. The protocol is described in docs/external-models.md.
//!
//! Every spectrum is one request to one of several workers. A worker that dies or says nothing within the time-out is ended and
//! replaced; what it was computing is tried once more if it died, and given up if it was silent.

mod worker;

use super::digest::of_file;
use super::{
    catalogue::{Component, Kind, ParameterInfo},
    extension::UserComponent,
};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use worker::{Broken, Worker};

/// Processes that fail one after the other before the command is no longer started.
const MOST_FAILURES: usize = 10;

/// A run file says this of an external component.
#[derive(Debug, Clone, PartialEq)]
pub struct ExternalSpec {
    /// Name in expressions.
    pub name: String,
    /// Program and arguments; started in the folder of the run file.
    pub command: Vec<String>,
    /// Kind.
    pub kind: Kind,
    /// Parameters without the norm, which an additive component gets.
    pub parameters: Vec<ParameterInfo>,
    /// Processes at once; 0: one per core.
    pub workers: usize,
    /// Seconds that one spectrum may take.
    pub timeout: u64,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Worker>,
    running: usize,
    /// Failures since the last answer.
    failures: usize,
    last: String,
}

/// This is an external component with its processes.
pub struct External {
    spec: ExternalSpec,
    component: Component,
    folder: PathBuf,
    /// Nothing is ever started.
    idle: bool,
    most: usize,
    pool: Mutex<Pool>,
    returned: Condvar,
}

impl std::fmt::Debug for External {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("External").field("spec", &self.spec).finish_non_exhaustive()
    }
}

/// How names of scripts end.
const SCRIPTS: [&str; 9] = ["py", "r", "jl", "pl", "sh", "lua", "tcl", "rb", "js"];

impl External {
    /// Starts nothing yet. `folder`: where the command runs; empty: where this process does.
    pub fn new(spec: ExternalSpec, folder: &Path) -> Self {
        let most = match spec.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        let component = Component::new(&spec.name, spec.kind, spec.parameters.clone());
        Self {
            spec,
            component,
            folder: folder.into(),
            idle: false,
            most,
            pool: Mutex::default(),
            returned: Condvar::new(),
        }
    }

    /// A component that is known but never computed: for looking at a run without starting anything.
    pub fn idle(spec: ExternalSpec, folder: &Path) -> Self {
        Self { idle: true, ..Self::new(spec, folder) }
    }

    /// Starts one process, so that a command that does not work is found before anything is computed.
    ///
    /// Errors name the command and what it wrote to its standard error.
    pub fn start(&self) -> Result<(), String> {
        if self.idle {
            return Ok(());
        }
        let worker = self.worker()?;
        self.give_back(worker);
        Ok(())
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_name(&self, text: &str) -> String {
        format!("'{}' {text}", self.spec.command.join(" "))
    }

    /// An idle process, a new one, or the next that comes back.
    fn worker(&self) -> Result<Worker, String> {
        let mut pool = self.pool();
        loop {
            if pool.failures >= MOST_FAILURES {
                let last = &pool.last;
                return Err(self
                    .with_name(&format!("failed {MOST_FAILURES} times one after the other; the last time it {last}")));
            }
            if let Some(worker) = pool.idle.pop() {
                return Ok(worker);
            }
            if pool.running < self.most {
                break;
            }
            pool = self.returned.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
        pool.running += 1;
        drop(pool);
        let parameters = self.spec.parameters.len();
        let timeout = Duration::from_secs(self.spec.timeout);
        match Worker::start(&self.spec.name, &self.spec.command, &self.folder, parameters, timeout) {
            Ok(worker) => Ok(worker),
            Err(broken) => Err(self.lost(&broken)),
        }
    }

    fn give_back(&self, worker: Worker) {
        self.pool().idle.push(worker);
        self.returned.notify_one();
    }

    /// A process has ended; the text says why.
    fn lost(&self, broken: &Broken) -> String {
        let mut pool = self.pool();
        pool.running -= 1;
        pool.failures += 1;
        pool.last = broken.text.clone();
        drop(pool);
        self.returned.notify_all();
        self.with_name(&broken.text)
    }
}

impl UserComponent for External {
    fn component(&self) -> &Component {
        &self.component
    }

    /// Of the program, where the command names it by its path, and of scripts. What is looked for in PATH is the system's, which may renew it; and other
    /// files may be the command's own: a log, a cache.
    fn digest(&self) -> Option<String> {
        let script = |word: &str| {
            let extension = Path::new(word).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            SCRIPTS.iter().any(|known| known.eq_ignore_ascii_case(extension))
        };
        let named = |(k, word): (usize, &String)| {
            let counts = if k == 0 { word.contains(['/', '\\']) } else { script(word) };
            counts.then(|| of_file(&self.folder.join(word)))?.map(|digest| format!("{word} {digest}"))
        };
        let all: Vec<String> = self.spec.command.iter().enumerate().filter_map(named).collect();
        (!all.is_empty()).then(|| all.join(" "))
    }

    fn evaluate(&self, parameters: &[f64], bins: &[(f64, f64)], out: &mut [f64]) -> Result<(), String> {
        let timeout = Duration::from_secs(self.spec.timeout);
        if self.idle {
            return Err(self.with_name("is not started here"));
        }
        let mut again = true;
        loop {
            let mut worker = self.worker()?;
            match worker.evaluate(parameters, bins, out, timeout) {
                Ok(refused) => {
                    self.pool().failures = 0;
                    self.give_back(worker);
                    return refused.map_err(|text| self.with_name(&format!("refuses: {text}")));
                }
                Err(broken) => {
                    drop(worker);
                    let text = self.lost(&broken);
                    if broken.silent || !again {
                        return Err(text);
                    }
                    again = false;
                }
            }
        }
    }
}
