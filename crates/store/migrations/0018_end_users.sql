-- End users (docs/adr/0025-end-users.md): what they asked for themselves, and the tickets they come in with.

-- The directory user who asked for it; NULL: an administrator. No reference: where the user is gone, nothing of theirs
-- may be handed out, and nobody else is meant.
ALTER TABLE deployment ADD COLUMN requested_by BIGINT;

-- Good once, and for a minute: a session of a browser on that desktop.
CREATE TABLE portal_ticket (
  -- SHA-256 of the ticket.
  ticket_digest {{bytes}} PRIMARY KEY,
  user_id BIGINT NOT NULL REFERENCES directory_user (id) ON DELETE CASCADE,
  desktop_id BIGINT NOT NULL REFERENCES desktop (id) ON DELETE CASCADE,
  expires_at BIGINT NOT NULL
);
