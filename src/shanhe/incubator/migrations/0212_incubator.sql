-- Resources of the incubator and who booked them. A seat of a slot is given once: the primary key says so.
CREATE SCHEMA incubator;

CREATE TABLE incubator.resource (
  id         uuid PRIMARY KEY,
  service    text NOT NULL CHECK (service IN ('desk', 'training', 'mentoring', 'marketing', 'adviser')),
  name_zh    text NOT NULL CHECK (length(name_zh) BETWEEN 1 AND 100),
  name_en    text NOT NULL CHECK (length(name_en) BETWEEN 1 AND 100),
  place      text NOT NULL CHECK (length(place) BETWEEN 1 AND 200),
  opens_hour smallint NOT NULL CHECK (opens_hour BETWEEN 0 AND 23),
  closes_hour smallint NOT NULL CHECK (closes_hour BETWEEN opens_hour + 1 AND 24),
  seats      int NOT NULL CHECK (seats BETWEEN 1 AND 500),
  closed_at  timestamptz,
  added_by   text NOT NULL,
  added_at   timestamptz NOT NULL
);

CREATE TABLE incubator.booking (
  id           uuid PRIMARY KEY,              -- the posting's id
  resource     uuid NOT NULL REFERENCES incubator.resource,
  service      text NOT NULL,
  org_id       uuid NOT NULL,
  month        date NOT NULL CHECK (extract(day FROM month) = 1),   -- whose quota it takes
  starts_at    timestamptz NOT NULL,
  ends_at      timestamptz NOT NULL CHECK (ends_at > starts_at),
  units        int NOT NULL CHECK (units BETWEEN 1 AND 500),        -- desks, hours or campaigns
  state        text NOT NULL CHECK (state IN ('booked', 'cancelled')),
  posted       boolean NOT NULL DEFAULT false,
  reversed     boolean NOT NULL DEFAULT false,
  reason       text NOT NULL DEFAULT '' CHECK (reason IN ('', 'own', 'left', 'closed')),
  version      text NOT NULL,                 -- of the rule that decided
  trace        jsonb NOT NULL,
  booked_by    text NOT NULL,
  booked_at    timestamptz NOT NULL,
  cancelled_at timestamptz,
  CHECK ((state = 'cancelled') = (cancelled_at IS NOT NULL))
);
CREATE INDEX booking_org ON incubator.booking (org_id, starts_at DESC);
CREATE INDEX booking_resource ON incubator.booking (resource, starts_at);
CREATE INDEX booking_unposted ON incubator.booking (id)
  WHERE (NOT posted AND state = 'booked') OR (state = 'cancelled' AND posted AND NOT reversed);

CREATE TABLE incubator.seat (
  resource uuid NOT NULL REFERENCES incubator.resource,
  slot     timestamptz NOT NULL,              -- the hour, the day or the month that begins then
  seat     smallint NOT NULL CHECK (seat >= 1),
  booking  uuid NOT NULL REFERENCES incubator.booking,
  PRIMARY KEY (resource, slot, seat)
);
CREATE INDEX seat_booking ON incubator.seat (booking);
