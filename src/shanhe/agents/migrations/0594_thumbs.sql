-- What whoever asked thinks of an answer, with a word to the agent's maker; question and answer only where they agreed.
-- shareable: whether a run's texts may be handed to the maker at all; not those of citizens or government, nor any of
-- before, of which nobody knows.
ALTER TABLE agents.run ADD COLUMN shareable boolean NOT NULL DEFAULT false;

CREATE TABLE agents.thumb (
  run      uuid PRIMARY KEY REFERENCES agents.run,
  agent    text NOT NULL,
  version  int NOT NULL,
  org_id   uuid NOT NULL,                        -- who paid for the run
  person   uuid,                                 -- whose word it is; NULL: a key's
  up       boolean NOT NULL,
  shared   boolean NOT NULL,                     -- they agreed that the maker reads question and answer
  word     text NOT NULL CHECK (octet_length(word) <= 4096),
  question text NOT NULL CHECK (octet_length(question) <= 32768),
  answer   text NOT NULL CHECK (octet_length(answer) <= 196608),
  day      date NOT NULL,
  CHECK (shared = (question <> '') AND shared = (answer <> ''))
);
CREATE INDEX thumb_agent ON agents.thumb (agent, day DESC, run DESC);
CREATE INDEX thumb_org ON agents.thumb (org_id, run DESC);
CREATE INDEX thumb_person ON agents.thumb (person, run DESC) WHERE person IS NOT NULL;
