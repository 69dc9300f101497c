-- The city takes a post off the board that does not belong there, and says why.
ALTER TABLE board.post DROP CONSTRAINT post_state_check;
ALTER TABLE board.post ADD CONSTRAINT post_state_check
  CHECK (state IN ('draft', 'open', 'matched', 'withdrawn', 'expired', 'removed'));
ALTER TABLE board.post ADD COLUMN removed_why text NOT NULL DEFAULT '';   -- a person's is sealed, as it is about them
ALTER TABLE board.post ADD COLUMN removed_by text;
ALTER TABLE board.post ADD CONSTRAINT post_removed_check CHECK ((state = 'removed') = (removed_by IS NOT NULL));
