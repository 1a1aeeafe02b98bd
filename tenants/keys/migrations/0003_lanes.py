from django.db import migrations, models

from tenants.common.row_security import DefinerFunction, WithdrawnFunction

TAKE_DUE = """
    CREATE FUNCTION keys_take_due(batch integer, seconds double precision)
    RETURNS TABLE (organization_id uuid, key_id uuid) LANGUAGE sql VOLATILE
    SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
        UPDATE keys_mistralkey AS taken
        SET claim = NULL, held_until = now() + make_interval(secs => seconds)
        FROM (
            SELECT id FROM keys_mistralkey
            WHERE next_check_at <= now() AND (held_until IS NULL OR held_until <= now())
            ORDER BY next_check_at LIMIT batch FOR NO KEY UPDATE SKIP LOCKED
        ) AS due
        WHERE taken.id = due.id
        RETURNING taken.organization_id, taken.id
    $$
"""


class Migration(migrations.Migration):
    dependencies = [("keys", "0002_what_a_key_is_at_mistral")]

    operations = [
        migrations.AddField(
            model_name="mistralkey",
            name="asked_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        # Of no tenant, and granted to nobody: the functions below are its only door.
        migrations.CreateModel(
            name="Lane",
            fields=[
                (
                    "name",
                    models.CharField(max_length=64, primary_key=True, serialize=False),
                ),
                ("ready_at", models.DateTimeField()),
                ("slowness", models.FloatField(db_default=1.0)),
            ],
        ),
        # A leaky bucket for each lane (GCRA). The turn is taken in all lanes or in none; lanes are
        # locked in one order. Returns the wait in seconds; beyond `patience` nothing was taken.
        DefinerFunction(
            "keys_take_turn(text[], double precision[], double precision[], double precision)",
            """
            CREATE FUNCTION keys_take_turn(
                names text[], rates double precision[], bursts double precision[],
                patience double precision
            )
            RETURNS double precision LANGUAGE plpgsql VOLATILE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
            DECLARE
                present timestamptz;
                waits double precision := 0;
            BEGIN
                INSERT INTO keys_lane (name, ready_at)
                SELECT n, clock_timestamp() FROM unnest(names) n ORDER BY n
                ON CONFLICT (name) DO NOTHING;
                PERFORM FROM keys_lane WHERE name = ANY (names) ORDER BY name FOR NO KEY UPDATE;
                present := clock_timestamp();
                SELECT max(extract(epoch FROM greatest(ready_at, present) - present)
                           - (asked.burst - 1) * slowness / asked.rate)
                INTO waits
                FROM keys_lane JOIN unnest(names, rates, bursts) AS asked (name, rate, burst)
                    USING (name);
                waits := greatest(0, waits);
                IF waits <= patience THEN
                    UPDATE keys_lane lane
                    SET ready_at = greatest(lane.ready_at, present)
                                   + make_interval(secs => lane.slowness / asked.rate)
                    FROM unnest(names, rates) AS asked (name, rate)
                    WHERE lane.name = asked.name;
                END IF;
                RETURN waits;
            END
            $$
            """,
        ),
        # Trouble doubles the distance between two turns, each success takes a tenth off again.
        DefinerFunction(
            "keys_tell_lanes(text[], boolean[], double precision)",
            """
            CREATE FUNCTION keys_tell_lanes(
                names text[], troubles boolean[], slowest double precision
            )
            RETURNS void LANGUAGE sql VOLATILE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                WITH told AS (
                    SELECT lane.name, heard.trouble
                    FROM keys_lane lane
                    JOIN unnest(names, troubles) AS heard (name, trouble) USING (name)
                    WHERE heard.trouble OR lane.slowness > 1
                    ORDER BY lane.name FOR NO KEY UPDATE OF lane
                )
                UPDATE keys_lane lane
                SET slowness = CASE WHEN told.trouble THEN least(lane.slowness * 2, slowest)
                                    ELSE greatest(lane.slowness * 0.9, 1) END
                FROM told WHERE lane.name = told.name
            $$
            """,
        ),
        WithdrawnFunction("keys_take_due(integer, double precision)", TAKE_DUE),
        # The sweep: which keys are due, whosesoever they are. It tells ids and holds them for the
        # queue, so that one sweep does not enqueue what the last one did. No lane gets more than
        # its share of a sweep, and while the lane of all is slow few are taken at all.
        DefinerFunction(
            "keys_take_due(integer, integer, double precision)",
            """
            CREATE FUNCTION keys_take_due(
                batch integer, lane_batch integer, seconds double precision
            )
            RETURNS TABLE (organization_id uuid, key_id uuid) LANGUAGE sql VOLATILE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                WITH due AS (
                    SELECT id, next_check_at,
                           asked_at IS NULL AS can_wait,
                           row_number() OVER (
                               PARTITION BY coalesce(
                                   nullif(mistral_organization_id, ''), k.organization_id::text
                               )
                               ORDER BY asked_at IS NULL, next_check_at
                           ) AS place
                    FROM keys_mistralkey k
                    WHERE next_check_at <= now() AND (held_until IS NULL OR held_until <= now())
                ), chosen AS (
                    SELECT id FROM due
                    WHERE place <= lane_batch
                    ORDER BY can_wait, next_check_at
                    LIMIT greatest(1, batch / (
                        SELECT coalesce(max(slowness), 1) FROM keys_lane WHERE name = '*'
                    ))
                ), locked AS (
                    SELECT k.id FROM keys_mistralkey k JOIN chosen USING (id)
                    WHERE next_check_at <= now() AND (held_until IS NULL OR held_until <= now())
                    FOR NO KEY UPDATE OF k SKIP LOCKED
                )
                UPDATE keys_mistralkey AS taken
                SET claim = NULL, held_until = now() + make_interval(secs => seconds)
                FROM locked WHERE taken.id = locked.id
                RETURNING taken.organization_id, taken.id
            $$
            """,
        ),
    ]
