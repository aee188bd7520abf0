-- What becomes of whoever is logged in at a single-user desktop that has no user.

-- `ignore`: nothing; `known`: a user of the directory becomes the desktop's; `any`: where there is none, one is made.
ALTER TABLE project ADD COLUMN logged_in_users TEXT NOT NULL DEFAULT 'ignore';
