//! Processes by number and moment of their start, and job objects, which end whole trees of them.

use std::io;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle};
use std::path::Path;
use std::ptr::{null, null_mut};
use std::time::{Duration, Instant};

use windows_sys::Win32::Foundation::{
    DUPLICATE_SAME_ACCESS, DuplicateHandle, ERROR_ALREADY_EXISTS, FILETIME, GetLastError, HANDLE,
    WAIT_OBJECT_0, WAIT_TIMEOUT,
};
use windows_sys::Win32::System::JobObjects::{
    CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE, JOBOBJECT_BASIC_ACCOUNTING_INFORMATION,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectBasicAccountingInformation,
    JobObjectExtendedLimitInformation, OpenJobObjectW, QueryInformationJobObject,
    SetInformationJobObject, TerminateJobObject,
};
use windows_sys::Win32::System::SystemServices::JOB_OBJECT_TERMINATE;
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetProcessTimes, OpenProcess, PROCESS_ACCESS_RIGHTS,
    PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE, PROCESS_TERMINATE, TerminateProcess,
    WaitForSingleObject,
};

use super::{checked, wide};
use crate::supervision::ProcessMark;

/// Exit code of what is ended by force. Source: what `taskkill /f` gives.
const ENDED_BY_FORCE: u32 = 1;

/// Takes a handle that a call returned; null stands for the call's failure.
fn owned(handle: HANDLE) -> io::Result<OwnedHandle> {
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle was made for us, and nobody else closes it.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

fn open(pid: i32, access: PROCESS_ACCESS_RIGHTS) -> Option<OwnedHandle> {
    // SAFETY: a call without pointers.
    owned(unsafe { OpenProcess(access, 0, pid.cast_unsigned()) }).ok()
}

/// Marks a process by a handle to it, which may query it.
///
/// # Errors
/// When the system does not tell when it began.
pub(super) fn mark_of(process: &OwnedHandle, pid: u32) -> io::Result<ProcessMark> {
    let [mut began, mut ended, mut kernel, mut user] = [FILETIME::default(); 4];
    // SAFETY: the handle is open, and the four times outlive the call.
    checked(unsafe {
        GetProcessTimes(
            process.as_raw_handle(),
            &raw mut began,
            &raw mut ended,
            &raw mut kernel,
            &raw mut user,
        )
    })?;
    Ok(ProcessMark {
        pid: pid.cast_signed(),
        start_ticks: u64::from(began.dwHighDateTime) << 32 | u64::from(began.dwLowDateTime),
    })
}

/// This process.
///
/// # Errors
/// When the system does not tell when it began.
pub(super) fn own_mark() -> io::Result<ProcessMark> {
    let pid = std::process::id();
    let own = open(pid.cast_signed(), PROCESS_QUERY_LIMITED_INFORMATION)
        .ok_or_else(io::Error::last_os_error)?;
    mark_of(&own, pid)
}

/// The marked process, where it still lives.
fn living(process: &ProcessMark, access: PROCESS_ACCESS_RIGHTS) -> Option<OwnedHandle> {
    let access = access | PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE;
    let handle = open(process.pid, access)?;
    let is_it = mark_of(&handle, process.pid.cast_unsigned()).is_ok_and(|mark| mark == *process);
    // One that has ended is kept as long as somebody has a handle to it.
    (is_it && !has_ended_within(&handle, Duration::ZERO)).then_some(handle)
}

/// Whether the marked process still lives.
pub(super) fn lives(process: &ProcessMark) -> bool {
    living(process, 0).is_some()
}

/// Waits for the end of a process, at most as long as is named; tells whether it has ended.
pub(super) fn has_ended_within(process: &OwnedHandle, limit: Duration) -> bool {
    let millis = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX - 1);
    // SAFETY: the handle is open.
    match unsafe { WaitForSingleObject(process.as_raw_handle(), millis) } {
        WAIT_OBJECT_0 => true,
        WAIT_TIMEOUT => false,
        _ => {
            tracing::error!("cannot wait for a process: {}", io::Error::last_os_error());
            std::thread::sleep(limit);
            false
        }
    }
}

/// Ends the installer of an attempt's folder, which is no child of ours: everything in its job, or it alone where the job
/// cannot be found.
pub(super) fn end_foreign(folder: &Path, process: &ProcessMark) {
    match Job::open(folder) {
        Ok(job) => job.end(),
        Err(error) => {
            tracing::warn!("the installer's job is not found, what it started may go on: {error}");
            if let Some(handle) = living(process, PROCESS_TERMINATE) {
                // SAFETY: the handle is open and may terminate.
                unsafe {
                    TerminateProcess(handle.as_raw_handle(), ENDED_BY_FORCE);
                }
            }
        }
    }
}

/// The job object of an attempt: the installer and whatever it starts, and nothing else.
pub(super) struct Job(OwnedHandle);

impl Job {
    fn name(folder: &Path) -> io::Result<Vec<u16>> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        wide(format!("Local\\outfitter-{name}"))
    }

    /// Makes the job of an attempt's folder. Until [`Job::let_go`] everything in it dies with its last handle.
    ///
    /// # Errors
    /// The system's, and when there is one of that name.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let name = Self::name(folder)?;
        // SAFETY: the name ends with NUL and lives until the call returns.
        let job = owned(unsafe { CreateJobObjectW(null(), name.as_ptr()) })?;
        // SAFETY: reads what the call before left for this thread.
        if unsafe { GetLastError() } == ERROR_ALREADY_EXISTS {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let job = Self(job);
        job.limit(JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE)?;
        Ok(job)
    }

    /// Finds the job of an attempt's folder, to end it.
    fn open(folder: &Path) -> io::Result<Self> {
        let name = Self::name(folder)?;
        // SAFETY: the name ends with NUL and lives until the call returns.
        owned(unsafe { OpenJobObjectW(JOB_OBJECT_TERMINATE, 0, name.as_ptr()) }).map(Self)
    }

    /// Its handle, for the list of jobs that a new process is made in.
    pub(super) fn handle(&self) -> HANDLE {
        self.0.as_raw_handle()
    }

    fn limit(&self, flags: u32) -> io::Result<()> {
        let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        limits.BasicLimitInformation.LimitFlags = flags;
        // SAFETY: the structure is of the kind and size that are named.
        checked(unsafe {
            SetInformationJobObject(
                self.0.as_raw_handle(),
                JobObjectExtendedLimitInformation,
                (&raw const limits).cast(),
                size_of_val(&limits) as u32,
            )
        })
    }

    /// From here on what is in it lives on without us, and `process`, which is in it, keeps its name known.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn let_go(&self, process: &OwnedHandle) -> io::Result<()> {
        self.limit(0)?;
        let mut theirs: HANDLE = null_mut();
        // SAFETY: both handles are open; the new one belongs to the other process, which ends it with itself.
        checked(unsafe {
            DuplicateHandle(
                GetCurrentProcess(),
                self.0.as_raw_handle(),
                process.as_raw_handle(),
                &raw mut theirs,
                0,
                0,
                DUPLICATE_SAME_ACCESS,
            )
        })
    }

    /// Ends everything in it at once.
    pub(super) fn end(&self) {
        // SAFETY: the handle is open and may terminate.
        if let Err(error) =
            checked(unsafe { TerminateJobObject(self.0.as_raw_handle(), ENDED_BY_FORCE) })
        {
            tracing::error!("the installer's job cannot be ended: {error}");
        }
    }

    /// Waits until nothing is left in it, at most as long as is named.
    pub(super) fn wait_until_empty(&self, limit: Duration) {
        let until = Instant::now() + limit;
        while Instant::now() < until {
            let mut counts = JOBOBJECT_BASIC_ACCOUNTING_INFORMATION::default();
            // SAFETY: the structure is of the kind and size that are named.
            let told = checked(unsafe {
                QueryInformationJobObject(
                    self.0.as_raw_handle(),
                    JobObjectBasicAccountingInformation,
                    (&raw mut counts).cast(),
                    size_of_val(&counts) as u32,
                    null_mut(),
                )
            });
            if told.is_err() || counts.ActiveProcesses == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
