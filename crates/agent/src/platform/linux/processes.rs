//! Processes by number and start time, and ending whole trees of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::supervision::ProcessMark;

/// Parent and start time of a process. `None` when there is none, or it is a zombie.
fn stat(pid: i32) -> Option<(i32, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything: fields are counted after the last parenthesis (proc(5)).
    let mut fields = text[text.rfind(')')? + 1..].split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    // Field 22 of the whole line is the 20th after the name; two are consumed.
    let start_ticks = fields.nth(17)?.parse().ok()?;
    Some((parent, start_ticks))
}

/// Marks a living process. `None` when it is gone.
pub(super) fn mark(pid: i32) -> Option<ProcessMark> {
    stat(pid).map(|(_, start_ticks)| ProcessMark { pid, start_ticks })
}

/// The process that a living one was started by.
pub(super) fn parent(pid: i32) -> Option<i32> {
    stat(pid).map(|(parent, _)| parent)
}

/// Whether the marked process still lives.
pub(super) fn lives(process: &ProcessMark) -> bool {
    mark(process.pid).as_ref() == Some(process)
}

fn descendants(of: i32) -> BTreeSet<i32> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    let Ok(entries) = fs::read_dir("/proc") else {
        return BTreeSet::new();
    };
    for entry in entries.flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let Some(pid) = pid
            && let Some((parent, _)) = stat(pid)
        {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = BTreeSet::new();
    let mut left = vec![of];
    while let Some(pid) = left.pop() {
        for child in children.get(&pid).into_iter().flatten() {
            if found.insert(*child) {
                left.push(*child);
            }
        }
    }
    found
}

/// Ends every descendant of this process, itself a subreaper, and everything in the control group.
///
/// Where there is no control group: stop, kill, look again until two rounds in a row find nobody, since
/// a tree that grows can slip through one round.
pub(super) fn end_descendants(control_group: Option<&Path>, reap: &mut dyn FnMut()) {
    if let Some(group) = control_group {
        // Fails on kernels before 5.14; the rounds below do it then.
        let _ = fs::write(group.join("cgroup.kill"), "1");
    }
    let own = Pid::this().as_raw();
    let mut empty_rounds = 0;
    // A bound, since a process in uninterruptible sleep dies when it dies.
    for _ in 0..200 {
        reap();
        let mut found = descendants(own);
        if let Some(group) = control_group {
            found.extend(members(group));
            found.remove(&own);
        }
        if found.is_empty() {
            empty_rounds += 1;
            if empty_rounds == 2 {
                return;
            }
        } else {
            empty_rounds = 0;
            for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
                for pid in &found {
                    let _ = kill(Pid::from_raw(*pid), signal);
                }
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Ends a process that is no child of ours, with its process group and control group.
pub(super) fn end_foreign(process: &ProcessMark, control_group: Option<&Path>) {
    if let Some(group) = control_group {
        let _ = fs::write(group.join("cgroup.kill"), "1");
    }
    if lives(process) {
        let pid = Pid::from_raw(process.pid);
        // It leads a session of its own, so the group is its alone.
        let _ = killpg(pid, Signal::SIGKILL);
        let _ = kill(pid, Signal::SIGKILL);
    }
}

fn members(group: &Path) -> Vec<i32> {
    fs::read_to_string(group.join("cgroup.procs"))
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.trim().parse().ok())
        // 0 stands for a process of another namespace, and to `kill` for our own group.
        .filter(|pid| *pid > 0)
        .collect()
}

/// Makes a control group below our own for one attempt. `None` where there is no writable cgroup v2.
pub(super) fn create_control_group(name: &str) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    // proc(5): the mount point is the fifth field, the file system follows a lone `-`.
    let mount = mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        (after.split(' ').next()? == "cgroup2").then(|| before.split(' ').nth(4))?
    })?;
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let group = Path::new(mount).join(own).join(name);
    match fs::create_dir(&group) {
        Ok(()) => Some(group),
        // Left by a supervisor of this attempt that got no further.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Some(group),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_tells_a_process_from_a_later_one() {
        let own = mark(Pid::this().as_raw()).expect("we live");
        assert!(lives(&own));
        let other = ProcessMark {
            start_ticks: own.start_ticks + 1,
            ..own
        };
        assert!(!lives(&other));
    }
}
