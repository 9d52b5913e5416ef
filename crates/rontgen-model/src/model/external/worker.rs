//! One process behind two pipes. Threads of its own write, read and listen to its standard error, so that no full pipe can stop
//! the caller beyond the time-out.
//!
//! A message is its kind (u32), the length of its content in bytes (u32), and the content; everything little-endian.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Version of the protocol.
const VERSION: u32 = 1;
const HELLO: u32 = 1;
const ENERGIES: u32 = 2;
const EVALUATE: u32 = 3;
const REFUSED: u32 = 4;
/// Longest message that is believed.
const LONGEST_MESSAGE: usize = 1 << 30;
/// Lines of standard error that are kept for messages.
const KEPT_LINES: usize = 8;
/// How long a process may take to end after its standard input was closed.
const END_PATIENCE: Duration = Duration::from_millis(300);

/// A process that is of no more use.
pub(super) struct Broken {
    pub text: String,
    /// It said nothing in time, instead of failing.
    pub silent: bool,
}

type Message = (u32, Vec<u8>);

pub(super) struct Worker {
    child: Child,
    requests: Option<Sender<Vec<u8>>>,
    replies: Receiver<Result<Message, String>>,
    complaints: Arc<Mutex<VecDeque<String>>>,
    bins: Vec<(f64, f64)>,
}

fn message(kind: u32, content: &[u8]) -> Vec<u8> {
    let mut out = kind.to_le_bytes().to_vec();
    out.extend((content.len() as u32).to_le_bytes());
    out.extend(content);
    out
}

fn read_message(from: &mut impl Read) -> Result<Message, String> {
    let mut head = [0u8; 8];
    from.read_exact(&mut head).map_err(|_| "ended".to_string())?;
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (kind, length) = (word(0), word(4) as usize);
    if !(1..=REFUSED).contains(&kind) || length > LONGEST_MESSAGE {
        return Err(format!(
            "wrote something that is no message of the protocol (kind {kind}, {length} bytes); does it print to its \
             standard output?"
        ));
    }
    let mut content = vec![0; length];
    from.read_exact(&mut content).map_err(|_| "ended in the middle of a message".to_string())?;
    Ok((kind, content))
}

impl Worker {
    /// Starts the command and greets it.
    pub fn start(
        name: &str,
        command: &[String],
        folder: &Path,
        parameters: usize,
        timeout: Duration,
    ) -> Result<Self, Broken> {
        let broken = |text: String| Broken { text, silent: false };
        let Some((program, arguments)) = command.split_first() else { return Err(broken("names no program".into())) };
        let mut process = Command::new(program);
        process.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if !folder.as_os_str().is_empty() {
            process.current_dir(folder);
        }
        // Ctrl-C is this process' business: it stops where it can be resumed.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut process, 0);
        let mut child = process.spawn().map_err(|e| broken(format!("cannot be started: {e}")))?;
        let (Some(mut stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(broken("has no pipes".into()));
        };
        let (requests, to_write) = channel::<Vec<u8>>();
        std::thread::spawn(move || {
            for bytes in to_write {
                if stdin.write_all(&bytes).and_then(|()| stdin.flush()).is_err() {
                    break; // the reader notices that the process has ended
                }
            }
        });
        let (answers, replies) = channel();
        std::thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            loop {
                let message = read_message(&mut stdout);
                let over = message.is_err();
                if answers.send(message).is_err() || over {
                    break;
                }
            }
        });
        let complaints = Arc::new(Mutex::new(VecDeque::new()));
        let kept = complaints.clone();
        let shown = name.to_string();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                tracing::debug!("{shown}: {line}");
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push_back(line);
                if kept.len() > KEPT_LINES {
                    kept.pop_front();
                }
            }
        });
        let mut worker = Self { child, requests: Some(requests), replies, complaints, bins: Vec::new() };
        let mut hello = VERSION.to_le_bytes().to_vec();
        hello.extend((parameters as u32).to_le_bytes());
        hello.extend(name.as_bytes());
        worker.send(message(HELLO, &hello));
        match worker.receive(timeout)? {
            (HELLO, content) if content == VERSION.to_le_bytes() => Ok(worker),
            (REFUSED, text) => Err(broken(format!("refuses to start: {}", String::from_utf8_lossy(&text)))),
            (kind, content) => {
                let found = (kind, content.len());
                Err(broken(format!(
                    "answers the greeting with kind {} and {} bytes; expected version {VERSION}",
                    found.0, found.1
                )))
            }
        }
    }

    fn send(&mut self, bytes: Vec<u8>) {
        if let Some(requests) = &self.requests {
            // A process that has ended is noticed when its answer is awaited.
            let _ = requests.send(bytes);
        }
    }

    fn receive(&mut self, timeout: Duration) -> Result<Message, Broken> {
        match self.replies.recv_timeout(timeout) {
            Ok(Ok(message)) => Ok(message),
            Ok(Err(text)) => Err(Broken { text: self.with_complaints(text), silent: false }),
            Err(RecvTimeoutError::Disconnected) => {
                Err(Broken { text: self.with_complaints("ended".into()), silent: false })
            }
            Err(RecvTimeoutError::Timeout) => {
                let text = format!("gave no answer within {} s", timeout.as_secs());
                Err(Broken { text: self.with_complaints(text), silent: true })
            }
        }
    }

    /// The text with how the process ended and what it last wrote to its standard error.
    fn with_complaints(&mut self, mut text: String) -> String {
        let deadline = Instant::now() + END_PATIENCE;
        if text.starts_with("ended") {
            // Its last words may still be on their way.
            while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(5));
            }
            std::thread::sleep(Duration::from_millis(20));
            if let Ok(Some(status)) = self.child.try_wait() {
                text.push_str(&format!(" ({status})"));
            }
        }
        let complaints = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        for line in complaints.iter() {
            text.push_str("\n    ");
            text.push_str(line);
        }
        text
    }

    /// One spectrum into `out`. The inner error is the process' own: it cannot compute these parameters but goes on.
    pub fn evaluate(
        &mut self,
        parameters: &[f64],
        bins: &[(f64, f64)],
        out: &mut [f64],
        timeout: Duration,
    ) -> Result<Result<(), String>, Broken> {
        if self.bins != bins {
            let energies: Vec<u8> =
                bins.iter().map(|b| b.0).chain(bins.iter().map(|b| b.1)).flat_map(f64::to_le_bytes).collect();
            self.send(message(ENERGIES, &energies));
            self.bins = bins.to_vec();
        }
        let mut request = 1u32.to_le_bytes().to_vec();
        request.extend((parameters.len() as u32).to_le_bytes());
        request.extend(parameters.iter().flat_map(|x| x.to_le_bytes()));
        self.send(message(EVALUATE, &request));
        match self.receive(timeout)? {
            (EVALUATE, content) if content.len() == 8 * out.len() => {
                for (out, bytes) in out.iter_mut().zip(content.chunks_exact(8)) {
                    *out = bytes.try_into().map_or(f64::NAN, f64::from_le_bytes);
                }
                Ok(Ok(()))
            }
            (REFUSED, text) => Ok(Err(String::from_utf8_lossy(&text).into_owned())),
            (kind, content) => Err(Broken {
                text: format!(
                    "answers with kind {kind} and {} bytes; expected kind {EVALUATE} and 8 bytes for each of {} bins",
                    content.len(),
                    out.len()
                ),
                silent: false,
            }),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The writing thread ends and closes the pipe: a process that listens goes by itself.
        self.requests = None;
        let deadline = Instant::now() + END_PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                // It may have gone in between; there is nothing to do about a failure here.
                let _ = self.child.kill();
                let _ = self.child.wait();
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
