-- What an administrator can say about hand-outs, and what is known of desktops: freezes, failure limits,
-- cancellations, repairs, what is installed where, and who waits for a restart.

-- One row a project, and one for the whole server (project_id 0): while it stands, nothing is handed out.
CREATE TABLE hand_out_freeze (
  project_id BIGINT PRIMARY KEY,
  operator TEXT NOT NULL,
  reason TEXT,
  created_at BIGINT NOT NULL
);

-- 1: runs although the app is detected.
ALTER TABLE deployment ADD COLUMN repair BIGINT NOT NULL DEFAULT 0;
-- Failures, in jobs or in percent of its jobs, above which nothing more of it is handed out.
ALTER TABLE deployment ADD COLUMN fail_limit_count BIGINT;
ALTER TABLE deployment ADD COLUMN fail_limit_percent BIGINT;
-- Failures that count (kept only where there is a limit), and those before the last resumption.
ALTER TABLE deployment ADD COLUMN fails_counted BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deployment ADD COLUMN fails_forgiven BIGINT NOT NULL DEFAULT 0;
-- When the limit was passed; NULL: it is handed out.
ALTER TABLE deployment ADD COLUMN halted_at BIGINT;

-- Share of the phase done, 0 to 100, and when the phase began by the server's clock.
ALTER TABLE attempt ADD COLUMN percent BIGINT;
ALTER TABLE attempt ADD COLUMN phase_at BIGINT;
-- When an administrator asked to stop it.
ALTER TABLE attempt ADD COLUMN cancel_requested_at BIGINT;

-- What ended with SUCCESS last on a desktop: an uninstall removes the row.
CREATE TABLE desktop_app (
  desktop_id BIGINT NOT NULL REFERENCES desktop (id) ON DELETE CASCADE,
  app_id BIGINT NOT NULL REFERENCES app (id),
  revision_id BIGINT NOT NULL REFERENCES app_revision (id),
  -- domain::job::Proof by number.
  proof BIGINT NOT NULL,
  installed_at BIGINT NOT NULL,
  PRIMARY KEY (desktop_id, app_id)
);
-- Where an app is installed, for uninstalls.
CREATE INDEX desktop_app_app ON desktop_app (app_id, desktop_id);

-- Meanings of exit codes that the app's own map gives (domain::job::ExitMeaning), a JSON object; NULL: none.
ALTER TABLE app_revision ADD COLUMN exit_codes TEXT;

-- The boot the agent last said hello from, and since when an installer's wish for a restart waits.
ALTER TABLE desktop ADD COLUMN boot_id TEXT;
ALTER TABLE desktop ADD COLUMN reboot_needed_at BIGINT;
