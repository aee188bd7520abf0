-- Uninstalls, and deployments for named desktops.

-- The desktops that a deployment names. Where it names any, assign_scope says ALL_USER (everyone on them is in scope).
CREATE TABLE deployment_desktop (
  deployment_id BIGINT NOT NULL REFERENCES deployment (id) ON DELETE CASCADE,
  desktop_id BIGINT NOT NULL REFERENCES desktop (id),
  PRIMARY KEY (deployment_id, desktop_id)
);
ALTER TABLE deployment ADD COLUMN names_desktops BIGINT NOT NULL DEFAULT 0;

-- job_count.dimension 10, 11 and 12 count uninstall jobs by project, app and target, as 0, 1 and 2 count installs: the
-- contract's lists speak of installs alone. There are none before this migration.

-- What desktops have, as far as their last SUCCESS tells; from now on each SUCCESS writes it.
INSERT INTO desktop_app (desktop_id, app_id, revision_id, proof, installed_at)
SELECT j.desktop_id, j.app_id, j.revision_id, COALESCE(j.proof, 3), j.updated_at FROM job j
WHERE j.id IN (SELECT MAX(l.id) FROM job l JOIN desktop k ON k.id = l.desktop_id
  JOIN app a ON a.id = l.app_id JOIN app_revision r ON r.id = l.revision_id
  WHERE l.kind = 0 AND l.state = 4 GROUP BY l.desktop_id, l.app_id);

-- 1: its success is whole only after a restart of the desktop (desktop.reboot_needed_at says whether that is still to come).
ALTER TABLE job ADD COLUMN wants_restart BIGINT NOT NULL DEFAULT 0;

-- Why a desktop did not get an app: the newest deployment that skipped the pair.
CREATE INDEX deployment_skip_desktop ON deployment_skip (desktop_id, app_id, deployment_id);
