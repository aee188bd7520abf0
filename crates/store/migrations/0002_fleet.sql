-- App control, feature switches, and batch work on desktops.

CREATE TABLE app_rule (
  id {{pk}},
  public_id {{uuid}} NOT NULL UNIQUE,
  project_id BIGINT NOT NULL REFERENCES project (id),
  name TEXT NOT NULL,
  name_folded TEXT NOT NULL,
  description TEXT,
  -- domain::fleet::AppRuleBody, JSON.
  rule TEXT NOT NULL,
  -- CUSTOM or SYSTEM.
  source TEXT NOT NULL,
  -- 1: on the control list.
  restricted BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  UNIQUE (project_id, name_folded)
);
CREATE INDEX app_rule_project ON app_rule (project_id, id);

-- How app control works in a project; no row: the contract's defaults.
CREATE TABLE app_restriction (
  project_id BIGINT PRIMARY KEY REFERENCES project (id),
  enabled BIGINT NOT NULL,
  control_mode BIGINT NOT NULL,
  periodic BIGINT NOT NULL,
  periodic_interval_minutes BIGINT NOT NULL,
  force_kill BIGINT NOT NULL
);

-- Feature switches of a project; no row: on, where it is a feature we act on.
CREATE TABLE project_feature (
  project_id BIGINT NOT NULL REFERENCES project (id),
  name TEXT NOT NULL,
  enabled BIGINT NOT NULL,
  PRIMARY KEY (project_id, name)
);

-- Batch work on desktops: agent pushes, attaching, deleting.
CREATE TABLE workspace_job (
  id {{pk}},
  public_id {{uuid}} NOT NULL UNIQUE,
  project_id BIGINT NOT NULL REFERENCES project (id),
  job_type TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX workspace_job_project ON workspace_job (project_id, id);

CREATE TABLE workspace_sub_job (
  id {{pk}},
  public_id {{uuid}} NOT NULL UNIQUE,
  project_id BIGINT NOT NULL REFERENCES project (id),
  workspace_job_id BIGINT NOT NULL REFERENCES workspace_job (id),
  desktop_id BIGINT NOT NULL REFERENCES desktop (id),
  -- WAITING, RUNNING, SUCCESS or FAILED.
  status TEXT NOT NULL,
  -- The user a sub-job is about.
  attach_user TEXT,
  error_code TEXT,
  fail_reason TEXT,
  begun_at BIGINT NOT NULL,
  ended_at BIGINT,
  -- A deleted record is hidden, and still counts in the state of its job.
  deleted_at BIGINT
);
CREATE INDEX workspace_sub_job_job ON workspace_sub_job (workspace_job_id, id);
CREATE INDEX workspace_sub_job_project ON workspace_sub_job (project_id, id) WHERE deleted_at IS NULL;
