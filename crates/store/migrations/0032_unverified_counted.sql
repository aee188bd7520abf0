-- job_count.dimension 4 (key: deployment_id, wire 2) counts the successes of a deployment that are unverified: those that
-- index job_unverified finds (0026).
INSERT INTO job_count (project_id, dimension, dimension_key, wire, slot, jobs)
SELECT project_id, 4, CAST(deployment_id AS TEXT), 2, 0, COUNT(*) FROM job
WHERE proof IN (3, 5) GROUP BY project_id, deployment_id;
