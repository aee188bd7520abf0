//! The newest of what this program logged, for whoever asks over the channel ([`newest`]).
//!
//! As tracing's subscriber it belongs to the process, and goes with it: the system's journal has what was before.

use std::io;
use std::sync::{Mutex, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

/// Most that is kept, in bytes. As JSON it is at most twice as long, and a frame takes it.
pub const MAX_BYTES: usize = 48 * 1024;

static KEPT: Mutex<String> = Mutex::new(String::new());

/// Where tracing writes to, beside standard error.
#[derive(Debug, Clone, Copy)]
pub struct RecentLog;

impl io::Write for RecentLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        keep(&mut kept, &String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for RecentLog {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}

/// Whole lines, the newest last; at most [`MAX_BYTES`].
pub fn newest() -> String {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn keep(kept: &mut String, text: &str) {
    kept.extend(text.chars().map(|character| match character {
        '\n' | '\t' => character,
        // An installer's name may hold anything.
        _ if character.is_control() => char::REPLACEMENT_CHARACTER,
        _ => character,
    }));
    if kept.len() <= MAX_BYTES {
        return;
    }
    let least = kept.ceil_char_boundary(kept.len() - MAX_BYTES);
    let cut = kept[least..]
        .find('\n')
        .map_or(least, |line| least + line + 1);
    kept.drain(..cut);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_whole_lines_are_kept() {
        let mut kept = String::new();
        for number in 0..10_000 {
            keep(&mut kept, &format!("line {number}\n"));
        }
        assert!(kept.len() <= MAX_BYTES);
        assert!(kept.len() > MAX_BYTES - 20);
        assert!(kept.starts_with("line "), "{}", &kept[..20]);
        assert!(kept.ends_with("line 9999\n"));
    }

    #[test]
    fn whatever_is_logged_fits_a_frame() {
        let mut kept = String::new();
        for _ in 0..10 {
            keep(&mut kept, &"\u{1b}\u{0}é\"".repeat(10_000));
        }
        assert!(kept.len() <= MAX_BYTES);
        let json = serde_json::to_string(&kept).expect("JSON");
        assert!(json.len() < outfitter_agent_protocol::MAX_FRAME_BYTES - 1024);
    }
}
