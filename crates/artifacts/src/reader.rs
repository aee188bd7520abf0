use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// A range of a package being read; ends after [`length_bytes`](Self::length_bytes).
pub struct PackageReader {
    inner: Pin<Box<dyn AsyncRead + Send>>,
    length_bytes: u64,
    size_bytes: u64,
}

impl PackageReader {
    pub(crate) fn new(
        inner: impl AsyncRead + Send + 'static,
        length_bytes: u64,
        size_bytes: u64,
    ) -> Self {
        Self {
            inner: Box::pin(inner.take(length_bytes)),
            length_bytes,
            size_bytes,
        }
    }

    /// Returns how many bytes the range has.
    pub fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    /// Returns how many bytes the whole package has.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }
}

impl AsyncRead for PackageReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.inner.as_mut().poll_read(context, buffer)
    }
}

impl fmt::Debug for PackageReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PackageReader")
            .field("length_bytes", &self.length_bytes)
            .field("size_bytes", &self.size_bytes)
            .finish_non_exhaustive()
    }
}

/// Bytes of the store, to look into; waits for them where they are far away, so not for the threads of a runtime.
pub struct PackageView {
    inner: Box<dyn Bytes>,
}

trait Bytes: Read + Seek + Send {}

impl<T: Read + Seek + Send> Bytes for T {}

impl PackageView {
    pub(crate) fn new(inner: impl Read + Seek + Send + 'static) -> Self {
        Self {
            inner: Box::new(inner),
        }
    }
}

impl Read for PackageView {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer)
    }
}

impl Seek for PackageView {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

impl fmt::Debug for PackageView {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PackageView")
            .finish_non_exhaustive()
    }
}
