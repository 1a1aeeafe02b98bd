-- Makes the monthly partitions (UTC) of spend_usageevent from this month to `ahead` months on.
-- Rows that the default partition caught meanwhile move along. Returns how many were made.
CREATE FUNCTION spend_make_partitions(ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    starts timestamptz;
    ends timestamptz;
    name text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('spend_make_partitions', 0));
    FOR month IN 0 .. least(ahead, 36) LOOP
        starts := date_trunc('month', now()) + make_interval(months => month);
        ends := starts + interval '1 month';
        name := 'spend_usageevent_' || to_char(starts, 'YYYY_MM');
        CONTINUE WHEN to_regclass(name) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE spend_usageevent INCLUDING ALL)', name);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'WITH caught AS (
                 DELETE FROM spend_usageevent_default
                 WHERE occurred_at >= %L AND occurred_at < %L RETURNING *
             ) INSERT INTO %I SELECT * FROM caught', starts, ends, name);
        EXECUTE format(
            'ALTER TABLE spend_usageevent ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            name, starts, ends);
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;
