//! Progress on standard error: stage, round, epoch, loss and remaining time.
//!
//! On a terminal one line is redrawn; with RONTGEN_PROGRESS=1 and no terminal each stage writes a plain line when it
//! ends (epochs would fill a log); otherwise, or when quiet, nothing is written at all.

use std::{
    collections::BTreeMap,
    io::IsTerminal,
    sync::Mutex,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Where progress goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Silent,
    /// A line per finished stage.
    Lines,
    /// One line, redrawn.
    Terminal,
}

impl Mode {
    /// Silent if `quiet`; else by the terminal and RONTGEN_PROGRESS.
    pub fn detect(quiet: bool) -> Mode {
        let asked = std::env::var_os("RONTGEN_PROGRESS").is_some_and(|value| value == "1");
        match (quiet, std::io::stderr().is_terminal(), asked) {
            (true, ..) => Mode::Silent,
            (false, true, _) => Mode::Terminal,
            (false, false, true) => Mode::Lines,
            (false, false, false) => Mode::Silent,
        }
    }
}

/// What the scheduler tells of a run; cheap enough to be called every batch.
#[derive(Debug)]
pub struct Progress {
    mode: Mode,
    bar: ProgressBar,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    started: Instant,
    /// 1-based; 0 before the first.
    round: usize,
    rounds: usize,
    stage: Option<Stage>,
    /// Seconds of each stage in the latest round that ran it, and whether this round has run it already.
    known: BTreeMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    seconds: f64,
    round: usize,
    in_rounds: bool,
}

#[derive(Debug)]
struct Stage {
    name: String,
    started: Instant,
    position: u64,
    length: u64,
    detail: String,
}

impl Progress {
    pub fn new(mode: Mode) -> Progress {
        let bar = match mode {
            Mode::Terminal => ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10)),
            _ => ProgressBar::hidden(),
        };
        if let Ok(style) = ProgressStyle::with_template("{prefix:.bold} [{bar:24.cyan/dim}] {msg}") {
            bar.set_style(style.progress_chars("━╸─"));
        }
        let state = State { started: Instant::now(), round: 0, rounds: 0, stage: None, known: BTreeMap::new() };
        Progress { mode, bar, state: Mutex::new(state) }
    }

    /// A progress that says nothing.
    pub fn silent() -> Progress {
        Progress::new(Mode::Silent)
    }

    /// Round `k` (from 1) of `n` begins. `round(0, 0)` leaves the rounds.
    pub fn round(&self, k: usize, n: usize) {
        self.with(|state| {
            self.end_stage(state);
            state.round = k;
            state.rounds = n;
        });
    }

    /// A stage begins, with `length` steps to [`Self::advance`] over (0: unknown); the one before ends.
    pub fn stage(&self, name: &str, length: u64) {
        self.with(|state| {
            self.end_stage(state);
            let name = name.to_string();
            state.stage = Some(Stage { name, started: Instant::now(), position: 0, length, detail: String::new() });
            self.draw(state);
        });
    }

    /// Epoch `e` (from 1) of at most `max` has ended with these losses.
    pub fn epoch(&self, e: usize, max: usize, train: f64, validation: f64) {
        self.with(|state| {
            if let Some(stage) = &mut state.stage {
                stage.position = e as u64;
                stage.length = max as u64;
                stage.detail = format!("epoch {e}, loss {} (validation {})", short(train), short(validation));
            }
            self.draw(state);
        });
    }

    /// `n` more steps of the stage are done.
    pub fn advance(&self, n: u64) {
        self.with(|state| {
            if let Some(stage) = &mut state.stage {
                stage.position += n;
            }
            self.draw(state);
        });
    }

    /// A line that stays (a warning, a round's efficiency).
    pub fn message(&self, text: &str) {
        match self.mode {
            Mode::Silent => {}
            Mode::Lines => eprintln!("{text}"),
            Mode::Terminal => self.bar.suspend(|| eprintln!("{text}")),
        }
    }

    /// The last stage ends; the display is cleared.
    pub fn done(&self) {
        self.with(|state| {
            self.end_stage(state);
            if self.mode == Mode::Lines {
                eprintln!("done in {}", duration(state.started.elapsed().as_secs_f64()));
            }
        });
        self.bar.finish_and_clear();
    }

    /// Estimated seconds that remain, once a round has shown how long its stages take.
    pub fn remaining(&self) -> Option<Duration> {
        let mut seconds = None;
        self.with(|state| seconds = state.remaining());
        seconds.and_then(|s| Duration::try_from_secs_f64(s).ok())
    }

    fn with(&self, change: impl FnOnce(&mut State)) {
        // A display is no reason to stop: a poisoned lock still holds a usable state.
        change(&mut self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    fn end_stage(&self, state: &mut State) {
        let Some(stage) = state.stage.take() else { return };
        let seconds = stage.started.elapsed().as_secs_f64();
        let known = Known { seconds, round: state.round, in_rounds: state.round > 0 };
        if self.mode == Mode::Lines {
            let detail = if stage.detail.is_empty() { String::new() } else { format!("; {}", stage.detail) };
            eprintln!("{}{}: {}{detail}", state.prefix(), stage.name, duration(seconds));
        }
        state.known.insert(stage.name, known);
    }

    fn draw(&self, state: &State) {
        if self.mode != Mode::Terminal {
            return;
        }
        let Some(stage) = &state.stage else { return };
        self.bar.set_length(stage.length.max(1));
        self.bar.set_position(stage.position);
        self.bar.set_prefix(format!("{}{}", state.prefix(), stage.name));
        let mut message = stage.detail.clone();
        if let Some(seconds) = state.remaining() {
            message.push_str(&format!("  about {} left", duration(seconds)));
        }
        self.bar.set_message(message);
    }
}

impl State {
    fn prefix(&self) -> String {
        if self.round > 0 { format!("round {}/{}: ", self.round, self.rounds) } else { String::new() }
    }

    /// The rest of this stage and round by the latest round's times, plus the rounds to come. What follows the last
    /// round (refinement, report) is short and not counted.
    fn remaining(&self) -> Option<f64> {
        let stage = self.stage.as_ref()?;
        let elapsed = stage.started.elapsed().as_secs_f64();
        let fraction = stage.position as f64 / stage.length.max(1) as f64;
        let known = |name: &str| self.known.get(name).map(|k| k.seconds);
        let own = match known(&stage.name) {
            Some(seconds) => (seconds - elapsed).max(0.0),
            None if self.round == 0 && fraction > 0.02 => elapsed * (1.0 - fraction) / fraction,
            None => return None,
        };
        if self.round == 0 {
            return Some(own);
        }
        let in_rounds = || self.known.iter().filter(|(_, k)| k.in_rounds);
        let this_round: f64 =
            in_rounds().filter(|(name, k)| k.round < self.round && **name != stage.name).map(|(_, k)| k.seconds).sum();
        let per_round: f64 = in_rounds().map(|(_, k)| k.seconds).sum();
        Some(own + this_round + per_round * self.rounds.saturating_sub(self.round) as f64)
    }
}

/// A loss in at most seven characters or so.
fn short(x: f64) -> String {
    if x.abs() >= 1000.0 { format!("{x:.0}") } else { format!("{x:.3}") }
}

/// `1.24 s`, `3 min 20 s`, `2 h 05 min`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..=9 => format!("{seconds:.2} s"),
        10..=99 => format!("{seconds:.1} s"),
        100..=5999 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_estimated_once_a_round_is_known() {
        let progress = Progress::silent();
        progress.round(1, 3);
        progress.stage("simulate", 10);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(progress.remaining(), None, "the first round has no model of itself");
        progress.stage("infer", 0);
        std::thread::sleep(Duration::from_millis(60));
        progress.round(2, 3);
        progress.stage("simulate", 10);
        let early = progress.remaining().unwrap().as_secs_f64();
        // The rest of round 2 and all of round 3: about twice 80 ms, never less than that minus what has passed.
        assert!(early > 0.12 && early < 5.0, "{early}");
        progress.stage("infer", 0);
        let late = progress.remaining().unwrap().as_secs_f64();
        assert!(late < early, "{late} {early}");
        progress.done();
        assert_eq!(progress.remaining(), None);
    }

    #[test]
    fn durations_read_well() {
        let texts = [0.0, 1.239, 42.04, 200.0, 7500.0].map(duration);
        assert_eq!(texts, ["0.00 s", "1.24 s", "42.0 s", "3 min 20 s", "2 h 05 min"]);
    }
}
