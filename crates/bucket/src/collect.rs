//! Collection of garbage: bytes that nothing needs any more leave the package store.
//!
//! **Guarantees.** Bytes go only after nothing has needed them for the whole grace period, and never under an upload
//! that puts the same bytes (`outfitter_store` says how). A collection that is killed at any point leaves a state that
//! the next one finishes. Only one runs at a time, on however many servers. A dry run changes nothing.
//!
//! **Who wakes it.** The server's background task, and an administrator. **Does not** touch packages that are recorded
//! and whose bytes are not there: it says so.

use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use outfitter_artifacts::{PackageFile, PackageStoreError, Sha256Digest, StrayPart};
use outfitter_domain::Millis;
use outfitter_domain::app::RESTORE_PERIOD;
use outfitter_store::{
    CollectionClock, CollectionLock, PackageKey, PackageState, StoreError, UnneededPackage,
};
use uuid::Uuid;

use crate::objects::{Objects, step};

/// Rows looked at in one query.
const PAGE: i64 = 500;

/// Packages that are taken into collection in one transaction: what a killed collection leaves to the next.
const BATCH: usize = 100;

/// Most entries that a report lists; the counts are of all.
const MAX_LISTED: usize = 1000;

/// How long what nobody needs is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// How long nothing may have needed a package before its bytes go. An upload has as long to put its bytes in
    /// place and record them.
    pub package_grace: Duration,
    /// How long nothing may have happened to a multipart upload before it is given up.
    pub upload_life: Duration,
}

impl Retention {
    /// A day each.
    pub const STANDARD: Self = Self {
        package_grace: Duration::from_secs(24 * 60 * 60),
        upload_life: Duration::from_secs(24 * 60 * 60),
    };
}

/// Whether a collection removes what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CollectMode {
    /// It only tells.
    DryRun,
    /// It does.
    Remove,
}

/// Why something goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CollectReason {
    /// No object and no revision that anybody needs holds the package.
    PackageUnneeded,
    /// A collection that was cut off had begun with it.
    CollectionCutOff,
    /// The bytes belong to no package.
    BytesWithoutPackage,
    /// Nobody went on with the upload.
    UploadAbandoned,
    /// The part belongs to no upload.
    PartWithoutUpload,
}

/// Something that goes, went, or waits for its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collectable {
    /// Why.
    pub reason: CollectReason,
    /// Digest of the package, id of the upload, name of the part.
    pub name: String,
    /// Number of its bytes.
    pub size_bytes: u64,
    /// From when on it may go.
    pub due_at: Millis,
}

/// How many and how much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// Bytes together.
    pub size_bytes: u64,
}

impl Tally {
    fn add(&mut self, size_bytes: u64) {
        self.count += 1;
        self.size_bytes = self.size_bytes.saturating_add(size_bytes);
    }
}

/// What a collection found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionReport {
    /// The instant it speaks of.
    pub as_of: Millis,
    /// Whether another server was collecting, so that nothing was done.
    pub busy: bool,
    /// What went, or in a dry run would go now.
    pub due: Tally,
    /// What nothing needs and whose time has not come.
    pub waiting: Tally,
    /// Bytes that could not be removed; the next collection tries again.
    pub failed: u64,
    /// Digests of packages that are recorded and whose bytes are not in the store.
    pub missing: Vec<String>,
    /// Both kinds, a thousand at most.
    pub items: Vec<Collectable>,
}

/// Whether something's time has come.
enum Fate {
    Due,
    Waiting,
}

impl CollectionReport {
    fn new(as_of: Millis) -> Self {
        Self {
            as_of,
            busy: false,
            due: Tally::default(),
            waiting: Tally::default(),
            failed: 0,
            missing: Vec::new(),
            items: Vec::new(),
        }
    }

    fn list(&mut self, fate: &Fate, item: Collectable) {
        match fate {
            Fate::Due => self.due.add(item.size_bytes),
            Fate::Waiting => self.waiting.add(item.size_bytes),
        }
        if self.items.len() < MAX_LISTED {
            self.items.push(item);
        }
    }

    fn failed(&mut self, doing: &'static str, error: &PackageStoreError) {
        self.failed += 1;
        tracing::warn!(
            error = error as &(dyn std::error::Error + 'static),
            "a collection could not {doing}"
        );
    }
}

impl Objects {
    /// Looks for bytes that nothing needs, and removes them unless it is a dry run.
    ///
    /// # Errors
    /// When the database cannot answer. What the package store cannot do is counted.
    pub async fn collect(&self, mode: CollectMode) -> Result<CollectionReport, StoreError> {
        let _alone = self.collecting.lock().await;
        let now = self.clock.now();
        let mut report = CollectionReport::new(now);
        let held = match mode {
            CollectMode::DryRun => None,
            CollectMode::Remove => match self.store.collection_lock().await? {
                None => {
                    report.busy = true;
                    return Ok(report);
                }
                held => held,
            },
        };
        let lock = held.as_ref();
        let clock = CollectionClock {
            now,
            restorable_since: now.minus(RESTORE_PERIOD),
            unreferenced_before: now.minus(self.retention.package_grace),
        };
        self.collect_uploads(lock, now, &mut report).await?;
        self.collect_parts(lock, now, &mut report).await?;
        if lock.is_some() {
            self.purge_apps(clock).await?;
        }
        self.collect_leftovers(lock, now, &mut report).await?;
        self.collect_packages(lock, clock, &mut report).await?;
        self.collect_strays(lock, now, &mut report).await?;
        if lock.is_some() && report.due.count > 0 {
            tracing::info!(
                removed = report.due.count,
                size_bytes = report.due.size_bytes,
                failed = report.failed,
                "collected what nothing needs"
            );
        }
        if let Some(lock) = held {
            lock.release().await?;
        }
        Ok(report)
    }

    /// Removes what a killed collection had begun with, unless another server collects right now: an upload of the
    /// same bytes waits for it.
    pub(crate) async fn finish_leftovers(&self) -> Result<(), StoreError> {
        let Ok(_alone) = self.collecting.try_lock() else {
            return Ok(());
        };
        if let Some(lock) = self.store.collection_lock().await? {
            let now = self.clock.now();
            self.collect_leftovers(Some(&lock), now, &mut CollectionReport::new(now))
                .await?;
            lock.release().await?;
        }
        Ok(())
    }

    async fn collect_uploads(
        &self,
        lock: Option<&CollectionLock>,
        now: Millis,
        report: &mut CollectionReport,
    ) -> Result<(), StoreError> {
        let before = now.minus(self.retention.upload_life);
        loop {
            let page = self
                .store
                .db()
                .bucket_upload_abandoned(before, PAGE)
                .await?;
            let mut given_up = 0;
            for upload in &page {
                if lock.is_some() {
                    let tx = self.store.write().await?;
                    let parts = tx.bucket_upload_give_up(upload.key, before).await?;
                    tx.commit().await?;
                    step("upload given up");
                    let Some(parts) = parts else { continue };
                    given_up += 1;
                    for part in parts {
                        self.remove_part(part, report).await;
                    }
                }
                report.list(
                    &Fate::Due,
                    Collectable {
                        reason: CollectReason::UploadAbandoned,
                        name: upload.id.simple().to_string(),
                        size_bytes: bytes(upload.size_bytes),
                        due_at: upload.touched_at.plus(self.retention.upload_life),
                    },
                );
            }
            if given_up == 0 || page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX) {
                return Ok(());
            }
        }
    }

    /// Parts that no upload names: their upload ended, or was killed before it could name them.
    async fn collect_parts(
        &self,
        lock: Option<&CollectionLock>,
        now: Millis,
        report: &mut CollectionReport,
    ) -> Result<(), StoreError> {
        let parts = match self.packages.parts().await {
            Ok(parts) => parts,
            Err(error) => {
                report.failed("list the parts of uploads", &error);
                return Ok(());
            }
        };
        for page in parts.chunks(usize::try_from(PAGE).unwrap_or(1)) {
            let names: Vec<Uuid> = page.iter().map(|part| part.name).collect();
            let named: HashSet<Uuid> = self
                .store
                .db()
                .bucket_parts_named(&names)
                .await?
                .into_iter()
                .collect();
            for part in page.iter().filter(|part| !named.contains(&part.name)) {
                self.collect_part(lock, part, now, report).await;
            }
        }
        Ok(())
    }

    async fn collect_part(
        &self,
        lock: Option<&CollectionLock>,
        part: &StrayPart,
        now: Millis,
        report: &mut CollectionReport,
    ) {
        let due_at = millis(part.modified).plus(self.retention.upload_life);
        let fate = fate(due_at, now);
        if lock.is_some() && matches!(fate, Fate::Due) && !self.remove_part(part.name, report).await
        {
            return;
        }
        report.list(
            &fate,
            Collectable {
                reason: CollectReason::PartWithoutUpload,
                name: part.name.simple().to_string(),
                size_bytes: part.size_bytes,
                due_at,
            },
        );
    }

    async fn remove_part(&self, name: Uuid, report: &mut CollectionReport) -> bool {
        match self.packages.remove_part(name).await {
            Ok(_) => {
                step("part removed");
                true
            }
            Err(error) => {
                report.failed("remove a part", &error);
                false
            }
        }
    }

    async fn purge_apps(&self, clock: CollectionClock) -> Result<(), StoreError> {
        loop {
            let tx = self.store.write().await?;
            let purged = tx
                .app_purge(clock.restorable_since, PAGE, clock.now)
                .await?;
            tx.commit().await?;
            if i64::try_from(purged).is_ok_and(|purged| purged < PAGE) {
                return Ok(());
            }
        }
    }

    async fn collect_leftovers(
        &self,
        lock: Option<&CollectionLock>,
        now: Millis,
        report: &mut CollectionReport,
    ) -> Result<(), StoreError> {
        for (key, sha256) in self.store.db().package_collecting().await? {
            let size_bytes = self.size(&sha256).await;
            if let Some(lock) = lock
                && !self.remove_package(lock, key, &sha256, report).await?
            {
                continue;
            }
            report.list(
                &Fate::Due,
                Collectable {
                    reason: CollectReason::CollectionCutOff,
                    name: sha256,
                    size_bytes,
                    due_at: now,
                },
            );
        }
        Ok(())
    }

    async fn collect_packages(
        &self,
        lock: Option<&CollectionLock>,
        clock: CollectionClock,
        report: &mut CollectionReport,
    ) -> Result<(), StoreError> {
        if lock.is_some() {
            self.unmark(clock).await?;
        }
        let mut after = PackageKey::new(0);
        loop {
            let page = self.store.db().package_unneeded(after, clock, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.key;
            if lock.is_some() {
                self.mark(&page, clock).await?;
            }
            let (due, waiting): (Vec<_>, Vec<_>) = page
                .iter()
                .map(|package| (package, self.due_at(package, clock.now)))
                .partition(|(_, due_at)| matches!(fate(*due_at, clock.now), Fate::Due));
            for (package, due_at) in waiting {
                report.list(&Fate::Waiting, unneeded(package, due_at));
            }
            for batch in due.chunks(BATCH) {
                self.collect_batch(lock, batch, clock, report).await?;
            }
        }
    }

    /// When an unneeded package may go.
    fn due_at(&self, package: &UnneededPackage, now: Millis) -> Millis {
        let since = package.unreferenced_at.unwrap_or(now);
        let claim_ends = package.claimed_until.plus(Duration::from_millis(1));
        since.plus(self.retention.package_grace).max(claim_ends)
    }

    async fn unmark(&self, clock: CollectionClock) -> Result<(), StoreError> {
        let mut after = PackageKey::new(0);
        loop {
            let page = self
                .store
                .db()
                .package_needed_again(after, clock, PAGE)
                .await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = *last;
            let tx = self.store.write().await?;
            tx.package_mark_needed(&page).await?;
            tx.commit().await?;
        }
    }

    async fn mark(
        &self,
        page: &[UnneededPackage],
        clock: CollectionClock,
    ) -> Result<(), StoreError> {
        let new: Vec<PackageKey> = page
            .iter()
            .filter(|package| package.unreferenced_at.is_none())
            .map(|package| package.key)
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let tx = self.store.write().await?;
        tx.package_mark_unneeded(&new, clock).await?;
        tx.commit().await?;
        step("packages marked");
        Ok(())
    }

    async fn collect_batch(
        &self,
        lock: Option<&CollectionLock>,
        batch: &[(&UnneededPackage, Millis)],
        clock: CollectionClock,
        report: &mut CollectionReport,
    ) -> Result<(), StoreError> {
        let Some(lock) = lock else {
            for (package, due_at) in batch {
                report.list(&Fate::Due, unneeded(package, *due_at));
            }
            return Ok(());
        };
        let keys: Vec<PackageKey> = batch.iter().map(|(package, _)| package.key).collect();
        let tx = self.store.write().await?;
        let begun = tx.package_begin_collecting(&keys, clock).await?;
        tx.commit().await?;
        step("collection begun");
        for (key, sha256) in begun {
            if self.remove_package(lock, key, &sha256, report).await?
                && let Some((package, due_at)) =
                    batch.iter().find(|(package, _)| package.key == key)
            {
                report.list(&Fate::Due, unneeded(package, *due_at));
            }
        }
        Ok(())
    }

    /// Bytes that belong to no package, and packages without their bytes.
    async fn collect_strays(
        &self,
        lock: Option<&CollectionLock>,
        now: Millis,
        report: &mut CollectionReport,
    ) -> Result<(), StoreError> {
        let files = match self.packages.packages().await {
            Ok(files) => files,
            Err(error) => {
                report.failed("list the packages", &error);
                return Ok(());
            }
        };
        for page in files.chunks(usize::try_from(PAGE).unwrap_or(1)) {
            let digests: Vec<String> = page.iter().map(|file| file.sha256.to_string()).collect();
            let strays: HashSet<String> = self
                .store
                .db()
                .package_strays(&digests, now)
                .await?
                .into_iter()
                .collect();
            for (file, sha256) in page.iter().zip(digests) {
                if strays.contains(&sha256) {
                    self.collect_stray(lock, file, sha256, now, report).await?;
                }
            }
        }
        let there: HashSet<Sha256Digest> = files.iter().map(|file| file.sha256).collect();
        self.find_missing(&there, report).await
    }

    async fn collect_stray(
        &self,
        lock: Option<&CollectionLock>,
        file: &PackageFile,
        sha256: String,
        now: Millis,
        report: &mut CollectionReport,
    ) -> Result<(), StoreError> {
        let due_at = millis(file.modified).plus(self.retention.package_grace);
        let fate = fate(due_at, now);
        if let (Some(lock), Fate::Due) = (lock, &fate) {
            let size_bytes = i64::try_from(file.size_bytes).unwrap_or(i64::MAX);
            let tx = self.store.write().await?;
            let key = tx.package_collect_stray(&sha256, size_bytes, now).await?;
            tx.commit().await?;
            step("stray taken");
            let Some(key) = key else { return Ok(()) };
            if !self.remove_package(lock, key, &sha256, report).await? {
                return Ok(());
            }
        }
        report.list(
            &fate,
            Collectable {
                reason: CollectReason::BytesWithoutPackage,
                name: sha256,
                size_bytes: file.size_bytes,
                due_at,
            },
        );
        Ok(())
    }

    async fn find_missing(
        &self,
        there: &HashSet<Sha256Digest>,
        report: &mut CollectionReport,
    ) -> Result<(), StoreError> {
        let mut after = PackageKey::new(0);
        loop {
            let page = self.store.db().package_states(after, PAGE).await?;
            let Some((last, _, _)) = page.last() else {
                return Ok(());
            };
            after = *last;
            for (_, sha256, state) in page {
                if state != PackageState::Ready {
                    continue;
                }
                let Ok(digest) = sha256.parse::<Sha256Digest>() else {
                    continue;
                };
                // What came after the listing is looked at by itself.
                if !there.contains(&digest)
                    && matches!(self.packages.size(&digest).await, Ok(None))
                    && report.missing.len() < MAX_LISTED
                {
                    tracing::error!(sha256, "a package is recorded and not in the store");
                    report.missing.push(sha256);
                }
            }
        }
    }

    /// Removes the bytes of a package that is being collected, and then says so in the database.
    async fn remove_package(
        &self,
        lock: &CollectionLock,
        key: PackageKey,
        sha256: &str,
        report: &mut CollectionReport,
    ) -> Result<bool, StoreError> {
        lock.check().await?;
        if let Ok(digest) = sha256.parse::<Sha256Digest>()
            && let Err(error) = self.packages.remove(&digest).await
        {
            report.failed("remove a package", &error);
            return Ok(false);
        }
        step("package removed");
        let tx = self.store.write().await?;
        tx.package_finish_collecting(key).await?;
        tx.commit().await?;
        step("collection finished");
        Ok(true)
    }

    async fn size(&self, sha256: &str) -> u64 {
        match sha256.parse::<Sha256Digest>() {
            Ok(digest) => self
                .packages
                .size(&digest)
                .await
                .ok()
                .flatten()
                .unwrap_or(0),
            Err(_) => 0,
        }
    }
}

fn unneeded(package: &UnneededPackage, due_at: Millis) -> Collectable {
    Collectable {
        reason: CollectReason::PackageUnneeded,
        name: package.sha256.clone(),
        size_bytes: bytes(package.size_bytes),
        due_at,
    }
}

fn fate(due_at: Millis, now: Millis) -> Fate {
    if due_at <= now {
        Fate::Due
    } else {
        Fate::Waiting
    }
}

fn bytes(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

fn millis(time: SystemTime) -> Millis {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::new(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
