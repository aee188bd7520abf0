-- What is done about programs of an app that run when it is put on or taken off.

-- `ask` the user, or `stop` them at once.
ALTER TABLE project ADD COLUMN running_programs TEXT NOT NULL DEFAULT 'ask';
-- How long a user who is asked has, in seconds.
ALTER TABLE project ADD COLUMN close_wait_secs BIGINT NOT NULL DEFAULT 600;
