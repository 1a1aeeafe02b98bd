-- Wide columns first and text last, so that alignment wastes nothing.
CREATE TABLE spend_usageevent (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    key_id uuid,
    model_id uuid,
    corrects uuid,
    occurred_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    period date NOT NULL,
    prompt_tokens integer NOT NULL,
    completion_tokens integer NOT NULL,
    cached_tokens integer NOT NULL,
    pages integer NOT NULL,
    annotated_pages integer NOT NULL,
    audio_seconds integer NOT NULL,
    characters integer NOT NULL,
    requests integer NOT NULL,
    duration_ms integer,
    http_status smallint,
    currency varchar(3) NOT NULL,
    cost numeric(20, 9),
    excess numeric(20, 9) NOT NULL,
    factor numeric(8, 4) NOT NULL,
    source varchar(20) NOT NULL,
    category varchar(16) NOT NULL,
    outcome varchar(16) NOT NULL,
    estimate varchar(20) NOT NULL,
    endpoint varchar(64) NOT NULL,
    requested_model varchar(200) NOT NULL,
    answered_model varchar(200) NOT NULL,
    message_id varchar(200) NOT NULL,
    request_id varchar(64) NOT NULL,
    correlation_id varchar(64) NOT NULL,
    price_ids integer[] NOT NULL,
    PRIMARY KEY (organization_id, occurred_at, id)
) PARTITION BY RANGE (occurred_at);

CREATE INDEX usage_event_message_idx ON spend_usageevent (organization_id, message_id)
    WHERE NOT message_id = '';

CREATE TABLE spend_usageevent_default PARTITION OF spend_usageevent DEFAULT;
ALTER TABLE spend_usageevent_default ENABLE ROW LEVEL SECURITY;
