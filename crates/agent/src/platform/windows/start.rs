//! Starting an installer: one line for `CreateProcess`, an environment, a folder, a job, and a gate.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::fs::File;
use std::io::{self, PipeWriter};
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle};
use std::ptr::{null, null_mut};
use std::time::Duration;

use windows_sys::Win32::Foundation::{HANDLE, HANDLE_FLAG_INHERIT, SetHandleInformation};
use windows_sys::Win32::System::Threading::{
    CREATE_NO_WINDOW, CREATE_SUSPENDED, CREATE_UNICODE_ENVIRONMENT, CreateProcessW,
    DeleteProcThreadAttributeList, EXTENDED_STARTUPINFO_PRESENT, GetExitCodeProcess,
    InitializeProcThreadAttributeList, LPPROC_THREAD_ATTRIBUTE_LIST,
    PROC_THREAD_ATTRIBUTE_HANDLE_LIST, PROC_THREAD_ATTRIBUTE_JOB_LIST, PROCESS_INFORMATION,
    ResumeThread, STARTF_USESTDHANDLES, STARTUPINFOEXW, UpdateProcThreadAttribute,
};

use super::processes::{self, Job};
use super::{checked, wide};
use crate::supervision::{Prepared, ProcessMark, RunEnd};

/// An installer that exists and waits at its gate.
pub(super) struct Installer {
    process: OwnedHandle,
    thread: OwnedHandle,
    pid: u32,
}

/// Makes the installer's process in the job, suspended: nothing of it has run. Its output goes to `output`.
///
/// # Errors
/// How the run ended thereby.
pub(super) fn start(
    prepared: &Prepared,
    job: &Job,
    output: &PipeWriter,
) -> Result<Installer, RunEnd> {
    let failed = |error: &dyn std::fmt::Display| RunEnd::StartFailed(error.to_string());
    let [line] = prepared.arguments.as_slice() else {
        return Err(RunEnd::StartFailed(
            "what is prepared is no command line".to_owned(),
        ));
    };
    if !prepared.folder.is_dir() {
        let text = format!("{} is no folder", prepared.folder.display());
        return Err(RunEnd::StartFailed(text));
    }
    create(prepared, line, job, output).map_err(|error| {
        let text = format!("{line}: {error}");
        match error.kind() {
            io::ErrorKind::NotFound => RunEnd::ProgramMissing(text),
            _ => failed(&text),
        }
    })
}

fn create(
    prepared: &Prepared,
    line: &str,
    job: &Job,
    output: &PipeWriter,
) -> io::Result<Installer> {
    let nothing = File::open("NUL")?;
    // What the new process gets of ours, and no other handle.
    let handles = [nothing.as_raw_handle(), output.as_raw_handle()];
    for handle in handles {
        // SAFETY: the handle is open.
        checked(unsafe { SetHandleInformation(handle, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT) })?;
    }
    let jobs = [job.handle()];
    let mut attributes = Attributes::new(2)?;
    attributes.add(PROC_THREAD_ATTRIBUTE_HANDLE_LIST, &handles)?;
    attributes.add(PROC_THREAD_ATTRIBUTE_JOB_LIST, &jobs)?;
    let mut startup = STARTUPINFOEXW::default();
    startup.StartupInfo.cb = size_of_val(&startup) as u32;
    startup.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
    startup.StartupInfo.hStdInput = handles[0];
    startup.StartupInfo.hStdOutput = handles[1];
    startup.StartupInfo.hStdError = handles[1];
    startup.lpAttributeList = attributes.list();
    // `CreateProcess` writes into the line.
    let mut line = wide(line)?;
    let environment = block(&prepared.environment)?;
    let folder = wide(&prepared.folder)?;
    let mut made = PROCESS_INFORMATION::default();
    // SAFETY: line and folder end with NUL, the environment with two; they, the handles, the jobs and the list of attributes
    // that names them live until the call returns.
    checked(unsafe {
        CreateProcessW(
            null(),
            line.as_mut_ptr(),
            null(),
            null(),
            1,
            CREATE_SUSPENDED
                | CREATE_NO_WINDOW
                | CREATE_UNICODE_ENVIRONMENT
                | EXTENDED_STARTUPINFO_PRESENT,
            environment.as_ptr().cast(),
            folder.as_ptr(),
            &raw const startup.StartupInfo,
            &raw mut made,
        )
    })?;
    // SAFETY: both handles were made for us, and nobody else closes them.
    let (process, thread) = unsafe {
        (
            OwnedHandle::from_raw_handle(made.hProcess),
            OwnedHandle::from_raw_handle(made.hThread),
        )
    };
    Ok(Installer {
        process,
        thread,
        pid: made.dwProcessId,
    })
}

impl Installer {
    /// What tells it from later processes.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn mark(&self) -> io::Result<ProcessMark> {
        processes::mark_of(&self.process, self.pid)
    }

    /// Opens its gate.
    ///
    /// # Errors
    /// The system's; it does not run then.
    pub(super) fn resume(&self) -> io::Result<()> {
        // SAFETY: the thread is the new process's first, and is suspended.
        match unsafe { ResumeThread(self.thread.as_raw_handle()) } {
            u32::MAX => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// Its process.
    pub(super) const fn process(&self) -> &OwnedHandle {
        &self.process
    }

    /// Waits for its end, at most as long as is named; answers its code.
    pub(super) fn code_within(&self, limit: Duration) -> Option<i32> {
        if !processes::has_ended_within(&self.process, limit) {
            return None;
        }
        let mut code = 0;
        // SAFETY: the handle is open, and `code` outlives the call.
        match checked(unsafe { GetExitCodeProcess(self.process.as_raw_handle(), &raw mut code) }) {
            Ok(()) => Some(code.cast_signed()),
            Err(error) => {
                tracing::error!("the installer's exit code is not told: {error}");
                Some(-1)
            }
        }
    }
}

/// A list of attributes for a new process.
struct Attributes(Vec<usize>);

impl Attributes {
    fn new(count: u32) -> io::Result<Self> {
        let mut bytes = 0;
        // SAFETY: without a list the call tells its size alone, and fails on purpose.
        unsafe { InitializeProcThreadAttributeList(null_mut(), count, 0, &raw mut bytes) };
        if bytes == 0 {
            return Err(io::Error::last_os_error());
        }
        let mut space = vec![0_usize; bytes.div_ceil(size_of::<usize>())];
        // SAFETY: the space has the size that was asked for, aligned as pointers are.
        checked(unsafe {
            InitializeProcThreadAttributeList(space.as_mut_ptr().cast(), count, 0, &raw mut bytes)
        })?;
        Ok(Self(space))
    }

    fn list(&mut self) -> LPPROC_THREAD_ATTRIBUTE_LIST {
        self.0.as_mut_ptr().cast()
    }

    /// Adds handles, which have to live until the list was used.
    fn add(&mut self, attribute: u32, handles: &[HANDLE]) -> io::Result<()> {
        // SAFETY: the list is initialised; the system keeps the pointer, which the caller keeps valid.
        checked(unsafe {
            UpdateProcThreadAttribute(
                self.list(),
                0,
                attribute as usize,
                handles.as_ptr().cast::<c_void>(),
                size_of_val(handles),
                null_mut(),
                null(),
            )
        })
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: the list is initialised, and not used after.
        unsafe { DeleteProcThreadAttributeList(self.list()) };
    }
}

/// An environment as `CreateProcess` takes it: in the order of names, whatever their case, and with one more NUL at the end.
fn block(environment: &BTreeMap<String, String>) -> io::Result<Vec<u16>> {
    let mut variables: Vec<(&String, &String)> = environment.iter().collect();
    variables.sort_by_key(|(name, _)| name.to_uppercase());
    let mut block = Vec::new();
    for (name, value) in variables {
        block.extend(wide(format!("{name}={value}"))?);
    }
    block.push(0);
    if environment.is_empty() {
        block.push(0);
    }
    Ok(block)
}
