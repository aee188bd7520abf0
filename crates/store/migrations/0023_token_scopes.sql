-- Where an enrollment token may be used, and what it tags.

-- JSON list of networks (ADDRESS/LENGTH) that enrolling agents call from; NULL: any.
ALTER TABLE enrollment_token ADD COLUMN networks TEXT;
-- JSON list of {key, value}: tags of the desktops that it enrolls; NULL: none.
ALTER TABLE enrollment_token ADD COLUMN tags TEXT;
