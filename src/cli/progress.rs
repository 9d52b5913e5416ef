//! Progress on standard error: stage, round, epoch, loss and remaining time.
//!
//! On a terminal one line is redrawn: a bar for the whole run, and the stage beside it. With RONTGEN_PROGRESS=1 and no terminal each stage writes a plain line when it
//! ends (epochs would fill a log); otherwise, or when quiet, nothing is written at all.

use std::{
    collections::BTreeMap,
    io::IsTerminal,
    sync::Mutex,
    time::{Duration, Instant},
};

use super::interrupt;
use crate::analysis::Observer;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Where progress goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is written.
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

/// Images of discs that take no time worth telling.
const FEW_IMAGES: usize = 16;

/// Tells how many of how many images of a disc around a rotating hole have been traced: a bar on a terminal, gone when they are done.
pub fn rays(done: usize, all: usize) {
    static BAR: std::sync::OnceLock<ProgressBar> = std::sync::OnceLock::new();
    if all < FEW_IMAGES || !std::io::stderr().is_terminal() {
        return;
    }
    let bar = BAR.get_or_init(|| {
        let bar = ProgressBar::with_draw_target(Some(all as u64), ProgressDrawTarget::stderr_with_hz(10));
        if let Ok(style) = ProgressStyle::with_template("{bar:30} tracing rays around the hole, {eta} left") {
            bar.set_style(style);
        }
        bar
    });
    bar.set_length(all as u64);
    bar.inc(1);
    if done == all {
        bar.reset();
        bar.finish_and_clear();
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
    /// Rounds have been run: what comes now follows on them.
    after_rounds: bool,
    /// Rounds of the run, also once they are over.
    planned: usize,
    /// How far the bar is, 0 to 1: it never goes back.
    furthest: f64,
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
    /// Makes an observer that shows progress in this way.
    pub fn new(mode: Mode) -> Progress {
        let bar = match mode {
            Mode::Terminal => ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::stderr_with_hz(10)),
            _ => ProgressBar::hidden(),
        };
        if let Ok(style) = ProgressStyle::with_template("[{bar:20.cyan/dim}] {percent:>3} % {prefix:.bold}{wide_msg}") {
            bar.set_style(style.progress_chars("━╸─"));
        }
        let state = State {
            started: Instant::now(),
            round: 0,
            rounds: 0,
            stage: None,
            after_rounds: false,
            planned: 0,
            furthest: 0.0,
            known: BTreeMap::new(),
        };
        Progress { mode, bar, state: Mutex::new(state) }
    }

    /// A progress that says nothing.
    pub fn silent() -> Progress {
        Progress::new(Mode::Silent)
    }

    /// Estimated seconds that remain, once a round has shown how long its stages take.
    pub fn remaining(&self) -> Option<Duration> {
        let mut seconds = None;
        self.with(|state| seconds = state.remaining());
        seconds.and_then(|s| Duration::try_from_secs_f64(s).ok())
    }

    /// How far the whole of it is, from 0 to 1 and never going back, and in words: `round 2/5: flow, about 12.0 s left, epoch 7, ...`. For displays of
    /// other kinds, which are told of a run through [`Progress::silent`].
    pub fn shown(&self) -> (f64, String) {
        let mut shown = (0.0, String::new());
        self.with(|state| {
            state.furthest = state.furthest.max(state.share());
            let words = state
                .stage
                .as_ref()
                .map(|stage| format!("{}{}{}", state.prefix(), stage.name, message(state.remaining(), &stage.detail)));
            shown = (state.furthest, words.unwrap_or_default());
        });
        shown
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
            tell!("{}{}: {}{detail}", state.prefix(), stage.name, duration(seconds));
        }
        state.known.insert(stage.name, known);
    }

    fn draw(&self, state: &mut State) {
        if self.mode != Mode::Terminal {
            return;
        }
        state.furthest = state.furthest.max(state.share());
        let Some(stage) = &state.stage else { return };
        if self.bar.is_finished() {
            self.bar.reset();
        }
        self.bar.set_position((state.furthest * STEPS as f64) as u64);
        self.bar.set_prefix(format!("{}{}", state.prefix(), stage.name));
        self.bar.set_message(message(state.remaining(), &stage.detail));
    }
}

impl Observer for Progress {
    fn round(&self, k: usize, n: usize) {
        self.with(|state| {
            self.end_stage(state);
            state.after_rounds = k == 0 && state.round > 0;
            state.round = k;
            state.rounds = n;
            state.planned = state.planned.max(n);
        });
    }

    fn stage(&self, name: &str, length: u64) {
        self.with(|state| {
            self.end_stage(state);
            let name = name.to_string();
            state.stage = Some(Stage { name, started: Instant::now(), position: 0, length, detail: String::new() });
            self.draw(state);
        });
    }

    fn epoch(&self, e: usize, max: usize, train: f64, validation: f64) {
        self.with(|state| {
            if let Some(stage) = &mut state.stage {
                stage.position = e as u64;
                stage.length = max as u64;
                stage.detail = format!("epoch {e}, loss {} ({})", short(train), short(validation));
            }
            self.draw(state);
        });
    }

    fn advance(&self, n: u64) {
        self.with(|state| {
            if let Some(stage) = &mut state.stage {
                stage.position += n;
            }
            self.draw(state);
        });
    }

    fn message(&self, text: &str) {
        match self.mode {
            Mode::Silent => {}
            Mode::Lines => tell!("{text}"),
            Mode::Terminal => self.bar.suspend(|| tell_as_is!(wrap(text, 0, 2))),
        }
    }

    fn done(&self) {
        self.with(|state| {
            self.end_stage(state);
            if self.mode == Mode::Lines {
                tell!("done in {}", duration(state.started.elapsed().as_secs_f64()));
            }
            // A study goes on with the next run.
            (state.after_rounds, state.round, state.planned, state.furthest) = (false, 0, 0, 0.0);
            state.known.clear();
        });
        self.bar.finish_and_clear();
    }

    fn interrupted(&self) -> bool {
        interrupt::requested()
    }
}

/// Steps of the bar.
const STEPS: u64 = 1000;
/// What follows on the rounds, in units of a round.
const AFTER: f64 = 0.5;

/// What stands behind the stage: the time that is left, then the detail, which a narrow terminal cuts off.
fn message(remaining: Option<f64>, detail: &str) -> String {
    let left = remaining.map(|seconds| format!(", about {} left", duration(seconds))).unwrap_or_default();
    if detail.is_empty() { left } else { format!("{left}, {detail}") }
}

/// Where a stage begins and ends: within a round, after the rounds, or in a command that has none. Shares of the time that the EPIC-pn example
/// takes, roughly; a stage that is not named here has the middle.
fn span(name: &str, in_round: bool, after_rounds: bool) -> (f64, f64) {
    match (name, in_round, after_rounds) {
        ("proposal", true, _) => (0.0, 0.1),
        ("simulate", true, _) => (0.1, 0.2),
        ("flow", true, _) => (0.6, 1.0),
        (_, true, _) => (0.2, 0.6),
        ("refine", _, true) => (0.0, 0.5),
        ("report", ..) => (0.95, 1.0),
        ("polish", ..) => (0.8, 0.95),
        (_, _, true) => (0.5, 0.8),
        ("nested sampling", ..) => (0.0, 0.8),
        ("ensembles", ..) => (0.0, 0.95),
        ("mocks", ..) => (0.0, 0.7),
        ("predictive checks", ..) => (0.7, 0.8),
        ("retriever", ..) => (0.8, 1.0),
        _ => (0.0, 1.0),
    }
}

impl State {
    fn prefix(&self) -> String {
        if self.round > 0 { format!("round {}/{}: ", self.round, self.rounds) } else { String::new() }
    }

    /// How far the whole run is, from 0 to 1, by the plan of its stages.
    fn share(&self) -> f64 {
        let Some(stage) = &self.stage else { return 0.0 };
        let known = self.known.get(&stage.name).map(|known| known.seconds);
        let fraction = match (known, stage.length) {
            // The latest round tells how long this takes.
            (Some(seconds), _) if seconds > 0.0 => (stage.started.elapsed().as_secs_f64() / seconds).min(0.95),
            (_, 0) => 0.0,
            // Trainings stop early, most of them in the first tenth of the epochs that they may take.
            (_, length) if !stage.detail.is_empty() => 1.0 - (-20.0 * stage.position as f64 / length as f64).exp(),
            (_, length) => (stage.position as f64 / length as f64).min(1.0),
        };
        let (from, to) = span(&stage.name, self.round > 0, self.after_rounds);
        let within = from + fraction * (to - from);
        let rounds = self.rounds.max(self.planned) as f64;
        match (self.round, self.after_rounds) {
            (0, true) => (rounds + AFTER * within) / (rounds + AFTER),
            (0, false) => within,
            (round, _) => (round as f64 - 1.0 + within) / (rounds + AFTER),
        }
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

/// Widest line for people.
pub const COLUMNS: usize = 80;

/// Breaks a text between words into lines of at most [`COLUMNS`] characters, the first one behind `first` blanks, the others behind `rest`.
/// Ends with a line break; a word that is longer than a line stays whole.
pub fn wrap(text: &str, first: usize, rest: usize) -> String {
    let (mut out, mut line) = (String::new(), " ".repeat(first));
    let (mut length, mut empty) = (first, true);
    for word in text.split_whitespace() {
        let n = word.chars().count();
        if !empty && length + 1 + n > COLUMNS {
            out += line.trim_end();
            out.push('\n');
            (line, length, empty) = (" ".repeat(rest), rest, true);
        }
        if !empty {
            line.push(' ');
            length += 1;
        }
        line += word;
        length += n;
        empty = false;
    }
    out + line.trim_end() + "\n"
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
    fn the_bar_is_one_for_the_whole_run_and_never_goes_back() {
        let progress = Progress::silent();
        let mut before = 0.0;
        let mut at = |what: &str| {
            let mut now = 0.0;
            progress.with(|state| now = state.share());
            assert!(now >= before && now <= 1.0, "{what}: {now} after {before}");
            before = now;
            now
        };
        for round in 1..=3 {
            progress.round(round, 3);
            for stage in ["proposal", "simulate", "auto-encoder", "flow"] {
                progress.stage(stage, 100);
                at(stage);
            }
        }
        progress.round(0, 0);
        for stage in ["refine", "nested sampling", "polish", "report"] {
            progress.stage(stage, 10);
            let now = at(stage);
            assert!(now > 0.8, "{stage}: {now}");
        }
        progress.done();
        progress.stage("simulate", 10);
        let mut now = 1.0;
        progress.with(|state| now = state.share());
        assert!(now < 0.2, "the next run begins anew: {now}");
    }

    #[test]
    fn texts_are_broken_between_words() {
        let text = wrap(&"word ".repeat(40), 2, 4);
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
        assert!(text.starts_with("  word") && text.lines().skip(1).all(|line| line.starts_with("    word")), "{text}");
        assert_eq!(text.split_whitespace().count(), 40);
        let long = "x".repeat(100);
        assert_eq!(wrap(&format!("a {long} b"), 0, 2), format!("a\n  {long}\n  b\n"));
        assert_eq!(wrap("", 3, 3), "\n");
    }

    #[test]
    fn durations_read_well() {
        let texts = [0.0, 1.239, 42.04, 200.0, 7500.0].map(duration);
        assert_eq!(texts, ["0.00 s", "1.24 s", "42.0 s", "3 min 20 s", "2 h 05 min"]);
    }
}
