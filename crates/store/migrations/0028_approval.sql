-- Enrollments that wait for an administrator. See docs/adr/0031-approval.md.

-- 1: who enrolls with it waits until somebody approves.
ALTER TABLE enrollment_token ADD COLUMN needs_approval BIGINT NOT NULL DEFAULT 0;

CREATE TABLE enrollment_request (
  id {{pk}},
  public_id {{uuid}} NOT NULL UNIQUE,
  project_id BIGINT NOT NULL REFERENCES project (id),
  token_id BIGINT NOT NULL REFERENCES enrollment_token (id),
  -- SHA-256 of the SubjectPublicKeyInfo of the signing request.
  key_digest {{bytes}} NOT NULL,
  -- What the desktop is made from.
  name TEXT NOT NULL,
  user_name TEXT,
  machine_id TEXT NOT NULL,
  agent_version TEXT NOT NULL,
  os TEXT NOT NULL,
  arch TEXT NOT NULL,
  sandbox_root TEXT,
  address TEXT NOT NULL,
  asked_at BIGINT NOT NULL,
  -- The last time it asked what became of it.
  seen_at BIGINT NOT NULL,
  -- 1 approved, 0 refused, NULL undecided.
  approved BIGINT,
  decided_at BIGINT,
  -- The agent that it became.
  agent_id BIGINT REFERENCES agent (id),
  -- First instant at which it is over.
  expires_at BIGINT NOT NULL
);
-- Lists of a project, newest first.
CREATE INDEX enrollment_request_project ON enrollment_request (project_id, id);
-- How many are undecided in a project.
CREATE INDEX enrollment_request_undecided ON enrollment_request (project_id) WHERE approved IS NULL;
-- Those that are over.
CREATE INDEX enrollment_request_expiry ON enrollment_request (expires_at);
