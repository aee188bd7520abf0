-- Successes that nothing but an exit code tells, or whose receipt proves nothing (domain::job::Proof 3 and 5): few where
-- apps have rules, and asked for by themselves.
CREATE INDEX job_unverified ON job (project_id, id) WHERE proof IN (3, 5);
