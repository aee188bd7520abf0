use outfitter_domain::Millis;
use outfitter_domain::fleet::SubJobStatus;
use outfitter_ids::{WorkspaceJobId, WorkspaceSubJobId};
use outfitter_store::{DesktopKey, NewSubJob, Page, SubJobFilter, SubJobOutcome};

use crate::database::{NOW, id, on_both};
use crate::desktop::desktop;

fn sub_job(desktop: DesktopKey, outcome: SubJobOutcome) -> NewSubJob {
    NewSubJob {
        id: WorkspaceSubJobId::new(id()),
        desktop,
        attach_user: None,
        outcome,
    }
}

fn failed() -> SubJobOutcome {
    SubJobOutcome {
        status: SubJobStatus::Failed,
        error_code: Some("X".to_owned()),
        fail_reason: Some("no way".to_owned()),
    }
}

on_both! {
    async fn deleting_a_failure_hides_it_and_leaves_the_job_failed(test: TestStore) {
        let tx = test.store.write().await.unwrap();
        let one = tx.desktop_insert(test.project, &desktop("one"), NOW).await.unwrap();
        let running = SubJobOutcome { status: SubJobStatus::Running, ..SubJobOutcome::SUCCESS };
        let subs = [sub_job(one, SubJobOutcome::SUCCESS), sub_job(one, failed())];
        let job = WorkspaceJobId::new(id());
        tx.workspace_job_insert(test.project, job, "installAgents", &subs, NOW).await.unwrap();
        let open = WorkspaceJobId::new(id());
        let open_subs = [sub_job(one, running), sub_job(one, failed())];
        tx.workspace_job_insert(test.project, open, "other", &open_subs, NOW).await.unwrap();
        tx.commit().await.unwrap();

        let db = test.store.db();
        assert_eq!(db.workspace_job_find(test.other_project, job).await.unwrap(), None);
        let stored = db.workspace_job_find(test.project, job).await.unwrap().unwrap();
        assert_eq!((stored.status, stored.ended_at), (SubJobStatus::Failed, Some(NOW)));
        let stored = db.workspace_job_find(test.project, open).await.unwrap().unwrap();
        assert_eq!((stored.status, stored.ended_at), (SubJobStatus::Running, None));
        let count = async |filter: SubJobFilter| db.sub_job_list(test.project, &filter, Page::ALL).await.unwrap().total;
        let all = SubJobFilter::default();
        assert_eq!(count(all.clone()).await, 4);
        assert_eq!(count(SubJobFilter { job: Some(job), ..all.clone() }).await, 2);
        assert_eq!(count(SubJobFilter { job_type: Some("other".to_owned()), ..all.clone() }).await, 2);
        assert_eq!(count(SubJobFilter { status: Some("FAILED".to_owned()), ..all.clone() }).await, 2);
        assert_eq!(count(SubJobFilter { ids: Some(vec![subs[0].id]), ..all.clone() }).await, 1);

        let tx = test.store.write().await.unwrap();
        assert_eq!(tx.sub_jobs_delete(test.other_project, &[subs[1].id], NOW).await.unwrap(), 0);
        assert_eq!(tx.sub_jobs_delete(test.project, &[subs[1].id, open_subs[0].id], NOW).await.unwrap(), 1);
        tx.commit().await.unwrap();
        let stored = db.workspace_job_find(test.project, job).await.unwrap().unwrap();
        assert_eq!(stored.status, SubJobStatus::Failed);
        let tx = test.store.write().await.unwrap();
        assert_eq!(tx.sub_jobs_delete_by_status(test.project, SubJobStatus::Failed, NOW).await.unwrap(), 1);
        tx.commit().await.unwrap();
        assert_eq!(count(all).await, 2);
    }

    async fn only_a_failed_sub_job_is_begun_anew(test: TestStore) {
        let tx = test.store.write().await.unwrap();
        let one = tx.desktop_insert(test.project, &desktop("one"), NOW).await.unwrap();
        let subs = [sub_job(one, SubJobOutcome::SUCCESS), sub_job(one, failed())];
        let job = WorkspaceJobId::new(id());
        tx.workspace_job_insert(test.project, job, "installAgents", &subs, NOW).await.unwrap();
        tx.commit().await.unwrap();
        let filter = SubJobFilter::default();
        let listed = test.store.db().sub_job_list(test.project, &filter, Page::ALL).await.unwrap().items;
        let waiting = SubJobOutcome { status: SubJobStatus::Waiting, ..SubJobOutcome::SUCCESS };
        let later = Millis::new(NOW.get() + 5);
        let tx = test.store.write().await.unwrap();
        let anew: Vec<_> = listed.iter().map(|sub| (sub.key, waiting.clone())).collect();
        tx.sub_jobs_retry(&anew, later).await.unwrap();
        tx.commit().await.unwrap();
        let listed = test.store.db().sub_job_list(test.project, &filter, Page::ALL).await.unwrap().items;
        assert_eq!((&listed[0].outcome, listed[0].begun_at, listed[0].ended_at), (&waiting, later, None));
        assert_eq!((&listed[1].outcome, listed[1].begun_at, listed[1].ended_at), (&SubJobOutcome::SUCCESS, NOW, Some(NOW)));
    }
}
